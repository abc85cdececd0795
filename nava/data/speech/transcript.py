"""Transcripts: WebVTT with `<v Speaker>` voices, and the words that fall into a span."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

_TIMING = re.compile(r"^\s*((?:\d+:)?\d{2}:\d{2}\.\d{3})\s+-->\s+((?:\d+:)?\d{2}:\d{2}\.\d{3})")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_STAMP = re.compile(r"<((?:\d+:)?\d{2}:\d{2}\.\d{3})>")
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True)
class Word:
    """A spoken word; times in seconds, on the clock of the source or of the clip it was recognised in."""

    text: str
    t0_s: float
    t1_s: float


@dataclass(frozen=True)
class Utterance:
    """What one speaker says in one go. A speaker that nobody named is empty."""

    speaker: str
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        """The words with spaces between them."""
        return " ".join(word.text for word in self.words)

    def between(self, t0_s: float, t1_s: float) -> Utterance | None:
        """The words whose middle lies in the span, or None."""
        inside = tuple(word for word in self.words if t0_s <= (word.t0_s + word.t1_s) / 2 < t1_s)
        return Utterance(self.speaker, inside) if inside else None


def parse_transcript(text: str) -> list[Utterance]:
    """The utterances of a WebVTT text in order.

    Raises:
        ValueError: the text is not WebVTT.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.startswith("WEBVTT"):
        raise ValueError("the transcript does not begin with WEBVTT")
    utterances: list[Utterance] = []
    for block in re.split(r"\n{2,}", text):
        lines = block.strip().split("\n")
        for number, line in enumerate(lines):
            if match := _TIMING.match(line):
                t0_s, t1_s = _seconds(match[1]), _seconds(match[2])
                utterances.extend(_voices("\n".join(lines[number + 1 :]), t0_s, t1_s))
                break
    return [utterance for utterance in utterances if utterance.words]


def _voices(payload: str, t0_s: float, t1_s: float) -> list[Utterance]:
    """One utterance per voice span of a cue; text before the first voice has no speaker."""
    parts = _VOICE.split(payload)
    spans = [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    spans = [(speaker.strip(), text) for speaker, text in spans if _TAG.sub("", text).strip()]
    sizes = [len(_TAG.sub("", text)) for _, text in spans]
    utterances, position = [], 0
    for (speaker, text), size in zip(spans, sizes, strict=True):
        start_s = t0_s + (t1_s - t0_s) * position / max(sum(sizes), 1)
        position += size
        stop_s = t0_s + (t1_s - t0_s) * position / max(sum(sizes), 1)
        utterances.append(Utterance(speaker, tuple(_words(text, start_s, stop_s))))
    return utterances


def _words(text: str, t0_s: float, t1_s: float) -> list[Word]:
    """Words with times: between inline time stamps where the file has them, else spread by their length in letters."""
    parts = _STAMP.split(text)
    stamps = [t0_s, *(_seconds(stamp) for stamp in parts[1::2]), t1_s]
    words: list[Word] = []
    for piece, start_s, stop_s in zip(parts[0::2], stamps[:-1], stamps[1:], strict=True):
        words += spread_words(plain_words(_TAG.sub(" ", piece)), start_s, stop_s)
    return words


def spread_words(tokens: list[str], t0_s: float, t1_s: float) -> list[Word]:
    """Words one after another over a span, each as long as its letters and a space are of all."""
    total = sum(len(token) + 1 for token in tokens)
    words, clock_s = [], t0_s
    for token in tokens:
        length_s = (t1_s - t0_s) * (len(token) + 1) / total
        words.append(Word(token, clock_s, clock_s + length_s))
        clock_s += length_s
    return words


def plain_words(text: str) -> list[str]:
    """The words of a text. Spans `<S>` and `<E>` are the caption's own marks: no text from outside may carry them."""
    return html.unescape(text).replace("<", " ").replace(">", " ").split()


def _seconds(stamp: str) -> float:
    seconds = 0.0
    for part in stamp.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
