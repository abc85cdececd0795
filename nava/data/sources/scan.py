"""The sources of a configuration: every kind of collection found, drawn, hashed and accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from nava.artifacts.source_manifest import IgnoredFile, IgnoreReason, Source, count_ignored, source_id
from nava.config.source import CollectionConfig, SourceConfig
from nava.data.media_files import MEDIA_EXTENSIONS, decodes
from nava.data.media_root import BucketRoot, FolderRoot, MediaRoot, media_root, readable_folder
from nava.data.sources.bucket import scan_bucket
from nava.data.sources.candidates import Candidate, Candidates, MediaScan
from nava.data.sources.content_hashes import ContentHashes, HashedFile
from nava.data.sources.folder import scan_folder
from nava.data.sources.koala import read_koala
from nava.data.sources.manifest import read_manifest
from nava.data.sources.mixture import MixturePart, draw, realised
from nava.data.sources.tables import TABLE_SUFFIXES
from nava.data.sources.ted import SUFFIXES as TED_SUFFIXES
from nava.data.sources.ted import read_ted
from nava.data.sources.transcripts import read_webvtt
from nava.runtime.errors import InputError
from nava.runtime.progress import Progress

_KOALA_SUFFIXES = (".csv", ".parquet")


@dataclass
class SourceListing:
    """The sources, and everything that is none.

    Attributes:
        sources: one for each distinct content, in the order of the collections and of their paths.
        ignored: what did not become a source, with the reason.
        media_roots: folder or bucket address that paths are relative to, by collection.
        mixture: wanted and realised shares; empty where there is one collection.
        read_files: files that had to be read for their hash; those known from an earlier scan were not.
        read_bytes: their size.
    """

    sources: list[Source] = field(default_factory=list)
    ignored: list[IgnoredFile] = field(default_factory=list)
    media_roots: dict[str, str] = field(default_factory=dict)
    mixture: list[MixturePart] = field(default_factory=list)
    read_files: int = 0
    read_bytes: int = 0

    def lines(self) -> list[str]:
        """What to tell a person."""
        roots = ", ".join(dict.fromkeys(self.media_roots.values()))
        lines = [f"{len(self.sources)} sources in {roots}; {self.read_files} files read, the others known"]
        lines += [
            f"  {part.name}: {part.sources} of {part.available}, share {part.realised_share:.3f} "
            f"(wanted {part.wanted_share:.3f})"
            for part in self.mixture
        ]
        return lines + [f"  not a source, {reason}: {count}" for reason, count in count_ignored(self.ignored).items()]


def scan_sources(config: SourceConfig, cache: Path, progress: Progress | None = None) -> SourceListing:
    """Find the sources of a configuration. Nothing is written but the hashes in `cache`.

    Args:
        config: one collection, or a mixture.
        cache: folder that hashes are kept in, so that what has not changed is not read again.
        progress: reports files read.

    Raises:
        InputError: there is nothing to scan, a place cannot be read, metadata are wrong, or a file changes meanwhile.
    """
    parts = config.collections()
    if not parts:
        raise InputError("source.uri is empty; give a folder, a bucket, a manifest or a source.mixture")
    found = {part.name: find_candidates(part) for part in parts}
    listing = SourceListing(media_roots={name: candidates.root.uri for name, candidates in found.items()})
    drawn = {name: candidates.found for name, candidates in found.items()}
    if config.mixture:
        for name, (chosen, left) in draw(parts, drawn, config.mixture_seed).items():
            drawn[name] = chosen
            left_out = [IgnoredFile(candidate.path, IgnoreReason.MIXTURE_SHARE) for candidate in left]
            found[name].ignored += left_out
    known: dict[str, Source] = {}
    with closing(ContentHashes(cache, config.read_threads)) as hashes:
        for part in parts:
            candidates = replace(found[part.name], found=drawn[part.name])
            _add_sources(listing, part, candidates, hashes, known, progress or Progress())
    if config.mixture:
        available = {name: len(candidates.found) for name, candidates in found.items()}
        listing.mixture = realised(parts, available, Counter(source.collection for source in listing.sources))
    listing.read_files, listing.read_bytes = hashes.read_files, hashes.read_bytes
    return listing


def find_candidates(part: CollectionConfig) -> Candidates:
    """The media of one collection, found by its kind; no media file is read.

    Raises:
        InputError: a place cannot be read, or metadata are wrong.
    """
    kind = _kind(part)
    place = media_root(part.uri, part.endpoint_url)
    if kind == "folder":
        scan = scan_root(place)
        return Candidates(place, [scan.candidate(path) for path in scan.media], list(scan.ignored), scan.states)
    suffixes = {"manifest": TABLE_SUFFIXES, "koala": _KOALA_SUFFIXES, "ted": TED_SUFFIXES}[kind]
    folder, names = _metadata(place, part, suffixes)
    root = media_root(part.media, part.endpoint_url) if part.media else folder
    scan = scan_root(root)
    if kind == "manifest":
        return read_manifest(folder, names[0], root, scan)
    read: Callable[[MediaRoot, Iterable[str], MediaRoot, MediaScan], Candidates]
    read = read_koala if kind == "koala" else read_ted
    return read(folder, names, root, scan)


def scan_root(root: MediaRoot) -> MediaScan:
    """What lies in a folder or a bucket.

    Raises:
        InputError: it is missing or cannot be read.
    """
    if isinstance(root, FolderRoot):
        return scan_folder(readable_folder(root))
    assert isinstance(root, BucketRoot)
    return scan_bucket(root)


def _kind(part: CollectionConfig) -> str:
    if part.kind != "auto":
        return part.kind
    return "manifest" if part.uri.partition("?")[0].lower().endswith(TABLE_SUFFIXES) else "folder"


def _metadata(place: MediaRoot, part: CollectionConfig, suffixes: tuple[str, ...]) -> tuple[MediaRoot, list[str]]:
    """The folder or bucket that metadata files lie in, and their names in it."""
    address, question, endpoint = place.uri.partition("?")
    if address.lower().endswith(suffixes):
        parent, _, name = address.rpartition("/")
        return media_root(f"{parent or '/'}{question}{endpoint}"), [name]
    if part.kind == "manifest":
        raise InputError(f"{part.uri} is no manifest; wanted is a file ending in {', '.join(suffixes)}")
    names = _names(place)
    found = [name for name in names if PurePosixPath(name).suffix.lower() in suffixes]
    if not found:
        raise InputError(f"no metadata of kind {part.kind} in {part.uri}: wanted are files ending in {suffixes}")
    return place, found


def _names(place: MediaRoot) -> list[str]:
    """Files of a root that are neither media nor hidden."""
    return [item.path for item in scan_root(place).ignored if item.reason == IgnoreReason.NOT_MEDIA]


def _add_sources(
    listing: SourceListing,
    part: CollectionConfig,
    candidates: Candidates,
    hashes: ContentHashes,
    known: dict[str, Source],
    progress: Progress,
) -> None:
    """One source per distinct content, the first in order; the others are listed as its duplicates."""
    ignored = list(candidates.ignored)
    files = [(candidate.path, candidates.states.get(candidate.path)) for candidate in candidates.found]
    label = f"files of {part.name or part.uri} hashed"
    hashed = progress(hashes.of(candidates.root, files), total=len(files), label=label)
    for candidate, file in zip(candidates.found, hashed, strict=True):
        if (first := known.get(file.sha256)) is not None:
            detail = f"as {first.path}" + (f" of {first.collection}" if first.collection != part.name else "")
            ignored.append(IgnoredFile(candidate.path, IgnoreReason.EXACT_DUPLICATE, first.source_id, detail=detail))
            continue
        source = _source(part, candidate, file, candidates.root)
        source, fault = _with_transcript(source, candidate, candidates, hashes)
        ignored += fault
        known[file.sha256] = source
        listing.sources.append(source)
    listing.ignored += [replace(item, collection=part.name) for item in ignored]


def _source(part: CollectionConfig, candidate: Candidate, file: HashedFile, root: MediaRoot) -> Source:
    return Source(
        source_id=source_id(file.sha256),
        path=candidate.path,
        sha256=file.sha256,
        size_bytes=file.state.size_bytes,
        sidecar_path=None,
        licence=candidate.licence or part.licence,
        origin=candidate.origin or part.origin,
        collection=part.name,
        etag=file.state.version if isinstance(root, BucketRoot) else "",
        transcript=candidate.transcript,
        segments=candidate.segments,
        hints=candidate.hints,
    )


def _with_transcript(
    source: Source, candidate: Candidate, candidates: Candidates, hashes: ContentHashes
) -> tuple[Source, list[IgnoredFile]]:
    """The source with what its sidecar says; a sidecar that cannot be read costs its text, not the media."""
    path, root = candidate.sidecar_path, candidates.root
    if path is None or candidate.transcript is not None:
        return source, []
    try:
        text = hashes.text_of(root, path, candidates.states.get(path), lambda: read_webvtt(root, path))
    except ValueError as error:
        detail = f"beside {candidate.path}: {error}"
        return source, [IgnoredFile(path, IgnoreReason.SIDECAR_UNREADABLE, detail=detail)]
    return replace(source, sidecar_path=path, transcript=text), []


def probe_sources(config: SourceConfig) -> None:
    """Look whether sources can be used at all, before anything is written or hashed.

    Raises:
        InputError: a place cannot be read, metadata are wrong, a collection has no media, or the media of a folder
            cannot be opened as such.
    """
    for part in config.collections():
        candidates = find_candidates(part)
        place = candidates.root
        if not candidates.found:
            raise InputError(
                f"no media files in {place.uri} ({len(candidates.ignored)} other entries); wanted are files ending in "
                f"{', '.join(sorted(MEDIA_EXTENSIONS))}, at any depth"
            )
        # Objects of a bucket would have to be fetched for this.
        if isinstance(place, FolderRoot) and not any(decodes(place.folder / item.path) for item in candidates.found):
            raise InputError(
                f"no usable media in {place.uri}: {len(candidates.found)} file(s) look like media by name, and none of "
                f"them can be opened as such (first: {candidates.found[0].path})"
            )
