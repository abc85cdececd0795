"""A corpus version: a revision of a corpus repository (git + DVC) and the hash of what it holds."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.storage import read_json, write_json

SCHEMA_VERSION = 2
KIND = "corpus_version"
RECORD_NAME = "corpus.json"


@dataclass(frozen=True)
class CorpusVersion:
    """One version of a corpus.

    Attributes:
        version: the tag, `v1`, `v2`, ...
        parent: the version before it, or empty for the first.
        content_sha256: hash of the clips (manifest and media): the same content is the same version, however it is
            packed.
        dvc_md5: what DVC calls the folder that holds them, packed.
        git_revision: commit of the corpus repository.
        repository: folder or address of the corpus repository.
        remote_url: where DVC keeps the media.
        git_url: the git repository that it was pushed to; empty if `repository` is the only one.
        counts: records `in`, `kept`, `dropped`, `failed`, `quarantined` of the curation it comes from.
        kept_by_split: kept clips per split, as `train/av`.
        counts_by_origin: the same counts and `sources`, for each origin. `sources.parquet` has them for each source.
        recipe: name of the recipe that curated it; empty if it is not known.
        config_sha256: hash of that recipe's resolved settings.
        stage_versions: the versions of each curation stage that its records went through.
        media: `files`, `bytes` and `shards` of the clips, and `new_shards`, those that the parent does not have.
        reason: why it was made, where that was not a curation's result.
        forgotten: ids of sources that were left out because they are on the forget list.
        clips_sha256: hash of the curation result it was made from.
        verdict_sha256: hash of the gate's verdict that let it pass.
    """

    version: str
    parent: str
    content_sha256: str
    dvc_md5: str
    git_revision: str
    repository: str
    remote_url: str
    counts: dict[str, int]
    git_url: str = ""
    kept_by_split: dict[str, int] = field(default_factory=dict)
    counts_by_origin: dict[str, dict[str, int]] = field(default_factory=dict)
    recipe: str = ""
    config_sha256: str = ""
    stage_versions: dict[str, list[str]] = field(default_factory=dict)
    media: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    forgotten: list[str] = field(default_factory=list)
    clips_sha256: str = ""
    verdict_sha256: str = ""
    schema_version: int = SCHEMA_VERSION


def write_corpus_version(path: Path, version: CorpusVersion) -> Handle:
    """Write the JSON. The handle's hash is that of the content: a commit's time or place changes nothing later."""
    write_json(path, asdict(version))
    meta = {
        "version": version.version,
        "parent": version.parent,
        "git_revision": version.git_revision,
        "dvc_md5": version.dvc_md5,
        "counts": version.counts,
        "kept_by_split": version.kept_by_split,
    }
    return Handle(KIND, str(path.resolve()), version.content_sha256, meta)


def read_corpus_version(handle: Handle) -> CorpusVersion:
    """Read the version a handle refers to.

    Raises:
        InputError: the file is missing, of another schema version, or does not belong to the handle.
    """
    path = handle.require(KIND).path
    if not path.is_file():
        raise InputError(f"corpus version {path} does not exist; run the step 'version' again")
    version = _checked(read_json(path), str(path))
    if version.content_sha256 != handle.sha256:
        raise InputError(
            f"corpus version {path} holds {version.content_sha256[:12]}, not {handle.sha256[:12]} as asked"
        )
    return version


def parse_corpus_version(text: bytes, **place: str) -> CorpusVersion:
    """The record that a repository keeps of a version, completed by where it was found.

    Args:
        text: the JSON, as it was committed.
        place: `git_revision`, `repository`, `remote_url` or `version`; an empty one leaves what the record says.

    Raises:
        InputError: it is of another schema version or no record.
    """
    given = {name: value for name, value in place.items() if value}
    try:
        value = {**json.loads(text), **given}
    except (ValueError, TypeError) as error:
        raise InputError(f"{RECORD_NAME} cannot be read: {error}") from error
    return _checked(value, f"{RECORD_NAME} of {place.get('repository', 'the repository')}")


def _checked(value: dict[str, Any], where: str) -> CorpusVersion:
    found = value.get("schema_version")
    if found != SCHEMA_VERSION:
        raise InputError(f"corpus version {where} has schema version {found}; this code reads {SCHEMA_VERSION}")
    known = {item.name for item in fields(CorpusVersion)}
    if unknown := set(value) - known:
        raise InputError(f"corpus version {where} has unknown fields: {', '.join(sorted(unknown))}")
    return CorpusVersion(**value)
