"""What a collection offers: media files that were found and not yet read."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from nava.artifacts.source_manifest import IgnoredFile, IgnoreReason, Segment
from nava.data.media_files import MEDIA_EXTENSIONS, SIDECAR_EXTENSION
from nava.data.media_root import FileState, MediaRoot


@dataclass(frozen=True)
class Candidate:
    """A media file that may become a source.

    Attributes:
        path: relative to the media root.
        sidecar_path: file with its transcript, relative to the media root.
        transcript: the transcript as WebVTT, where the metadata have it.
        licence: of this file; empty for the collection's.
        origin: of this file; empty for the collection's.
        segments: spans to be used; none means the whole.
        hints: JSON object with what metadata say of it.
        weight: how much rather than others of its collection it is drawn, above 0.
    """

    path: str
    sidecar_path: str | None = None
    transcript: str | None = None
    licence: str = ""
    origin: str = ""
    segments: tuple[Segment, ...] = ()
    hints: str = "{}"
    weight: float = 1.0


@dataclass
class Candidates:
    """The media of one collection, in path order, and what is none, with the reason.

    Attributes:
        root: where they lie.
        found: media that may become sources.
        ignored: everything else.
        states: of media and transcripts, where the listing tells them.
    """

    root: MediaRoot
    found: list[Candidate] = field(default_factory=list)
    ignored: list[IgnoredFile] = field(default_factory=list)
    states: dict[str, FileState] = field(default_factory=dict)


@dataclass
class MediaScan:
    """What lies under a media root, paths relative to it, in sorted order; nothing has been opened.

    Attributes:
        media: files with the extension of a media file.
        sidecars: the transcript of each media file that has one beside it, by the media file.
        transcripts: every transcript.
        ignored: everything else, with the reason.
        states: of media and sidecars, where the listing tells them.
    """

    media: list[str] = field(default_factory=list)
    sidecars: dict[str, str] = field(default_factory=dict)
    transcripts: set[str] = field(default_factory=set)
    ignored: list[IgnoredFile] = field(default_factory=list)
    states: dict[str, FileState] = field(default_factory=dict)

    def candidate(self, path: str) -> Candidate:
        """A media file of the scan, with its transcript."""
        return Candidate(path, self.sidecars.get(path))


def sort_names(names: list[str], ignored: list[IgnoredFile], states: dict[str, FileState] | None = None) -> MediaScan:
    """Sort the names of readable files by kind: media, their transcripts, and what is neither."""
    suffixes = {name: PurePosixPath(name).suffix.lower() for name in names}
    media = [name for name in names if suffixes[name] in MEDIA_EXTENSIONS]
    transcripts = {name for name in names if suffixes[name] == SIDECAR_EXTENSION}
    sidecars = {name: beside for name in media if (beside := _sidecar_name(name)) in transcripts}
    others = [IgnoredFile(name, IgnoreReason.NOT_MEDIA) for name in names if not _is_known(suffixes[name])]
    orphans = sorted(transcripts - set(sidecars.values()))
    others += [IgnoredFile(name, IgnoreReason.SIDECAR_WITHOUT_MEDIA) for name in orphans]
    return MediaScan(
        media, sidecars, transcripts, sorted([*ignored, *others], key=lambda item: item.path), states or {}
    )


def _is_known(suffix: str) -> bool:
    return suffix in MEDIA_EXTENSIONS or suffix == SIDECAR_EXTENSION


def _sidecar_name(media: str) -> str:
    return PurePosixPath(media).with_suffix(SIDECAR_EXTENSION).as_posix()
