"""Making an environment: a venv, its requirements, a trial of the worker, and a stamp last of all."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nava.evaluation.environments.recipe import STAMP_VERSION, Environment
from nava.runtime.errors import InputError, NavaError
from nava.runtime.storage import write_json

TIMEOUT_S = 3600.0
_LAST_LINES = 3
Tell = Callable[[str], None]


def make_environment(environment: Environment, python: str, tell: Tell, timeout_s: float = TIMEOUT_S) -> bool:
    """Make an environment, unless it is there.

    Whatever is killed when: without its stamp an environment does not count, and the next call makes it anew. If only
    the worker has changed, nothing is installed again.

    Args:
        environment: where, and of what.
        python: the interpreter that it is made with.
        tell: is told what begins.
        timeout_s: of each step.

    Returns:
        Whether there was something to do.

    Raises:
        InputError: the place holds something else, or there is no such interpreter.
        NavaError: a step failed; the message has its last words. There is no stamp then.
    """
    with _alone(environment.place):
        if not environment.lacks():
            return False
        installed = environment.stamped().get("requirements_sha256") == environment.recipe.requirements_sha256
        environment.stamp.unlink(missing_ok=True)
        if not (installed and environment.python.exists()):
            _install(environment, python, tell, timeout_s)
        tell("trying the worker")
        hello = _tried(environment, timeout_s)
        write_json(
            environment.stamp,
            {
                "schema_version": STAMP_VERSION,
                "environment": environment.recipe.name,
                "requirements_sha256": environment.recipe.requirements_sha256,
                "sha256": environment.recipe.sha256,
                "library": str(hello.get("library", "")),
            },
        )
        return True


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """One process at a time makes an environment; the others wait, and then find it made."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f".{place.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(environment: Environment, python: str, tell: Tell, timeout_s: float) -> None:
    place = environment.place
    if place.exists():
        # Only what is, or began as, an environment may be removed.
        if any(place.iterdir()) and not (place / "pyvenv.cfg").is_file():
            raise InputError(
                f"{place} is no environment, and something is in it: name another --folder or move it away"
            )
        shutil.rmtree(place)
    tell(f"making {place} with {python}")
    _run([python, "-m", "venv", str(place)], "venv", timeout_s)
    for file, arguments in environment.recipe.requirements.items():
        tell(f"installing {file.name}; this may take minutes")
        pip = [str(environment.python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--no-input", *arguments, "--requirement", str(file)], f"pip install of {file}", timeout_s)


def _tried(environment: Environment, timeout_s: float) -> dict[str, object]:
    """The worker's hello: it has imported its library."""
    command = [str(environment.python), "-I", str(environment.recipe.worker), "--check"]
    said = _run(command, f"worker of {environment.recipe.name}", timeout_s).strip()
    try:
        hello = json.loads(said.splitlines()[-1] if said else "")
    except ValueError:
        hello = None
    if not isinstance(hello, dict) or hello.get("error"):
        reason = hello["error"] if isinstance(hello, dict) else f"it said {said[:200]!r}"
        raise NavaError(f"environment {environment.recipe.name} is installed, but its library cannot be used: {reason}")
    return hello


def _run(command: Sequence[str], what: str, timeout_s: float) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError as error:
        raise InputError(f"there is no interpreter {command[0]}: name one with --python") from error
    except PermissionError as error:
        raise InputError(f"{command[0]} is no program: name an interpreter with --python") from error
    except subprocess.TimeoutExpired as error:
        raise NavaError(f"{what} did not end within {timeout_s:g} s and was ended") from error
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if not line.upper().startswith(("WARNING", "[NOTICE]"))]
        raise NavaError(f"{what} failed: {' '.join((errors or lines)[-_LAST_LINES:]) or f'code {done.returncode}'}")
    return done.stdout
