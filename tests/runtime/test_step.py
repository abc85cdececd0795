"""Steps: identity, reuse, restart and the record they keep of themselves."""

import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nava.runtime import step as step_module
from nava.runtime.errors import GateFailed, InputError
from nava.runtime.handle import Handle
from nava.runtime.step import RunReference, Step, execute, section_name
from nava.runtime.storage import write_json
from nava.runtime.store import Store

MODULE = "step_under_test"


@dataclass
class WidthConfig:
    width: int = 1


def write_result(step: Step, text: str) -> Handle:
    path = step.workdir / "result.txt"
    path.write_text(text)
    return Handle.of_path("text", path)


class Harness:
    """A run with one step whose body each test chooses."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.calls = 0
        self.code = "code 1"
        self.seeded = True
        self.module = types.ModuleType(MODULE)
        monkeypatch.setitem(sys.modules, MODULE, self.module)
        monkeypatch.setattr(step_module, "code_digest", lambda module: self.code)
        self.config = {"width": {"width": 3}, "other": {"height": 4}, "seed": 0}
        self.store = Store(f"sqlite:///{root / 'store.db'}")
        self.store.migrate()
        self.store.start_run("run", "lifecycle", "demo", {})

    def body(self, function: Callable[..., Handle]) -> None:
        def counted(step: Step, **inputs: Any) -> Handle:
            self.calls += 1
            return function(step, **inputs)

        self.module.body = counted  # type: ignore[attr-defined]

    def execute(self, inputs: dict[str, Any] | None = None, **parameters: Any) -> dict[str, Any]:
        write_json(self.root / "config.json", {"config": self.config, "identity": self.config})
        reference = RunReference("run", str(self.root), self.store.url, str(self.root / "config.json"))
        return execute(
            f"{MODULE}.body",
            name="step",
            run=reference.to_dict(),
            sections=["width"],
            seeded=self.seeded,
            inputs=inputs,
            parameters=parameters,
        )

    def record(self) -> Any:
        return self.store.steps("run")[0]


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harness:
    return Harness(tmp_path, monkeypatch)


def test_a_finished_step_is_not_run_again(harness: Harness) -> None:
    harness.body(lambda step: write_result(step, "done"))
    first = harness.execute()
    assert harness.record().state == "succeeded"
    assert not harness.record().cached
    assert harness.execute() == first
    assert harness.calls == 1
    assert harness.record().cached


@pytest.mark.parametrize("change", ["config", "seed", "code", "input", "parameter"])
def test_what_a_result_depends_on_changes_its_key(harness: Harness, change: str) -> None:
    harness.body(lambda step, **_: write_result(step, "done"))
    data = Handle("data", "/nowhere", "0" * 64).to_dict()
    harness.execute({"data": data}, stage=1)
    if change == "config":
        harness.config["width"] = {"width": 5}
    elif change == "seed":
        harness.config["seed"] = 1
    elif change == "code":
        harness.code = "code 2"
    changed = {**data, "sha256": "1" * 64} if change == "input" else data
    harness.execute({"data": changed}, stage=2 if change == "parameter" else 1)
    assert harness.calls == 2


def test_what_a_result_does_not_depend_on_leaves_its_key(harness: Harness) -> None:
    harness.body(lambda step, **_: write_result(step, "done"))
    data = Handle("data", "/here", "0" * 64).to_dict()
    harness.execute({"data": data})
    harness.config["other"] = {"height": 9}
    harness.execute({"data": {**data, "uri": "/there", "meta": {"rows": 3}}})
    assert harness.calls == 1


def test_reading_a_section_that_was_not_declared_is_an_error(harness: Harness) -> None:
    @dataclass
    class OtherConfig:
        height: int = 0

    harness.body(lambda step: write_result(step, str(step.section(OtherConfig).height)))
    with pytest.raises(KeyError, match="reads section 'other' without declaring it"):
        harness.execute()


def test_a_seed_that_is_not_declared_is_no_part_of_the_key_and_cannot_be_read(harness: Harness) -> None:
    harness.seeded = False
    harness.body(lambda step: write_result(step, "done"))
    first = harness.execute()
    harness.config["seed"] = 1
    assert harness.execute() == first
    assert harness.calls == 1
    harness.body(lambda step: write_result(step, str(step.seed)))
    harness.code = "code 2"
    with pytest.raises(KeyError, match="step 'step' reads the seed without declaring it"):
        harness.execute()


def test_a_declared_seed_arrives(harness: Harness) -> None:
    harness.config["seed"] = 7
    harness.body(lambda step: write_result(step, str(step.seed)))
    assert Handle.from_dict(harness.execute()).path.read_text() == "7"


def test_a_section_arrives_typed(harness: Harness) -> None:
    seen = []
    harness.body(lambda step: (seen.append(step.section(WidthConfig)), write_result(step, ""))[1])
    harness.execute()
    assert seen == [WidthConfig(width=3)]
    assert section_name(WidthConfig) == "width"


def test_a_retry_finds_what_the_killed_attempt_left(harness: Harness) -> None:
    def killed(step: Step) -> Handle:
        (step.workdir / "unit-1").write_text("finished")
        raise KeyboardInterrupt

    harness.body(killed)
    with pytest.raises(KeyboardInterrupt):
        harness.execute()
    assert harness.record().state == "interrupted"
    assert harness.record().error["exit_code"] == 130
    harness.body(lambda step: write_result(step, (step.workdir / "unit-1").read_text()))
    assert Handle.from_dict(harness.execute()).path.read_text() == "finished"


def test_a_lost_result_is_made_again(harness: Harness) -> None:
    harness.body(lambda step: write_result(step, "done"))
    Handle.from_dict(harness.execute()).path.unlink()
    harness.execute()
    assert harness.calls == 2


def test_wrong_input_is_recorded_with_its_exit_code(harness: Harness) -> None:
    def body(step: Step) -> Handle:
        raise InputError("folder is empty")

    harness.body(body)
    with pytest.raises(InputError):
        harness.execute()
    assert harness.record().state == "failed"
    assert harness.record().error == {"type": "InputError", "message": "folder is empty", "exit_code": 2}


def test_a_gate_that_says_no_keeps_its_verdict_and_is_asked_again(harness: Harness) -> None:
    def body(step: Step) -> Handle:
        raise GateFailed("too few clips", write_result(step, "verdict"))

    harness.body(body)
    for _ in range(2):
        with pytest.raises(GateFailed):
            harness.execute()
    assert harness.calls == 2
    assert harness.record().state == "gate_failed"
    assert harness.record().error["exit_code"] == 3
    assert Handle.from_dict(harness.record().handle).path.read_text() == "verdict"


def test_a_fault_keeps_its_traceback_in_the_log(harness: Harness) -> None:
    def body(step: Step) -> Handle:
        subprocess.run(["echo", "before the fault"], check=True)
        raise ZeroDivisionError("clip 7")

    harness.body(body)
    with pytest.raises(ZeroDivisionError):
        harness.execute()
    log = Path(harness.record().log_path).read_text()
    assert "before the fault" in log
    assert "ZeroDivisionError: clip 7" in log
    assert harness.record().error["exit_code"] == 1


def test_an_extra_identity_changes_the_key(harness: Harness) -> None:
    harness.body(lambda step: write_result(step, "done"))
    files = ["one"]
    harness.module.identity = lambda step: "".join(files)  # type: ignore[attr-defined]
    write_json(harness.root / "config.json", {"config": harness.config, "identity": harness.config})
    reference = RunReference("run", str(harness.root), harness.store.url, str(harness.root / "config.json")).to_dict()
    for _ in range(2):
        execute(f"{MODULE}.body", name="step", run=reference, sections=["width"], identity=f"{MODULE}.identity")
    assert harness.calls == 1
    files.append("two")
    execute(f"{MODULE}.body", name="step", run=reference, sections=["width"], identity=f"{MODULE}.identity")
    assert harness.calls == 2
