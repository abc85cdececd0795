"""Transcripts as WebVTT: written from segments of a corpus, and read from files beside media."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nava.data.media_root import MediaRoot

MAX_TRANSCRIPT_BYTES = 4_000_000
_NEWLINES = re.compile(r"\r\n?")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True)
class Cue:
    """What one speaker says in a span of the source's clock, in seconds."""

    speaker: str
    start_s: float
    end_s: float
    text: str


def read_webvtt(root: MediaRoot, path: str) -> str:
    """The text of a WebVTT file.

    Raises:
        ValueError: it is no WebVTT, no UTF-8, or larger than a transcript can be.
        InputError: it cannot be read.
    """
    with root.open(path) as file:
        data = file.read(MAX_TRANSCRIPT_BYTES + 1)
    if len(data) > MAX_TRANSCRIPT_BYTES:
        raise ValueError(f"larger than {MAX_TRANSCRIPT_BYTES} bytes, which no transcript is")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 ({error.reason} at byte {error.start})") from error
    if not text.startswith("WEBVTT"):
        raise ValueError("does not begin with WEBVTT")
    return _NEWLINES.sub("\n", text)


def webvtt(cues: Sequence[Cue]) -> str:
    """Cues as WebVTT with a voice span for each speaker (W3C WebVTT, section 4.2.2)."""
    parts = [
        f"{_clock(cue.start_s)} --> {_clock(cue.end_s)}\n<v {_plain(cue.speaker)}>{_plain(cue.text)}\n" for cue in cues
    ]
    return "\n".join(["WEBVTT\n", *parts])


def _plain(text: str) -> str:
    """One line that no mark-up can hide in."""
    return _SPACES.sub(" ", re.sub(r"[<>&]", " ", text)).strip()


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
