"""Arms of a campaign: the model's own clips, and those that stand beside them so that a figure can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nava.evaluation.benchmark.item import Item
from nava.evaluation.benchmark.task import Task
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.storage import read_json, write_json

SCHEMA_VERSION = 1
MODEL, UNTRAINED, SHUFFLED, TRUTH = "model", "untrained", "shuffled", "truth"
BASELINES = (UNTRAINED, SHUFFLED, TRUTH)
OUTPUTS = "outputs"
RECORD_FILE = "outputs.json"


@dataclass(frozen=True)
class Arm:
    """A row of the report before it is scored.

    Attributes:
        name: `MODEL` or one of `BASELINES`.
        label: what the row is called.
        folder: holds the media in ``outputs/``, and what they are in ``outputs.json``.
        files: the clip of each item, by id.
        reasons: why an item has none, by id; an item in neither was not thought of.
        accidents: items among `reasons` that may turn out better when tried again.
        package_sha256: of the package that made the clips; None for baselines, which are not its clips.
    """

    name: str
    label: str
    folder: Path
    files: Mapping[str, Path]
    reasons: Mapping[str, str] = field(default_factory=dict)
    accidents: Sequence[str] = ()
    package_sha256: str | None = None

    @property
    def outputs(self) -> Path:
        """The folder of the media."""
        return self.folder / OUTPUTS


def arm_folder(out: Path, name: str) -> Path:
    """Where an arm lies: the model's own in the folder itself, each baseline in one of its name."""
    return out if name == MODEL else out / name


def check_baselines(task: Task, baselines: Sequence[str]) -> None:
    """Refuse baselines that there are not, or not for this task. InputError."""
    if unknown := set(baselines) - set(BASELINES):
        raise InputError(f"there is no baseline {', '.join(sorted(unknown))}; there are {', '.join(BASELINES)}")
    if TRUTH in baselines and task.layout != "builtin":
        raise InputError(
            f"baseline {TRUTH}: {task.task_id} does not come with the true clips of its prompts; only the built-in "
            "benchmark does"
        )


def first_items(items: Sequence[Item], per_subset: int) -> list[Item]:
    """The first items of each subset, by id; all of them for 0."""
    chosen: list[Item] = []
    for item in sorted(items, key=lambda item: item.item_id):
        if not per_subset or sum(other.subset == item.subset for other in chosen) < per_subset:
            chosen.append(item)
    return chosen


def write_arm(arm: Arm, key: str) -> None:
    """Keep what an arm's outputs are; `key` is of everything that decides them."""
    value = {
        "schema_version": SCHEMA_VERSION,
        "arm": arm.name,
        "label": arm.label,
        "key": key,
        "files": {
            item: {"path": path.relative_to(arm.folder).as_posix(), "sha256": sha256_file(path)}
            for item, path in sorted(arm.files.items())
        },
        "reasons": dict(sorted(arm.reasons.items())),
        "accidents": sorted(arm.accidents),
        "package_sha256": arm.package_sha256,
    }
    write_json(arm.folder / RECORD_FILE, value)


def read_arm(folder: Path) -> Arm:
    """An arm as it was kept. InputError where there is none."""
    try:
        value = read_json(folder / RECORD_FILE)
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no outputs of a campaign: it has no {RECORD_FILE}") from error
    files = {item: folder / entry["path"] for item, entry in value["files"].items()}
    accidents, package_sha256 = tuple(value["accidents"]), value.get("package_sha256")
    return Arm(value["arm"], value["label"], folder, files, value["reasons"], accidents, package_sha256)


def finished_arm(folder: Path, key: str) -> Arm | None:
    """The arm, if all of it is there, whole, and made from what `key` is of; an accident is worth another try."""
    if not (folder / RECORD_FILE).is_file():
        return None
    value = read_json(folder / RECORD_FILE)
    if value.get("key") != key or value["accidents"]:
        return None
    arm = read_arm(folder)
    whole = all(
        path.is_file() and sha256_file(path) == value["files"][item]["sha256"] for item, path in arm.files.items()
    )
    return arm if whole else None


def arm_sha256(arm: Arm) -> str:
    """Identity of what was made: the files by content and the reasons, wherever they lie."""
    files = {item: sha256_file(path) for item, path in sorted(arm.files.items())}
    return sha256_json({"arm": arm.name, "label": arm.label, "files": files, "reasons": dict(arm.reasons)})
