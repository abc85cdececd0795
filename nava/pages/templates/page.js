"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const SVG = "http://www.w3.org/2000/svg";

  // Steps: one detail at a time; what a step waits for is marked while it is pointed at.
  const showStep = (id) => {
    for (const detail of all(".step-detail")) detail.classList.toggle("is-shown", detail.id === `step-${id}`);
    for (const node of all(".node")) node.classList.toggle("is-chosen", node.dataset.step === id);
  };
  for (const node of all(".node")) {
    const mark = (on) => {
      const needs = new Set(node.dataset.needs.split(" "));
      for (const other of all(".node", node.ownerSVGElement)) other.classList.toggle("is-needed", on && needs.has(other.dataset.step));
    };
    node.addEventListener("click", (event) => { event.preventDefault(); showStep(node.dataset.step); });
    for (const type of ["pointerenter", "focus"]) node.addEventListener(type, () => mark(true));
    for (const type of ["pointerleave", "blur"]) node.addEventListener(type, () => mark(false));
  }
  const followHash = () => { if (location.hash.startsWith("#step-")) showStep(location.hash.slice(6)); };
  addEventListener("hashchange", followHash);
  followHash();

  // Records: search and reason narrow the table.
  const search = document.getElementById("record-search");
  if (search) {
    const reason = document.getElementById("record-reason");
    const rows = all("#records tbody tr").map((row) => ({ row, text: row.textContent.toLowerCase() }));
    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const { row, text } of rows) {
        const fits = (!reason.value || row.dataset.reason === reason.value) && words.every((word) => text.includes(word));
        row.hidden = !fits;
        shown += fits;
      }
      const whole = shown === rows.length ? "" : ` of ${rows.length}`;
      document.getElementById("record-count").textContent = `${shown}${whole} record${shown === 1 && !whole ? "" : "s"}`;
      document.getElementById("records-none").hidden = shown > 0;
    };
    search.addEventListener("input", filter);
    reason.addEventListener("change", filter);
  }

  // Charts: the values under the pointer, or under the arrow keys.
  const nearest = (points, x) => points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
  for (const figure of all(".chart")) {
    const plot = figure.querySelector("svg.plot");
    const out = figure.querySelector(".read-out");
    const cursor = plot.querySelector(".cursor");
    const series = JSON.parse(plot.dataset.series).filter((line) => line.points.length);
    const low = Number(plot.dataset.low);
    const high = Number(plot.dataset.high);
    const bottom = Number(plot.dataset.bottom);
    const top = Number(plot.dataset.top);
    const longest = series.reduce((best, line) => (line.points.length > best.points.length ? line : best)).points;
    const dots = series.map((line) => {
      const dot = document.createElementNS(SVG, "circle");
      dot.setAttribute("class", `hover-dot tone-${line.tone}`);
      dot.setAttribute("r", "4");
      dot.setAttribute("visibility", "hidden");
      plot.insertBefore(dot, cursor.nextSibling);
      return dot;
    });
    let index = 0;
    const hide = () => { out.hidden = true; for (const mark of [cursor, ...dots]) mark.setAttribute("visibility", "hidden"); };
    const show = (x) => {
      const step = nearest(longest, x)[0];
      const at = (100 * (step - low)) / (high - low);
      cursor.setAttribute("x1", `${at}%`);
      cursor.setAttribute("x2", `${at}%`);
      cursor.setAttribute("visibility", "visible");
      out.replaceChildren();
      const head = document.createElement("strong");
      head.textContent = `${plot.dataset.xLabel} ${Math.round(step)}`;
      out.append(head);
      for (const [number, line] of series.entries()) {
        const [x, value] = nearest(line.points, step);
        dots[number].setAttribute("cx", `${(100 * (x - low)) / (high - low)}%`);
        dots[number].setAttribute("cy", `${(100 * (top - value)) / (top - bottom)}%`);
        dots[number].setAttribute("visibility", "visible");
        const row = document.createElement("span");
        row.className = `tone-${line.tone}`;
        row.textContent = `${line.label} ${value.toFixed(3)}`;
        out.append(row);
      }
      out.hidden = false;
      const room = figure.clientWidth - out.offsetWidth;
      const left = plot.getBoundingClientRect().left - figure.getBoundingClientRect().left + (plot.clientWidth * at) / 100;
      out.style.left = `${Math.max(0, Math.min(room, left > room - 12 ? left - out.offsetWidth - 12 : left + 12))}px`;
    };
    const fromPointer = (event) => {
      const box = plot.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      show(low + share * (high - low));
    };
    figure.addEventListener("pointermove", fromPointer);
    figure.addEventListener("pointerdown", fromPointer);
    figure.addEventListener("pointerleave", hide);
    figure.addEventListener("blur", hide);
    figure.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const stride = Math.max(1, Math.round(longest.length / 60));
      index = Math.min(longest.length - 1, Math.max(0, index + by * stride));
      show(longest[index][0]);
    });
  }

  // Players: one sounds at a time, and a line runs along the traces.
  const players = all("video, audio");
  for (const player of players) {
    const heads = all(".playhead", player.closest("figure"));
    const mark = () => {
      if (!player.duration) return;
      const at = `${(100 * player.currentTime) / player.duration}%`;
      for (const head of heads) {
        head.setAttribute("x1", at);
        head.setAttribute("x2", at);
        head.classList.add("is-on");
      }
    };
    player.addEventListener("play", () => {
      for (const other of players) if (other !== player) other.pause();
      const follow = () => {
        mark();
        if (!player.paused) requestAnimationFrame(follow);
      };
      follow();
    });
    player.addEventListener("seeked", mark);
  }
  for (const button of all("[data-seek]")) {
    button.addEventListener("click", () => {
      const player = document.querySelector(".player.is-main video, .player.is-main audio");
      if (!player) return;
      player.currentTime = Number(button.dataset.seek);
      player.play();
    });
  }

  // Commands: copy, where the browser lets a local page do so; else select the text.
  for (const button of all(".copy")) {
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      let word = "Copied";
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        getSelection().selectAllChildren(code);
        word = document.execCommand("copy") ? "Copied" : "Selected";
      }
      button.textContent = word;
      document.getElementById("copied").textContent = word;
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
  }

  // Tables: the head of a column sorts by it, numbers as numbers; what has no value stays at the end.
  for (const table of all("table.sortable")) {
    const heads = all("thead th", table);
    heads.forEach((head, column) => {
      head.querySelector(".sort").addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = all("tbody tr", table).map((row) => ({ row, key: row.cells[column].dataset.sort }));
        const order = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : Number(a) - Number(b)) * (up ? 1 : -1);
        rows.sort((a, b) => (a.key === "") - (b.key === "") || order(a.key, b.key));
        table.tBodies[0].append(...rows.map((entry) => entry.row));
      });
    });
  }

  // The section in view is marked in the list of sections.
  const links = new Map(all(".toc a").map((link) => [link.hash.slice(1), link]));
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const section of all("main > section[id]")) watch.observe(section);
})();
