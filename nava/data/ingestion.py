"""Ingestion: the user's media folder, or the generated corpus, as a source manifest.

Media stay where they are. Every entry of the folder is accounted for: it is a source, a sidecar of one, or listed as
ignored with a reason.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nava.artifacts.source_manifest import (
    IgnoredFile,
    IgnoreReason,
    Source,
    count_ignored,
    source_id,
    write_sources,
)
from nava.config.source import SourceConfig
from nava.config.synthetic import SyntheticConfig
from nava.data.media_files import MEDIA_EXTENSIONS, SIDECAR_EXTENSION, decodes
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.step import Step

HANDLE_KIND = "sources"


@dataclass
class FolderScan:
    """What lies in a media folder, paths relative to it, in sorted order; nothing has been opened.

    Attributes:
        media: files with the extension of a media file.
        sidecars: transcripts of those.
        ignored: everything else, with the reason.
    """

    root: Path
    media: list[str] = field(default_factory=list)
    sidecars: list[str] = field(default_factory=list)
    ignored: list[IgnoredFile] = field(default_factory=list)


@dataclass(frozen=True)
class FolderProbe:
    """A cheap look at a media folder: how many files look like media, how many do not, and the first that decodes."""

    media_files: int
    ignored_files: int
    first_usable: str


def ingest(step: Step) -> Handle:
    """Step function: the source manifest of the user's folder or of the generated corpus.

    Returns:
        Handle of kind `sources`: the folder with `sources.parquet` and `ignored.parquet`; its meta has `media_root` (a
        path of this machine), `n_sources`, `n_ignored` and `ignored` (counts by reason).

    Raises:
        InputError: no such folder, nothing usable in it, or the synthetic corpus cannot be made here.
    """
    config = step.section(SourceConfig)
    if config.uri:
        root, licence, origin = media_folder(config.uri), config.licence, config.origin
        probe_folder(root)
    else:
        root, licence, origin = _generate(step)
    scan = scan_folder(root)
    sources, ignored = _sources(step, scan, licence, origin)
    folder = write_sources(step.workdir / "sources", sources, ignored)
    counts = count_ignored(ignored)
    listed = "".join(f"\n  {reason}: {count}" for reason, count in counts.items())
    step.log(f"{len(sources)} source files in {root}; {len(ignored)} other entries{':' if ignored else ''}{listed}")
    meta = {"media_root": str(root), "n_sources": len(sources), "n_ignored": len(ignored), "ignored": counts}
    return Handle.of_path(HANDLE_KIND, folder, **meta)


def source_identity(step: Step) -> str:
    """What the step's result depends on besides its settings: the content of the user's folder."""
    return fingerprint_sources(step.section(SourceConfig))


def fingerprint_sources(config: SourceConfig) -> str:
    """A hash of what ingestion sees in the user's folder: media and transcripts by content, the rest by name.

    Returns:
        64 hex digits; empty for the synthetic corpus, whose identity is its configuration.

    Raises:
        InputError: no such folder.
    """
    if not config.uri:
        return ""
    scan = scan_folder(media_folder(config.uri))
    files = [[path, _content_hash(scan.root / path)] for path in sorted([*scan.media, *scan.sidecars])]
    return sha256_json({"files": files, "ignored": [[item.path, item.reason] for item in scan.ignored]})


def probe_folder(path: Path) -> FolderProbe:
    """Look whether a folder can be used at all, before anything is written.

    Raises:
        InputError: it is missing, is no folder, cannot be read, or holds no file that can be opened as media.
    """
    root = media_folder(str(path))
    scan = scan_folder(root)
    if not scan.media:
        raise InputError(
            f"no media files in {root} ({len(scan.ignored)} other files); wanted are files ending in "
            f"{', '.join(sorted(MEDIA_EXTENSIONS))}, at any depth"
        )
    usable = next((name for name in scan.media if decodes(root / name)), None)
    if usable is None:
        raise InputError(
            f"no usable media in {root}: {len(scan.media)} file(s) look like media by name, and none of them can be "
            f"opened as such (first: {scan.media[0]})"
        )
    return FolderProbe(len(scan.media), len(scan.ignored), usable)


def media_folder(uri: str) -> Path:
    """The real path of a source URI.

    Raises:
        InputError: it is not on this machine, is missing, is no folder, or cannot be read.
    """
    if "://" in uri and not uri.startswith("file://"):
        raise InputError(
            f"source.uri is {uri}, but only folders of this machine can be ingested; copy the media here first"
        )
    path = Path(uri.removeprefix("file://")).expanduser()
    if not path.exists():
        raise InputError(f"source folder {path} does not exist")
    if not path.is_dir():
        raise InputError(f"source {path} is not a folder; give the folder that holds the media files")
    if not os.access(path, os.R_OK | os.X_OK):
        raise InputError(f"source folder {path} cannot be read; check its permissions")
    return path.resolve()


def scan_folder(root: Path) -> FolderScan:
    """Walk a folder and sort every entry by kind.

    The order does not depend on the file system. Symlinks to folders, and those that lead out, are not followed.
    """
    scan = FolderScan(root)
    transcripts = []
    for path in _walk(root):
        name = path.relative_to(root).as_posix()
        reason = _reason_to_ignore(path, root)
        if reason is not None:
            scan.ignored.append(IgnoredFile(_printable(name), reason))
        elif path.suffix.lower() == SIDECAR_EXTENSION:
            transcripts.append(name)
        else:
            scan.media.append(name)
    wanted = {_sidecar_name(name) for name in scan.media}
    scan.sidecars = [name for name in transcripts if name in wanted]
    orphans = [IgnoredFile(name, IgnoreReason.SIDECAR_WITHOUT_MEDIA) for name in transcripts if name not in wanted]
    scan.ignored = sorted([*scan.ignored, *orphans], key=lambda item: item.path)
    return scan


def _walk(folder: Path) -> Iterator[Path]:
    """Every entry below a folder that is no folder itself, and every symlink; hidden folders count as one entry."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except PermissionError:
        yield folder
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path)


def _reason_to_ignore(path: Path, root: Path) -> IgnoreReason | None:
    """Why an entry is no source and no sidecar, or None; the first reason in this order."""
    if path.name.startswith("."):
        return IgnoreReason.HIDDEN
    if not _is_utf8(path.name) or not _is_utf8(str(path.relative_to(root))):
        return IgnoreReason.NAME_NOT_UTF8
    if path.is_symlink() and (reason := _reason_against_link(path, root)) is not None:
        return reason
    # Opening a pipe would wait for ever.
    if not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
        return IgnoreReason.NOT_A_REGULAR_FILE
    if not os.access(path, os.R_OK) or path.is_dir():
        return IgnoreReason.NOT_READABLE
    if path.suffix.lower() not in MEDIA_EXTENSIONS | {SIDECAR_EXTENSION}:
        return IgnoreReason.NOT_MEDIA
    return None


def _reason_against_link(path: Path, root: Path) -> IgnoreReason | None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # dangling, or a loop
        return IgnoreReason.SYMLINK_BROKEN
    if not target.is_relative_to(root):
        return IgnoreReason.SYMLINK_OUTSIDE
    return IgnoreReason.SYMLINK_TO_FOLDER if target.is_dir() else None


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _sidecar_name(media: str) -> str:
    return Path(media).with_suffix(SIDECAR_EXTENSION).as_posix()


def _content_hash(path: Path) -> str:
    """SHA-256 of a file of the user.

    Raises:
        InputError: it went away or cannot be read any more.
    """
    try:
        return sha256_file(path)
    except OSError as error:
        raise InputError(f"{path} was there a moment ago and cannot be read now: {error.strerror}") from error


def _sources(step: Step, scan: FolderScan, licence: str, origin: str) -> tuple[list[Source], list[IgnoredFile]]:
    """One source per distinct content, the first in path order; the others are listed as its duplicates."""
    sources: dict[str, Source] = {}
    ignored = list(scan.ignored)
    sidecars = set(scan.sidecars)
    names: Iterable[str] = step.progress(scan.media, total=len(scan.media), label="files hashed")
    for name in names:
        sha256 = _content_hash(scan.root / name)
        if sha256 in sources:
            ignored.append(IgnoredFile(name, IgnoreReason.EXACT_DUPLICATE, sources[sha256].source_id))
            continue
        sidecar = _sidecar_name(name)
        sources[sha256] = Source(
            source_id=source_id(sha256),
            path=name,
            sha256=sha256,
            size_bytes=(scan.root / name).stat().st_size,
            sidecar_path=sidecar if sidecar in sidecars else None,
            licence=licence,
            origin=origin,
        )
    return list(sources.values()), ignored


def _generate(step: Step) -> tuple[Path, str, str]:
    from nava.data.synthetic.generate import LICENCE, ORIGIN, generate

    media = generate(step.workdir, step.section(SyntheticConfig), step.seed, step.progress)
    return media.resolve(), LICENCE, ORIGIN
