"""Loops of kfp.local: an iteration has its own item and, unlike with kfp alone, its other inputs too."""

import json
import os
import subprocess
import sys
from pathlib import Path

from nava.console.local_loops import iteration, own_inputs

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = """
import sys
from contextlib import nullcontext
from kfp import dsl, local
from nava.console.local_loops import own_inputs


@dsl.component(install_kfp_package=False)
def items() -> list:
    return [{"name": "a", "of": [1, 2]}, {"name": "b", "of": []}]


@dsl.component(install_kfp_package=False)
def shared() -> dict:
    return {"shared": True}


@dsl.component(install_kfp_package=False)
def one(item: dict, common: dict, word: str) -> dict:
    return {"item": item["name"], "common": common, "word": word}


@dsl.component(install_kfp_package=False)
def together(ones: list, place: str) -> None:
    import json
    from pathlib import Path

    Path(place).write_text(json.dumps(ones))


@dsl.pipeline(name="loops")
def loops(place: str, word: str) -> None:
    with dsl.If(word != "", name="steps"):
        common = shared().output
        with dsl.ParallelFor(items().output, name="each") as item:
            made = one(item=item, common=common, word=word).output
        together(ones=dsl.Collected(made), place=place)


folder, ours = sys.argv[1], sys.argv[2] == "ours"
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=folder + "/kfp", enable_caching=False)
with own_inputs() if ours else nullcontext():
    loops(place=folder + "/ones.json", word="yes")
"""


def run(folder: Path, whose: str) -> list[dict[str, object]]:
    script = folder / "loops.py"
    script.write_text(PIPELINE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, str(script), str(folder), whose], cwd=folder, env=environment, check=True, capture_output=True
    )
    found: list[dict[str, object]] = json.loads((folder / "ones.json").read_text())
    return found


def test_an_iteration_reads_what_the_loop_was_given(tmp_path: Path) -> None:
    rest = {"common": {"shared": True}, "word": "yes"}
    assert run(tmp_path, "ours") == [{"item": "a", **rest}, {"item": "b", **rest}]


def test_kfp_alone_still_needs_it(tmp_path: Path) -> None:
    """The day this fails, `nava.console.local_loops` can go."""
    assert [one["common"] for one in run(tmp_path, "theirs")] != [{"shared": True}] * 2


def test_what_was_put_in_its_place_is_put_back() -> None:
    from kfp.local.orchestrator import task_spec_utils

    theirs = task_spec_utils.create_parameter_loop_iteration_task_spec
    with own_inputs():
        assert task_spec_utils.create_parameter_loop_iteration_task_spec is iteration
    assert task_spec_utils.create_parameter_loop_iteration_task_spec is theirs
