"""Workers over real processes: noise, ends, hangs, lies, and a parent that dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.environment_worker import WorkerCommand, WorkerError, WorkerExtractor, WorkerProcess
from nava.evaluation.extraction.features import UnmeasurableError
from nava.generation.media import read_mp4
from nava.runtime.errors import InputError
from tests.evaluation.environments.tiny_workers import command, sound, tiny_worker, weights

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_worker(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def opened():
    made: list[WorkerExtractor] = []

    def open_one(wanted: WorkerCommand) -> WorkerExtractor:
        made.append(WorkerExtractor(wanted))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


def running(pid: int) -> bool:
    """Whether a process works; one that has ended and was not collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def ends(pid: int) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not running(pid)


def script(path: Path, *lines: str) -> WorkerCommand:
    """A worker that does exactly this."""
    path.write_text("\n".join(("import json, sys, os", *lines)))
    return WorkerCommand((sys.executable, "-I", "-u", str(path)), "honest")


HELLO = 'print(json.dumps({"protocol": 1, "backend": "honest", "weights_sha256": None}))'


def test_a_worker_is_given_mono_sound_at_16_khz_and_says_what_it_found(worker: Path, tmp_path: Path, opened) -> None:
    extractor = opened(command(worker))
    for number, seconds in enumerate((0.5, 0.75)):
        values = extractor.extract(ClipFile(sound(tmp_path / f"{number}.wav", seconds))).values
        assert values["seconds"] == pytest.approx(seconds)
        assert values["shape"] == [16_000, 1, 2]
        assert values["pid"] == extractor.process.pid, "one process for all files"


def test_arrays_come_by_file(worker: Path, tmp_path: Path, opened) -> None:
    clip = ClipFile(sound(tmp_path / "a.wav"))
    features = opened(command(worker, "arrays")).extract(clip)
    expected_N = np.rint(read_mp4(clip.path).samples * 32_767)
    np.testing.assert_allclose(features.arrays["pcm_N"], expected_N, atol=1)
    assert features.values == {}


def test_what_libraries_print_breaks_nothing(worker: Path, tmp_path: Path, opened) -> None:
    extractor = opened(command(worker, "noisy"))
    for number, seconds in enumerate((0.5, 0.75)):
        found = extractor.extract(ClipFile(sound(tmp_path / f"{number}.wav", seconds)))
        assert found.values["seconds"] == pytest.approx(seconds), "an answer forged on stdout is no answer"


def test_why_there_is_nothing_is_no_failure_and_a_failure_is_no_reason(worker: Path, tmp_path: Path, opened) -> None:
    clip = ClipFile(sound(tmp_path / "a.wav"))
    with pytest.raises(UnmeasurableError, match="there is no voice in it"):
        opened(command(worker, "unmeasurable")).extract(clip)
    failing = opened(command(worker, "failing"))
    pid = failing.process.pid
    with pytest.raises(WorkerError, match="ValueError: the library does not like it"):
        failing.extract(clip)
    assert failing.process.pid == pid, "one file's failure ends no worker"
    with pytest.raises(WorkerError, match="not JSON compliant"):
        opened(command(worker, "notfinite")).extract(clip)


def test_a_clip_without_sound_never_reaches_the_worker(worker: Path, tmp_path: Path, opened) -> None:
    with pytest.raises(UnmeasurableError, match="missing"):
        opened(command(worker, "failing")).extract(ClipFile(tmp_path / "gone.wav"))


def test_a_worker_that_ends_is_started_once_more_for_the_same_file(worker, tmp_path, opened, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    left = tmp_path / "ends_left"
    clip = ClipFile(sound(tmp_path / "a.wav"))
    extractor = opened(command(worker, "ending"))
    first = extractor.process.pid
    left.write_text("1")
    assert extractor.extract(clip).values["pid"] != first
    left.write_text("2")
    with pytest.raises(WorkerError, match="ended with code 9: out of memory, says the library"):
        extractor.extract(clip)
    assert left.read_text() == "0", "twice, and not for ever"
    assert extractor.process is None
    assert extractor.extract(clip).values["seconds"] == pytest.approx(0.5), "the next file has a new worker"


def test_a_worker_killed_between_files_is_started_again(worker: Path, tmp_path: Path, opened) -> None:
    extractor = opened(command(worker))
    os.kill(extractor.process.pid, signal.SIGKILL)
    assert ends(extractor.process.pid)
    assert extractor.extract(ClipFile(sound(tmp_path / "a.wav"))).values["seconds"] == pytest.approx(0.5)


def test_a_worker_that_hangs_is_ended_and_the_next_file_is_done(worker: Path, tmp_path: Path, opened) -> None:
    extractor = opened(command(worker, "hanging", file_timeout_s=0.3))
    hung = extractor.process.pid
    with pytest.raises(WorkerError, match=r"did not answer within 0\.3 s"):
        extractor.extract(ClipFile(sound(tmp_path / "long.wav", 1.5)))
    assert ends(hung)
    # What is asked now is not whether 0.3 s are enough.
    again = opened(command(worker, "hanging"))
    assert again.extract(ClipFile(sound(tmp_path / "short.wav"))).values["seconds"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("hello", "message"),
    [
        ('{"protocol": 2, "backend": "honest", "weights_sha256": None}', "speaks protocol 2, not 1"),
        ('{"hello": "you"}', "speaks protocol None"),
        ('{"protocol": 1, "backend": "liar", "weights_sha256": None}', "is of backend 'liar'"),
        ('{"protocol": 1, "backend": "honest", "weights_sha256": "abc"}', "has weights of sha256 abc, not None"),
        ('{"protocol": 1, "error": "no GPU"}', "cannot be had: no GPU"),
    ],
)
def test_a_wrong_hello_is_told_and_the_process_ended(tmp_path: Path, hello: str, message: str) -> None:
    say = f"print(json.dumps({hello}))"
    wanted = script(
        tmp_path / "w.py", "open(sys.argv[0] + '.pid', 'w').write(str(os.getpid()))", say, "sys.stdin.read()"
    )
    with pytest.raises(InputError, match=message):
        WorkerExtractor(wanted)
    assert not running(int((tmp_path / "w.py.pid").read_text()))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (('print("Downloading: 100%")', "sys.stdin.read()"), "said 'Downloading: 100%' where an answer"),
        (("print([1, 2])", "sys.stdin.read()"), r"said '\[1, 2\]'"),
        (("raise ImportError('libtorch.so')",), "ended with code 1: ImportError: libtorch.so"),
        (("os.close(1)", "sys.stdin.read()"), "closed its output"),
    ],
)
def test_what_is_no_hello_is_told(tmp_path: Path, lines: tuple[str, ...], message: str, monkeypatch) -> None:
    monkeypatch.setattr("nava.evaluation.extraction.environment_worker._EXIT_GRACE_S", 0.5)
    with pytest.raises(InputError, match=f"backend honest cannot be had: its worker {message}"):
        WorkerExtractor(script(tmp_path / "w.py", *lines))


def test_no_hello_in_time_and_no_program(tmp_path: Path) -> None:
    wanted = script(tmp_path / "w.py", "sys.stdin.read()")
    with pytest.raises(InputError, match=r"did not answer within 0\.2 s"):
        WorkerExtractor(WorkerCommand(wanted.arguments, "honest", start_timeout_s=0.2))
    with pytest.raises(InputError, match=r"cannot be had: .*No such file"):
        WorkerExtractor(WorkerCommand((str(tmp_path / "python"),), "honest"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ('print("warning: slow")', "said 'warning: slow' where an answer in JSON belongs"),
        ('print(json.dumps({"id": 99, "ok": True}))', "answered request 99 instead of 1"),
        ('print(json.dumps({"id": 1}))', "neither succeeded nor said why"),
        ('print(json.dumps({"id": 1, "ok": True, "values": [3]}))', "values that are no object"),
        (
            'open(json.loads(line)["output"], "w").write("torn"); print(json.dumps({"id": 1, "ok": True}))',
            "arrays that cannot be read",
        ),
    ],
)
def test_an_answer_that_is_none_is_told(tmp_path: Path, answer: str, message: str, opened) -> None:
    extractor = opened(script(tmp_path / "w.py", HELLO, "for line in sys.stdin:", f"    {answer}"))
    with pytest.raises(WorkerError, match=message):
        extractor.extract(ClipFile(sound(tmp_path / "a.wav")))


def test_weights_are_hashed_before_they_are_loaded(worker: Path, tmp_path: Path, opened) -> None:
    path, sha256 = weights(tmp_path)
    arguments = command(worker).arguments
    named = (*arguments, "--weights", path, "--sha256", sha256)
    assert opened(WorkerCommand(named, "honest", sha256)).process is not None
    wrong = (*arguments, "--weights", path, "--sha256", "0" * 64)
    with pytest.raises(InputError, match=rf"net.pt have sha256 {sha256}, but 0{{64}} is named"):
        WorkerExtractor(WorkerCommand(wrong, "honest", "0" * 64))
    absent = (*arguments, "--weights", str(tmp_path / "gone"), "--sha256", sha256)
    with pytest.raises(InputError, match=r"there are no weights at .*gone"):
        WorkerExtractor(WorkerCommand(absent, "honest", sha256))


def test_a_backend_that_cannot_be_opened_says_why(worker: Path) -> None:
    with pytest.raises(InputError, match="backend unopened cannot be had: RuntimeError: the shared library cannot"):
        WorkerExtractor(command(worker, "unopened"))


def test_two_workers_are_two_processes_and_one_may_go(worker: Path, tmp_path: Path, opened) -> None:
    clip = ClipFile(sound(tmp_path / "a.wav"))
    first, second = opened(command(worker)), opened(command(worker, "noisy"))
    pid = first.process.pid
    assert pid != second.process.pid
    first.close()
    assert not running(pid), "the other one must not hold its input open"
    assert second.extract(clip).values["pid"] == second.process.pid


def test_the_protocol_by_hand(worker: Path) -> None:
    process = WorkerProcess(command(worker))
    process._process.stdin.write(b"what?\n")
    process._process.stdin.flush()
    assert "JSONDecodeError" in process._answer(PATIENCE_S)["error"]
    assert "no such file" in process.ask({"id": 1, "audio": "/gone.wav", "output": ""}, PATIENCE_S)["error"].lower()
    assert process.ask({"id": 2, "output": ""}, PATIENCE_S)["error"] == "KeyError: 'media'"
    process.close()
    assert not running(process.pid)


PARENT = """
import sys
from pathlib import Path
from nava.evaluation.extraction.environment_worker import WorkerProcess
from tests.evaluation.environments.tiny_workers import command
worker, clip = map(Path, sys.argv[1:])
process = WorkerProcess(command(worker, "hanging"))
print(process.pid, flush=True)
if clip.is_file():
    process.ask({"id": 1, "audio": str(clip), "output": ""}, 600)
sys.stdin.read()
"""


@pytest.mark.parametrize("works", [False, True])
def test_a_worker_dies_with_its_parent_even_while_it_works(worker: Path, tmp_path: Path, works: bool) -> None:
    clip = sound(tmp_path / "long.wav", 1.5) if works else tmp_path / "none.wav"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(worker), str(clip)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    assert running(pid)
    parent.kill()
    parent.communicate()
    assert ends(pid)
