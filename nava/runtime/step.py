"""Steps: the unit of work of a pipeline, with an identity, a place of its own, and a record it keeps of itself.

A step's key is the hash of its input hashes, the slice of configuration it reads, and the digest of the code it runs.
Its working folder lies under that key. A step whose result exists returns at once; one that was killed finds its
folder, and what it finished there, again.
"""

import fcntl
import importlib
import inspect
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from nava.runtime.code_digest import code_digest
from nava.runtime.errors import EXIT_FAILED, EXIT_INTERRUPTED, GateFailed, NavaError
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_json
from nava.runtime.progress import Progress
from nava.runtime.step_log import captured_output, peak_memory_mb
from nava.runtime.storage import read_json, write_json
from nava.runtime.store import Store, utc_now

C = TypeVar("C")
T = TypeVar("T")
KEY_DIGITS = 16
RESULT_FILE = "result.json"
INTERRUPTED = {"type": "KeyboardInterrupt", "message": "interrupted from outside", "exit_code": EXIT_INTERRUPTED}


@dataclass(frozen=True)
class RunReference:
    """What a step needs to know of its run; passes through KFP as a small JSON.

    Attributes:
        run_id: the run's id in the store.
        run_dir: root of everything the run makes.
        store_url: SQLAlchemy URL of the store.
        config_uri: the resolved configuration (JSON with `config` and `identity`, both by section).
    """

    run_id: str
    run_dir: str
    store_url: str
    config_uri: str

    def to_dict(self) -> dict[str, Any]:
        """The reference as JSON."""
        return asdict(self)


class _DeclaredSeed:
    """The field `seed` of a step: set to None for a step whose identity it is not part of, and then not to be read."""

    def __get__(self, step: "Step | None", owner: type | None = None) -> int:
        if step is None:
            raise AttributeError("the seed has no default")
        value: int | None = step.__dict__["seed"]
        if value is None:
            raise KeyError(f"step '{step.name}' reads the seed without declaring it")
        return value

    def __set__(self, step: "Step", value: int | None) -> None:
        step.__dict__["seed"] = value


# Neither printed nor compared: both would read a seed that may not be read.
@dataclass(repr=False, eq=False)
class Step:
    """What a step function is given: its configuration, its folder, its progress.

    Attributes:
        name: the step's name in the pipeline.
        run_dir: root of the run, shared with other steps.
        run_id: the run that asked for this step.
        key: the step's identity; empty while it is being computed.
        recipe: name of the recipe of the run, for people; no part of the identity.
        sections: the slices of configuration it declared, by section name.
        seed: the run's seed, for a step that declared that it reads it; KeyError for the others.
        progress: wraps an iterable and reports.
    """

    name: str
    run_dir: Path
    run_id: str
    sections: dict[str, Any]
    seed: _DeclaredSeed = _DeclaredSeed()
    key: str = ""
    recipe: str = ""
    workdir: Path = Path()
    progress: Progress = field(default_factory=Progress)

    def section(self, schema: type[C]) -> C:
        """The typed slice of configuration for a schema class, e.g. `CurationConfig` for the section `curation`.

        Raises:
            KeyError: the step did not declare that section, so it is not part of its identity.
        """
        name = section_name(schema)
        if name not in self.sections:
            raise KeyError(f"step '{self.name}' reads section '{name}' without declaring it")
        return typed_section(schema, self.sections[name])

    def log(self, text: str) -> None:
        """A plain line in the step's log."""
        print(text, flush=True)


def section_name(schema: type) -> str:
    """The section of a schema class: `LatentsConfig` -> `latents`."""
    return schema.__name__.removesuffix("Config").lower()


def typed_section(schema: type[C], values: dict[str, Any]) -> C:
    """Plain values as the schema's class; what is not given has the schema's value.

    Raises:
        OmegaConfBaseException: a key that the schema does not have, or a value of another type.
    """
    from omegaconf import OmegaConf

    value = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), values))
    assert isinstance(value, schema)
    return value


def execute(
    function: str,
    *,
    name: str,
    run: dict[str, Any],
    sections: Iterable[str] = (),
    seeded: bool = False,
    inputs: dict[str, dict[str, Any] | None] | None = None,
    parameters: dict[str, Any] | None = None,
    identity: str | None = None,
) -> dict[str, Any]:
    """Run a step, or return its result if it has one, and record it in the store. What every KFP component calls.

    Args:
        function: dotted name of the step function, `package.module.function`.
        name: the step's name in the pipeline.
        run: the run reference as JSON.
        sections: the sections of configuration the function may read.
        seeded: the function reads the run's seed, which then is part of the identity.
        inputs: handles as JSON, passed as keyword arguments; None for an absent one.
        parameters: further keyword arguments, part of the identity.
        identity: dotted name of a function `(Step, **handles) -> str` for what else the result depends on (the files of
            a folder, the champion); it is given those handles that it names as parameters.

    Returns:
        The handle of the result, as JSON.
    """
    reference = RunReference(**run)
    store = Store(reference.store_url)
    log = Path(reference.run_dir) / "logs" / reference.run_id / f"{name}.log"
    store.update_step(reference.run_id, name, state="running", started_at=utc_now(), log_path=str(log))
    started = time.monotonic()
    call = _StepCall(function, name, reference, inputs or {}, parameters or {}, seeded)
    try:
        with captured_output(log):
            handle, key, cached = call.run(tuple(sections), identity)
    except BaseException as error:
        record = _error_record(error)
        if not isinstance(error, NavaError):
            with log.open("a") as file:
                file.write(traceback.format_exc())
        verdict = error.verdict.to_dict() if isinstance(error, GateFailed) and error.verdict else None
        _finish(store, reference.run_id, name, started, state=_end_state(error), error=record, handle=verdict)
        raise
    _finish(
        store,
        reference.run_id,
        name,
        started,
        state="succeeded",
        cached=cached,
        key=key,
        handle=handle.to_dict(),
        error=None,
    )
    return handle.to_dict()


def open_loop(run: dict[str, Any], name: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Record what a loop of the pipeline is going to repeat the step `name` for, one step for each item.

    Args:
        run: the run reference as JSON.
        name: the step as it was planned; its iterations are called `iteration_name(name, item)`.
        items: each has a `name` of its own.

    Returns:
        The items, as the loop takes them.
    """
    Store(run["store_url"]).unroll_step(run["run_id"], name, [iteration_name(name, item) for item in items])
    return items


def iteration_name(name: str, item: dict[str, Any]) -> str:
    """What the step of one iteration is called."""
    return f"{name}_{item['name']}"


def _finish(store: Store, run_id: str, name: str, started: float, **values: Any) -> None:
    seconds = round(time.monotonic() - started, 3)
    store.update_step(run_id, name, ended_at=utc_now(), seconds=seconds, peak_memory_mb=peak_memory_mb(), **values)


def _end_state(error: BaseException) -> str:
    if isinstance(error, NavaError):
        return error.state
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def _error_record(error: BaseException) -> dict[str, Any]:
    if isinstance(error, NavaError):
        return {"type": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    message = str(error) or type(error).__name__
    return {"type": type(error).__name__, "message": message, "exit_code": EXIT_FAILED}


@dataclass(frozen=True)
class _StepCall:
    function: str
    name: str
    reference: RunReference
    inputs: dict[str, dict[str, Any] | None]
    parameters: dict[str, Any]
    seeded: bool

    def run(self, sections: tuple[str, ...], identity: str | None) -> tuple[Handle, str, bool]:
        resolved = read_json(Path(self.reference.config_uri))
        step = self._step(resolved, sections)
        handles = {name: Handle.from_dict(value) if value else None for name, value in self.inputs.items()}
        step.key = self._key(resolved, sections, handles, _extra_identity(identity, step, handles))
        step.workdir = step.run_dir / "steps" / self.name / step.key[:KEY_DIGITS]
        step.workdir.mkdir(parents=True, exist_ok=True)
        step.progress = Progress(step.workdir / "progress.json")
        with _locked(step.workdir / ".lock"):
            result = step.workdir / RESULT_FILE
            if (cached := _read_result(result)) is not None:
                step.log(f"unchanged, reused from {step.workdir}")
                return cached, step.key, True
            handle = load_function(self.function)(step, **handles, **self.parameters)
            write_json(result, handle.to_dict())
            (step.workdir / "progress.json").unlink(missing_ok=True)
        return handle, step.key, False

    def _step(self, resolved: dict[str, Any], sections: tuple[str, ...]) -> Step:
        config = resolved["config"]
        slices = {section: config[section] for section in sections}
        seed = int(config["seed"]) if self.seeded else None
        recipe = str(resolved.get("recipe", ""))
        return Step(self.name, Path(self.reference.run_dir), self.reference.run_id, slices, seed, recipe=recipe)

    def _key(
        self, resolved: dict[str, Any], sections: tuple[str, ...], handles: dict[str, Handle | None], extra: str
    ) -> str:
        return sha256_json(
            {
                "function": self.function,
                "inputs": {name: handle.sha256 if handle else None for name, handle in handles.items()},
                "config": {section: resolved["identity"][section] for section in sections},
                "seed": resolved["config"]["seed"] if self.seeded else None,
                "parameters": self.parameters,
                "extra": extra,
                "code": code_digest(self.function.rpartition(".")[0]),
            }
        )


def _extra_identity(identity: str | None, step: Step, handles: dict[str, Handle | None]) -> str:
    """What an identity function says, given the handles among its parameters."""
    if identity is None:
        return ""
    function = load_function(identity)
    wanted = inspect.signature(function).parameters
    return str(function(step, **{name: handle for name, handle in handles.items() if name in wanted}))


def load_function(dotted: str) -> Callable[..., Any]:
    """The function behind a dotted name."""
    module, _, attribute = dotted.rpartition(".")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def _read_result(path: Path) -> Handle | None:
    """The finished result, if it is there and what it refers to still exists."""
    if not path.is_file():
        return None
    handle = Handle.from_dict(read_json(path))
    return handle if "://" in handle.uri or handle.path.exists() else None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time works under a key; the lock goes with the process, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
