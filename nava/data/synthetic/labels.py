"""The truth about every generated file, as `labels.jsonl` beside the media folder, and transcripts as WebVTT sidecars.

Nothing downstream of the sources reads the labels: tests compare what curation measured against them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nava.runtime.hashing import canonical_json
from nava.runtime.storage import write_text

SCHEMA_VERSION = 1
LABELS_NAME = "labels.jsonl"

_UNREADABLE = ("undecodable", "truncated", "damaged", "not_media")
# How curation should end the records of a file with each defect: the status, and the reasons it may give. A subtitled
# clip may be kept without the band of its text; what becomes of an altered copy is reported, not judged.
EXPECTED_OUTCOMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("kept", ()),
    "slightly_damaged": ("kept", ()),
    "altered_copy": ("", ()),
    "subtitled": ("dropped", ("subtitle_text",)),
    "shifted": ("dropped", ("audio_video_offset",)),
    "near_duplicate": ("dropped", ("near_duplicate",)),
    "quiet": ("dropped", ("too_quiet", "silent")),
    "clipped": ("dropped", ("clipped_audio",)),
    "static": ("dropped", ("static_picture",)),
    "blurred": ("dropped", ("blurred",)),
    "silent": ("dropped", ("silent",)),
    "without_audio": ("dropped", ("no_audio_track",)),
    "truncated": ("quarantined", _UNREADABLE),
    "garbage": ("quarantined", _UNREADABLE),
    "damaged": ("quarantined", ("damaged", "truncated", "undecodable")),
}


@dataclass
class WordLabel:
    """A word and when it is heard, in seconds of the file."""

    word: str
    start_s: float
    end_s: float


@dataclass
class UtteranceLabel:
    """What one speaker says in one go; times as heard, so a shifted file's transcript is shifted too."""

    speaker: str
    voice: str
    start_s: float
    end_s: float
    text: str
    words: list[WordLabel]


@dataclass
class CutLabel:
    """A transition: `hard` happens between two frames; the others cover [start_s, end_s].

    A `fade` goes through black, a `fade_white` through white; in a `dissolve` both shots are seen at once.
    """

    time_s: float
    kind: str
    start_s: float
    end_s: float


@dataclass
class ShotLabel:
    """A shot; events are seconds of the file as seen (as heard, they come the file's `av_offset_s` later)."""

    kind: str
    start_s: float
    end_s: float
    start_frame: int
    end_frame: int
    colour: str = ""
    side: str = ""
    pitch_hz: int | None = None
    timbre: str = ""
    speakers: list[str] = field(default_factory=list)
    events_s: list[float] = field(default_factory=list)


@dataclass
class SubtitleLabel:
    """Text burnt into the picture: when, and the box (left, top, right, bottom) in pixels of the file."""

    start_s: float
    end_s: float
    text: str
    box: tuple[int, int, int, int]


@dataclass
class FileLabel:
    """The truth about one file.

    Attributes:
        path: relative to the media folder.
        modality: `video`, `audio`, or `none` for garbage.
        defect: key of `EXPECTED_OUTCOMES`, or empty for a clean file.
        detail: the form of the defect.
        av_offset_s: by how much the sound comes late; negative is early.
        duplicate_of: path of the file this is a decoded, changed and re-encoded copy of, or empty; `detail` names the
            change.
        sidecar: path of the transcript, or empty; the transcript below is complete either way.
    """

    path: str
    modality: str
    sha256: str = ""
    defect: str = ""
    detail: str = ""
    width: int = 0
    height: int = 0
    fps: str = ""
    frames: int = 0
    sample_rate_hz: int = 0
    channels: int = 0
    duration_s: float = 0.0
    cuts: list[CutLabel] = field(default_factory=list)
    shots: list[ShotLabel] = field(default_factory=list)
    transcript: list[UtteranceLabel] = field(default_factory=list)
    subtitles: list[SubtitleLabel] = field(default_factory=list)
    av_offset_s: float = 0.0
    duplicate_of: str = ""
    sidecar: str = ""

    def to_json(self) -> dict[str, Any]:
        """As one line of `labels.jsonl`."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def file_label(value: dict[str, Any]) -> FileLabel:
    """Read one line of `labels.jsonl`.

    Raises:
        ValueError: another schema version.
    """
    value = dict(value)
    if (version := value.pop("schema_version", None)) != SCHEMA_VERSION:
        raise ValueError(f"label of schema version {version}; this code reads {SCHEMA_VERSION}")
    value["cuts"] = [CutLabel(**cut) for cut in value["cuts"]]
    value["shots"] = [ShotLabel(**shot) for shot in value["shots"]]
    value["transcript"] = [
        UtteranceLabel(**{**part, "words": [WordLabel(**word) for word in part["words"]]})
        for part in value["transcript"]
    ]
    value["subtitles"] = [SubtitleLabel(**{**part, "box": tuple(part["box"])}) for part in value["subtitles"]]
    return FileLabel(**value)


def write_labels(folder: Path, labels: Iterable[FileLabel]) -> Path:
    """Write `labels.jsonl` into `folder`, sorted by path, atomically."""
    path = folder / LABELS_NAME
    ordered = sorted(labels, key=lambda label: label.path)
    write_text(path, "".join(canonical_json(label.to_json()) + "\n" for label in ordered))
    return path


def read_labels(folder: Path) -> list[FileLabel]:
    """The labels in `folder`, by path."""
    import json

    return [file_label(json.loads(line)) for line in (folder / LABELS_NAME).read_text().splitlines()]


def webvtt(transcript: Sequence[UtteranceLabel]) -> str:
    """A transcript as WebVTT with a voice span for each speaker (W3C WebVTT, section 4.2.2)."""
    cues = [f"{_clock(part.start_s)} --> {_clock(part.end_s)}\n<v {part.speaker}>{part.text}\n" for part in transcript]
    return "\n".join(["WEBVTT\n", *cues])


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
