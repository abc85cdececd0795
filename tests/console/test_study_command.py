"""`nava study` from the shell's side: make, serve, import and report."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nava.console.study_command import study
from nava.evaluation.study.desk import StudyDesk
from nava.evaluation.study.study_file import ALIGNMENT, OVERALL, Study, read_study
from nava.evaluation.study.votes import VoteStore
from nava.runtime.errors import InputError
from tests.evaluation.study.small_study import MODELS, both_criteria, small_study, vote, write_clip, write_outputs

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(study, [*map(str, arguments)])


def refused(*arguments: object) -> str:
    """What a command says that refuses its input; `nava` itself turns the error into exit code 2."""
    result = run(*arguments)
    assert isinstance(result.exception, InputError), result.output
    assert result.exception.exit_code == 2
    return str(result.exception)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("given")
    write_outputs(root / "outputs", ["one", "two"], MODELS[:2])
    write_clip(root / "broken.mp4", 99, silent=True)
    from PIL import Image

    Image.new("RGB", (8, 8)).save(root / "first.png")
    cases = [
        {"case_id": "one", "task": "T2AV", "prompt": "A square hums."},
        {"case_id": "two", "task": "TI2AV", "prompt": "It sings.", "image": "first.png"},
    ]
    (root / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases))
    return root


def make(given: Path, target: Path, *more: object) -> list[object]:
    models = [argument for name in MODELS[:2] for argument in ("--model", f"{name}={given / 'outputs' / name}")]
    return ["make", target, "--id", "spring", "--cases", given / "cases.jsonl", *models, "--seed", 3, *more]


def test_make_draws_a_study_and_says_what_is_next(given: Path, tmp_path: Path) -> None:
    result = run(*make(given, tmp_path / "s", "--check", f"one={given / 'broken.mp4'}", "--repeats", 1))
    assert result.exit_code == 0, result.exception
    assert "4 items for each rater: 2 pairs of 2 models on 2 cases, 1 repeats, 1 attention checks" in result.output
    assert result.output.splitlines()[-1] == f"next: nava study serve {tmp_path / 's'}"
    made = read_study(tmp_path / "s")
    assert made.models == MODELS[:2]
    assert made.cases_by_id["two"].image is not None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--model", "third"], "--model third: a name, =, and a path are wanted"),
        (["--model", f"{MODELS[0]}=x"], "--model: a name is given twice"),
        (["--model", "third=/gone"], "--model third: /gone is no folder"),
        (["--check", "one"], "--check one: a name, =, and a path"),
        (["--check", "nine=x.mp4"], "there is no case 'nine'"),
        (["--check", "one=/gone.mp4"], "attention check 1: /gone.mp4 is missing"),
        (["--repeats", 9], "9 repeats are asked for; there are 2"),
    ],
)
def test_make_refuses_what_does_not_fit(given: Path, tmp_path: Path, more: list[object], said: str) -> None:
    assert said in refused(*make(given, tmp_path / "s", *more))
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"case_id": "one", "task": "T2AV"}', "line 3: field 'prompt' is missing"),
        ('{"case_id": "one", "task": "T2AV", "prompt": "p", "seed": 1}', "line 3: unknown field 'seed'"),
        ("{", "line 3: not JSON"),
        ('{"case_id": "three", "task": "T2AV", "prompt": "p"}', "has no clip three.mp4 or .webm"),
        ('{"case_id": "../one", "task": "T2AV", "prompt": "p"}', "has no clip ../one.mp4 or .webm"),
        ('{"case_id": "one", "task": "T2AV", "prompt": "p"}', "case id 'one' is empty or given twice"),
    ],
)
def test_make_refuses_wrong_cases_by_line(given: Path, tmp_path: Path, line: str, said: str) -> None:
    cases = tmp_path / "cases.jsonl"
    cases.write_text((given / "cases.jsonl").read_text() + line + "\n")
    (tmp_path / "first.png").write_bytes((given / "first.png").read_bytes())
    asked = ["--cases" if part == given / "cases.jsonl" else part for part in make(given, tmp_path / "s")]
    asked[asked.index("--cases") + 1] = cases
    assert said in refused(*asked)


def test_make_never_replaces(given: Path, tmp_path: Path) -> None:
    assert "exists already" in refused(*make(given, tmp_path))


def test_import_and_report(tmp_path: Path) -> None:
    line = {"user_id": "u1", "left_model": "nava", "right_model": "ovi", "ours_side": "left"}
    votes = [line | {"case_id": f"c{number}", "choice": "left" if number < 7 else "tie"} for number in range(9)]
    (tmp_path / "given.jsonl").write_text("".join(json.dumps(one) + "\n" for one in votes))
    result = run("import", tmp_path / "given.jsonl", "-o", tmp_path / "votes.jsonl", "--id", "nava", "--task", "T2AV")
    assert result.exit_code == 0, result.exception
    assert "9 votes of 1 raters" in result.output
    result = run("report", tmp_path / "votes.jsonl", "-o", tmp_path / "report", "--first", "ovi")
    assert result.exit_code == 0, result.exception
    assert "9 of 9 answers counted, 1 raters" in result.output
    summary = json.loads((tmp_path / "report" / "result.json").read_text())
    (question,) = summary["questions"]
    assert (question["task"], question["criterion"]) == ("T2AV", "not stated")
    assert (question["pairs"][0]["model"], question["pairs"][0]["losses"]) == ("ovi", 7)
    assert (tmp_path / "report" / "result.html").read_text().startswith("<!doctype html>")
    assert "exists already" in refused("import", tmp_path / "given.jsonl", "-o", tmp_path / "votes.jsonl", "--id", "n")
    (tmp_path / "given.jsonl").write_text("{}\n")
    assert "line 1: field 'left_model'" in refused(
        "import", tmp_path / "given.jsonl", "-o", tmp_path / "v", "--id", "n"
    )
    assert not (tmp_path / "v").exists()


def test_report_of_a_study_names_its_first_model_first_and_tells_a_torn_line(tmp_path: Path) -> None:
    folder, _ = small_study(tmp_path, models=MODELS[:2], t2av=1, ti2av=0)
    assert "votes of one study are wanted; there are none" in refused("report", folder)
    store = VoteStore(folder / "votes.jsonl")
    for one in [*both_criteria(), *both_criteria(rater="bob"), vote("cy", played=False)]:
        store.append(one)
    with store.path.open("ab") as file:
        file.write(b'{"torn')
    result = run("report", folder)
    assert result.exit_code == 0, result.exception
    assert "the last line is torn" in result.output
    assert "4 of 5 answers counted, 3 raters" in result.output
    summary = json.loads((folder / "report" / "result.json").read_text())
    assert summary["models"] == list(MODELS[:2])
    assert summary["questions"][0]["pairs"][0]["wins"] == 2


def test_report_says_what_is_missing(tmp_path: Path) -> None:
    VoteStore(tmp_path / "votes.jsonl").append(vote())
    assert "name the folder of the report with -o" in refused("report", tmp_path / "votes.jsonl")
    assert "--first nobody" in refused("report", tmp_path / "votes.jsonl", "-o", tmp_path / "r", "--first", "nobody")
    assert "does not exist" in refused("report", tmp_path / "gone.jsonl", "-o", tmp_path / "r")
    assert "holds no study" in refused("report", tmp_path)


def test_serve_refuses_what_is_no_study_and_a_list_of_nobody(tmp_path: Path) -> None:
    assert "holds no study" in refused("serve", tmp_path, "--port", 0)
    (tmp_path / "raters.txt").write_text("\n \n")
    assert "names nobody" in refused("serve", tmp_path, "--port", 0, "--raters", tmp_path / "raters.txt")


class Served:
    """A server in a process of its own."""

    def __init__(self, folder: Path, *more: str) -> None:
        command = [sys.executable, "-c", "from nava.console.study_command import study; study()", "serve", str(folder)]
        self.process = subprocess.Popen(
            [*command, "--port", "0", *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # Shells start what runs in the background with Ctrl-C ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.port = int(self.line.split("/:")[0].rpartition(":")[2])

    def answer(self, made: Study, rater: str, position: int, criterion: str) -> int:
        from nava.evaluation.study.ordering import rater_order

        item = rater_order(made, rater)[position].item_id
        value = {"item": item, "criterion": criterion, "choice": "tie", "seconds": 1.0, "played": True}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        path, headers = f"/rate/{rater}/{position + 1}", {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(value), headers)
        response = connection.getresponse()
        response.read()
        return response.status


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_study(tmp_path, models=MODELS[:2], t2av=2, ti2av=0)[0]


def test_serve_says_where_and_ends_on_an_interrupt(folder: Path) -> None:
    served = Served(folder)
    assert served.line.startswith(f"http://127.0.0.1:{served.port}/: the study in {folder}; Ctrl-C ends it")
    assert served.answer(read_study(folder), "ann", 0, OVERALL) == 200
    served.process.send_signal(signal.SIGINT)
    out, err = served.process.communicate(timeout=20)
    assert (served.process.returncode, out, err) == (0, "ended; every answer is kept\n", "")


def test_a_killed_server_loses_no_answer_that_a_rater_was_told_is_kept(folder: Path) -> None:
    """Two raters answer without a pause while the server is killed; only what was in flight may be gone."""
    made = read_study(folder)
    served = Served(folder)
    told: dict[str, list[tuple[int, str]]] = {"ann": [], "bob": []}
    enough = threading.Event()

    def work(rater: str) -> None:
        # Answers are given again and again: the file grows by a line each time.
        for number in range(100_000):
            place, criterion = number % len(made.items), (OVERALL, ALIGNMENT)[number % 2]
            try:
                status = served.answer(made, rater, place, criterion)
            except (OSError, http.client.HTTPException):
                return
            assert status == 200
            told[rater].append((place, criterion))
            if len(told[rater]) == 15:
                enough.set()

    threads = [threading.Thread(target=work, args=(rater,)) for rater in told]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    os.kill(served.process.pid, signal.SIGKILL)
    for thread in threads:
        thread.join(30)
    served.process.communicate(timeout=20)
    order = {rater: [item.item_id for item in StudyDesk(folder).order(rater)] for rater in told}
    kept = VoteStore(folder / "votes.jsonl").read().votes
    for rater, answers in told.items():
        given = [(order[rater].index(one.item_id), one.criterion) for one in kept if one.rater == rater]
        assert given[: len(answers)] == answers
        assert len(answers) <= len(given) <= len(answers) + 1
    again = Served(folder)
    assert again.answer(made, "ann", 0, OVERALL) == 200
    again.process.kill()
    again.process.communicate(timeout=20)
    assert len(VoteStore(folder / "votes.jsonl").read().votes) == len(kept) + 1


def test_a_server_for_the_network_warns(folder: Path) -> None:
    served = Served(folder, "--host", "0.0.0.0")
    assert served.answer(read_study(folder), "ann", 0, OVERALL) == 200
    served.process.send_signal(signal.SIGINT)
    _, err = served.process.communicate(timeout=20)
    assert "everybody who reaches 0.0.0.0 can see the clips" in err
