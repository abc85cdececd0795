"""The settings that a run was started with, for commands that look at it later."""

from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select

from nava.runtime.errors import InputError
from nava.runtime.step import section_name, typed_section
from nava.runtime.storage import read_json
from nava.runtime.store import RunRow, Store

C = TypeVar("C")


def recorded_config(run_dir: Path, schema: type[C]) -> C:
    """The section of `schema` (`RegistryConfig`, say) as the newest run in `run_dir` recorded it.

    The schema's own values where no run was recorded there.

    Raises:
        InputError: the recorded file is gone, or this release does not know a setting in it.
    """
    from omegaconf.errors import OmegaConfBaseException

    path = _newest(run_dir)
    if path is None:
        return schema()
    if not path.is_file():
        raise InputError(f"the configuration {path} that the newest run in {run_dir} recorded is gone: put it back")
    section: dict[str, Any] = read_json(path)["config"].get(section_name(schema), {})
    try:
        return typed_section(schema, section)
    except OmegaConfBaseException as error:
        raise InputError(f"{path}: section {section_name(schema)} is not of this release: {error}") from error


def _newest(run_dir: Path) -> Path | None:
    """The configuration file of the newest run; found also where the run's folder was moved since."""
    database = run_dir.resolve() / "store.db"
    if not database.is_file():
        return None
    with Store(f"sqlite:///{database}").session() as session:
        run = session.scalars(select(RunRow).order_by(RunRow.started_at.desc()).limit(1)).first()
    if run is None or not run.parameters.get("config"):
        return None
    recorded = Path(run.parameters["config"])
    return recorded if recorded.is_file() else run_dir / recorded.parent.name / recorded.name
