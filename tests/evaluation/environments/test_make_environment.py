"""Environments are really made; whatever goes wrong leaves no stamp and says why."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nava.evaluation.environments.make import make_environment
from nava.evaluation.environments.recipe import Environment
from nava.evaluation.extraction.environment_worker import WorkerCommand, WorkerProcess
from nava.runtime.errors import InputError, NavaError
from nava.runtime.storage import read_json
from tests.evaluation.environments.tiny_workers import HEAD, pretend_made, tiny_recipe, tiny_worker

NO_PACKAGE = "nava-has-no-such-package @ file:///nowhere/nava_has_no_such_package-1-py3-none-any.whl\n"


def made(environment: Environment, python: str = sys.executable) -> list[str]:
    """What was told."""
    told: list[str] = []
    make_environment(environment, python, told.append)
    return told


def test_an_environment_is_made_once_and_its_worker_answers(tmp_path: Path) -> None:
    environment = Environment(tiny_recipe(tmp_path / "tiny"), tmp_path / "place")
    assert [line.partition(" ")[0] for line in made(environment)] == ["making", "installing", "trying"]
    assert (environment.place / "pyvenv.cfg").is_file()
    assert read_json(environment.stamp)["library"] == "tiny 1"
    assert environment.lacks() == ""
    arguments = (str(environment.python), "-I", str(environment.recipe.worker), "--backend", "honest")
    process = WorkerProcess(WorkerCommand(arguments, "honest"))
    assert Path(f"/proc/{process.pid}/exe").readlink().samefile(environment.python)
    process.close()
    before = environment.stamp.stat().st_mtime_ns
    assert made(environment) == []
    assert environment.stamp.stat().st_mtime_ns == before
    # Only the worker is new: nothing is installed again.
    tiny_worker(environment.recipe.folder, HEAD.replace("tiny 1", "tiny 2"))
    assert environment.lacks() == "was made from another recipe"
    assert made(environment) == ["trying the worker"]
    assert read_json(environment.stamp)["library"] == "tiny 2"
    # New requirements that cannot be had take the old environment with them.
    (environment.recipe.folder / "requirements-no-deps.txt").write_text(NO_PACKAGE)
    with pytest.raises(NavaError, match=r"pip install of .*requirements-no-deps\.txt failed: .*has_no_such_package"):
        made(environment)
    assert not environment.stamp.exists()
    assert environment.lacks() == "has not been made"


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (HEAD.replace('return "tiny 1"', "import nothing_like_it"), "No module named 'nothing_like_it'"),
        (HEAD.replace('return "tiny 1"', "os._exit(0)"), "it said ''"),
        (HEAD.replace('return "tiny 1"', "os._exit(139)"), "worker of tiny failed: code 139"),
        ("raise SystemExit('torn')\n", "worker of tiny failed: torn"),
    ],
)
def test_what_is_installed_and_cannot_be_imported_is_no_environment(tmp_path: Path, head: str, message: str) -> None:
    recipe = tiny_recipe(tmp_path / "tiny")
    environment = pretend_made(recipe, tmp_path / "place")
    tiny_worker(recipe.folder, head)
    with pytest.raises(NavaError, match=message):
        made(environment)
    assert not environment.stamp.exists()
    tiny_worker(recipe.folder)
    # Whether what was installed is whole is not known any more.
    assert environment.lacks() == "has not been made"


def test_what_is_no_environment_is_left_alone(tmp_path: Path) -> None:
    environment = Environment(tiny_recipe(tmp_path / "tiny"), tmp_path / "place")
    environment.place.mkdir()
    (environment.place / "thesis.tex").write_text("ten years")
    with pytest.raises(InputError, match=r"is no environment, and something is in it"):
        made(environment)
    assert (environment.place / "thesis.tex").read_text() == "ten years"


@pytest.mark.parametrize("python", ["gone", "text"])
def test_an_interpreter_that_is_none_is_told(tmp_path: Path, python: str) -> None:
    (tmp_path / "text").write_text("no program")
    environment = Environment(tiny_recipe(tmp_path / "tiny"), tmp_path / "place")
    with pytest.raises(InputError, match=r"name (one|an interpreter) with --python"):
        made(environment, str(tmp_path / python))


def test_a_step_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    environment = Environment(tiny_recipe(tmp_path / "tiny"), tmp_path / "place")
    with pytest.raises(NavaError, match=r"venv did not end within 0\.2 s"):
        make_environment(environment, str(slow), print, timeout_s=0.2)


MAKER = """
import sys
from pathlib import Path
from nava.evaluation.environments.make import make_environment
from nava.evaluation.environments.recipe import Environment, Recipe
recipe, place = map(Path, sys.argv[1:])
make_environment(Environment(Recipe("tiny", recipe), place), sys.executable, lambda text: print(text, flush=True))
"""


def test_killed_while_it_is_made_it_is_made_anew(tmp_path: Path) -> None:
    environment = Environment(tiny_recipe(tmp_path / "tiny"), tmp_path / "place")
    maker = subprocess.Popen(
        [sys.executable, "-c", MAKER, str(environment.recipe.folder), str(environment.place)], start_new_session=True
    )
    while maker.poll() is None and not (environment.place / "pyvenv.cfg").exists():
        time.sleep(0.01)
    os.killpg(maker.pid, signal.SIGKILL)
    maker.wait()
    assert (environment.place / "pyvenv.cfg").exists()
    assert environment.lacks() == "has not been made"
    assert made(environment)[0].startswith("making")
    assert environment.lacks() == ""
