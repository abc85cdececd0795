"""A corpus version: a revision of a corpus repository (git + DVC) and the hash of what it holds."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.storage import read_json, write_json

SCHEMA_VERSION = 1
KIND = "corpus_version"


@dataclass(frozen=True)
class CorpusVersion:
    """One version of a corpus.

    Attributes:
        version: the tag, `v1`, `v2`, ...
        parent: the version before it, or empty for the first.
        content_sha256: hash of the clips (manifest and media): the same content is the same version.
        dvc_md5: what DVC calls the same content.
        git_revision: commit of the corpus repository.
        repository: folder of the corpus repository.
        remote_url: where DVC keeps the media.
        counts: records `in`, `kept`, `dropped`, `failed`, `quarantined` of the curation it comes from.
        kept_by_split: kept clips per split, as `train/av`.
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
    kept_by_split: dict[str, int] = field(default_factory=dict)
    clips_sha256: str = ""
    verdict_sha256: str = ""
    schema_version: int = SCHEMA_VERSION


def write_corpus_version(path: Path, version: CorpusVersion) -> Handle:
    """Write the JSON. The handle's hash is that of the content: a commit's time or place changes nothing later."""
    write_json(path, asdict(version))
    meta = {
        "version": version.version,
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
    value = read_json(path)
    if value.get("schema_version") != SCHEMA_VERSION:
        found = value.get("schema_version")
        raise InputError(f"corpus version {path} has schema version {found}; this code reads {SCHEMA_VERSION}")
    version = CorpusVersion(**value)
    if version.content_sha256 != handle.sha256:
        raise InputError(
            f"corpus version {path} holds {version.content_sha256[:12]}, not {handle.sha256[:12]} as asked"
        )
    return version
