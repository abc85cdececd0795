"""What was made from clips that have to be forgotten: latent shards, checkpoints, evaluations, models, packages.

Hashes link them. A latent index names its clips; the store has the handles that each run's steps returned, and the
registry the hashes of corpus, shards and checkpoint that a version was registered from. Nothing is changed here: a
model that has seen a clip cannot unsee it, and people decide whether it is trained again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import select

from nava.artifacts import corpus_version, evaluation_result, latent_shard, model_package, model_version
from nava.config.registry import RegistryConfig
from nava.registry.mlflow_registry import PACKAGE_SHA256_TAG, PACKAGE_URI_TAG
from nava.registry.versions import list_versions
from nava.runtime.store import StepRow, Store

CHECKPOINT_KIND = "checkpoint"
_MADE_OF_SHARDS = (CHECKPOINT_KIND, evaluation_result.KIND, model_version.KIND, model_package.KIND)


@dataclass(frozen=True)
class LatentShardUse:
    """Latent shards that hold clips.

    Attributes:
        folder: the folder with the index.
        sha256: by which later steps know it; empty if no run recorded it.
        files: the shard files, relative to the folder.
        clips: how many of the clips are in them.
    """

    folder: str
    sha256: str
    files: list[str]
    clips: int


@dataclass(frozen=True)
class Descendant:
    """Something that was made from such shards.

    Attributes:
        kind: of its handle.
        sha256: its content. uri: where it is.
        step: the step that made it. run_id: the run of that step.
    """

    kind: str
    sha256: str
    uri: str
    step: str
    run_id: str


@dataclass(frozen=True)
class AffectedModel:
    """A registered version that was trained on them.

    Attributes:
        name: of the registered model. version: its number.
        aliases: where it stands now; a champion among them is being served.
        package_uri: its package; empty without one. package_sha256: the package's content.
        because: which hash links it: `corpus`, `shards` or `checkpoint`.
    """

    name: str
    version: int
    aliases: list[str]
    package_uri: str
    package_sha256: str
    because: str


@dataclass(frozen=True)
class CorpusLineage:
    """Everything in a run folder that was made from the clips."""

    latent_shards: list[LatentShardUse]
    descendants: list[Descendant]
    models: list[AffectedModel]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def trace_clips(
    run_dir: Path, clips: Collection[str], contents: Collection[str], config: RegistryConfig | None = None
) -> CorpusLineage:
    """Find what a run folder and its registry hold that was made from clips.

    Args:
        run_dir: root of the run.
        clips: ids of the clips (`ForgetReport.clips`).
        contents: content hashes of the corpus versions that hold them (`ForgetReport.contents`).
        config: where the registry is; by default as the run recorded it.
    """
    steps = _recorded_steps(run_dir)
    shards = _latent_shards(run_dir, set(clips), steps)
    # The clips may lie in shards that were deleted since, or on another machine: the corpus then tells.
    tainted_runs = {
        row.run_id
        for row in steps
        if _is(row, corpus_version.KIND, contents) or _is(row, latent_shard.KIND, {use.sha256 for use in shards})
    }
    descendants = _descendants(row for row in steps if row.run_id in tainted_runs)
    hashes = {
        "corpus": set(contents),
        "shards": {use.sha256 for use in shards if use.sha256},
        "checkpoint": {item.sha256 for item in descendants if item.kind == CHECKPOINT_KIND},
    }
    return CorpusLineage(shards, descendants, _models(list_versions(run_dir, config), hashes))


def _recorded_steps(run_dir: Path) -> list[StepRow]:
    """Every step of every run in the folder that returned something."""
    database = run_dir / "store.db"
    if not database.is_file():
        return []
    with Store(f"sqlite:///{database}").session() as session:
        rows = session.scalars(select(StepRow).order_by(StepRow.run_id, StepRow.position))
        return [row for row in rows if row.handle]


def _is(row: StepRow, kind: str, hashes: Collection[str]) -> bool:
    return bool(row.handle and row.handle["kind"] == kind and row.handle["sha256"] in hashes)


def _latent_shards(run_dir: Path, clips: set[str], steps: Iterable[StepRow]) -> list[LatentShardUse]:
    sha256_by_folder = {
        row.handle["uri"]: row.handle["sha256"]
        for row in steps
        if row.handle and row.handle["kind"] == latent_shard.KIND
    }
    uses = []
    for index in sorted((run_dir / "shards").glob(f"*/{latent_shard.INDEX_FILE}")):
        # Only the columns that every version of the index has: old shards count too.
        rows = pq.read_table(index, columns=["clip_id", "shard"]).to_pylist()
        held = [row for row in rows if row["clip_id"] in clips]
        if held:
            folder = str(index.parent.resolve())
            files = sorted({row["shard"] for row in held})
            uses.append(LatentShardUse(folder, sha256_by_folder.get(folder, ""), files, len(held)))
    return uses


def _descendants(steps: Iterable[StepRow]) -> list[Descendant]:
    found: dict[tuple[str, str], Descendant] = {}
    for row in steps:
        handle = row.handle or {}
        if handle.get("kind") in _MADE_OF_SHARDS:
            item = Descendant(handle["kind"], handle["sha256"], handle["uri"], row.name, row.run_id)
            # Runs in one folder share steps; the first that recorded it stands for all.
            found.setdefault((item.kind, item.sha256), item)
    return list(found.values())


def _models(versions: Iterable[Mapping[str, Any]], hashes: Mapping[str, set[str]]) -> list[AffectedModel]:
    affected = []
    for version in versions:
        tags = version["tags"]
        because = next((name for name, found in hashes.items() if tags.get(f"nava.{name}_sha256") in found), None)
        if because is not None:
            uri, sha256 = (str(tags.get(tag) or "") for tag in (PACKAGE_URI_TAG, PACKAGE_SHA256_TAG))
            number, aliases = int(version["version"]), list(version["aliases"])
            affected.append(AffectedModel(version["name"], number, aliases, uri, sha256, because))
    return affected
