"use strict";
(() => {
  const main = document.getElementById("main");
  const { item, here } = main.dataset;
  const figures = [...main.querySelectorAll(".versus figure")];
  const questions = [...main.querySelectorAll("[data-criterion]")];
  const hint = document.getElementById("study-hint");
  const problem = document.getElementById("study-problem");
  const next = document.getElementById("study-next");
  const opened = performance.now();
  const memory = `played ${here} ${item}`;
  const WHOLE = 0.9; // of a clip's length: browsers leave small gaps in what they report as played

  // What was played survives a reload of the page, not the closing of the tab.
  const played = new Set((sessionStorage.getItem(memory) ?? "").split(" ").filter(Boolean));
  let broken = false;
  const both = () => played.size === figures.length;

  const refresh = () => {
    for (const figure of figures) {
      if (!played.has(figure.dataset.side)) continue;
      figure.classList.add("is-played");
      figure.querySelector("[data-state]").textContent = "played";
    }
    const open = both() || broken;
    for (const question of questions) {
      for (const button of question.querySelectorAll("button")) button.disabled = !open || question.dataset.saving === "yes";
    }
    if (broken && !both()) hint.textContent = "A clip cannot be played here. Answer anyway to go on; this answer will not be counted.";
    else if (both()) hint.textContent = "You can play the clips again as often as you like.";
  };

  const coverage = (video) => {
    let seconds = 0;
    for (let part = 0; part < video.played.length; part += 1) seconds += video.played.end(part) - video.played.start(part);
    return video.duration > 0 ? seconds / video.duration : 0;
  };

  for (const figure of figures) {
    const video = figure.querySelector("video");
    const state = figure.querySelector("[data-state]");
    video.addEventListener("play", () => {
      for (const other of figures) if (other !== figure) other.querySelector("video").pause();
    });
    video.addEventListener("ended", () => {
      if (played.has(figure.dataset.side)) return;
      if (video.muted || video.volume === 0) state.textContent = "please play it with sound";
      else if (coverage(video) < WHOLE) state.textContent = "please play it whole";
      else {
        played.add(figure.dataset.side);
        sessionStorage.setItem(memory, [...played].join(" "));
      }
      refresh();
    });
    const fail = () => { broken = true; state.textContent = "cannot be played"; refresh(); };
    video.addEventListener("error", fail);
    if (video.error) fail();
  }

  const complete = () => questions.every((question) => question.querySelector('[aria-pressed="true"]'));

  const answer = async (question, button) => {
    if (button.disabled) return;
    question.dataset.saving = "yes";
    refresh();
    const body = {
      item,
      criterion: question.dataset.criterion,
      choice: button.dataset.choice,
      seconds: (performance.now() - opened) / 1000,
      played: both(),
    };
    try {
      const response = await fetch(here, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
      const said = await response.text();
      if (!response.ok) throw new Error(said.trim());
      for (const other of question.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
      problem.hidden = true;
    } catch (error) {
      problem.textContent = `This answer is not kept. Please try again in a moment. (${error.message})`;
      problem.hidden = false;
    }
    question.dataset.saving = "no";
    refresh();
    if (complete()) {
      next.hidden = false;
      next.focus();
    } else button.focus();
  };

  for (const question of questions) {
    for (const button of question.querySelectorAll("button")) button.addEventListener("click", () => answer(question, button));
  }

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const key = event.key.toLowerCase();
    const side = { a: 0, b: 1 }[key];
    if (side !== undefined) {
      const video = figures[side].querySelector("video");
      if (video.paused) video.play().catch(() => {}); else video.pause();
    } else if (/^[1-9]$/.test(key)) {
      const button = questions[Math.floor((key - 1) / 3)]?.querySelectorAll("button")[(key - 1) % 3];
      if (button) answer(button.closest("fieldset"), button);
    } else if (key === "enter" && !next.hidden && !event.target.closest("button, a, video")) next.click();
    else if (key === "backspace") document.getElementById("study-back")?.click();
    else return;
    event.preventDefault();
  });

  refresh();
})();
