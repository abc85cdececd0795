"""Speech in a prompt: words between ``<S>`` and ``<E>``, and who says them how, in words right before the mark.

::

    Anna (young woman, cheerful, fast, on the left, 0.4 to 1.9 s): <S>Hello there.<E> Ben: <S>Hi.<E>

The speaker is what stands between the last punctuation mark and the colon, four words at most. In brackets stand, in
any order and each at most once: what the voice is like, the emotion, the rate, the position, and the time it takes.
Rate, position, time and kind of voice are known by their words (``fast``, ``on the left``, ``0.4 to 1.9 s``, ``old
man``); what is none of them is the emotion.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nava.runtime.errors import InputError

SPEECH_START, SPEECH_END = "<S>", "<E>"
ATTRIBUTES = ("voice", "emotion", "rate", "position", "time")
MAX_SPEAKER_WORDS = 4
# Longer ones are no names; so that no prompt, whatever is in it, is much work to read.
MAX_SPEAKER_CHARACTERS = 200

_MARK = re.compile(r"<[SE]>")
_STOPS = r".,;:!?。，；：！？、…"
_WORD = r"[\w'’\-]+"
_SPEAKER = re.compile(rf"{_WORD}(?: {_WORD}){{0,{MAX_SPEAKER_WORDS - 1}}}")
_COLONS, _OPENING, _CLOSING = ":：", "(（", ")）"
# What a speaker's name, or without one the brackets, may stand right after.
_BOUNDARIES = _STOPS + '"”' + _CLOSING
_SEPARATOR = re.compile(r"[,，、;；]")
_TIME = re.compile(
    r"(?:from\s+)?(\d+(?:\.\d+)?)\s*(?:s|seconds?)?\s*(?:to|-|–|至|到)\s*(\d+(?:\.\d+)?)\s*(?:s|seconds?|秒)",
    re.IGNORECASE,
)
# Which attribute a word belongs to; the first that matches.
_KINDS = {
    "time": _TIME,
    "rate": re.compile(
        r"(?:(?:very|rather|quite|extremely)\s+)?"
        r"(?:slow|slowly|moderate|medium|normal|fast|quick|quickly|rapid|rapidly|hurried|unhurried)(?:\s+(?:pace|rate|speech))?"
        r"|语速.*|快|慢|快速|缓慢",
        re.IGNORECASE,
    ),
    "position": re.compile(
        r"(?:.*\b)?(?:left|right|centre|center|middle|foreground|background|off-?screen|off\s+screen|offstage|nearby|"
        r"distance|close|far|behind|front)(?:\b.*)?|.*(?:左|右|中间|画外|远处|近处)[侧边方]?",
        re.IGNORECASE,
    ),
    "voice": re.compile(
        r"(?:.*\b)?(?:woman|man|girl|boy|child|kid|baby|teenager|lady|gentleman|female|male|person|narrator|robot|voice)(?:\s.*)?"
        r"|.*(?:女|男|女性|男性|女声|男声|女孩|男孩|女人|男人|孩子|儿童|童声|老人)",
        re.IGNORECASE,
    ),
}


class PromptError(InputError):
    """A prompt that breaks the template.

    Args:
        problem: what is wrong.
        text: the prompt.
        position: index of the offending character in it.
    """

    def __init__(self, problem: str, text: str, position: int) -> None:
        line = text.count("\n", 0, position) + 1
        column = position - (text.rfind("\n", 0, position) + 1) + 1
        excerpt = text[max(0, position - 20) : position + 20].replace("\n", " ")
        super().__init__(f"prompt, line {line}, column {column}: {problem} (near '{excerpt}')")
        self.position = position


@dataclass(frozen=True)
class SpeechSpan:
    """What is said, and by whom and how as far as the prompt says so.

    Attributes:
        words: what is said.
        speaker: the speaker's name.
        voice: what the voice is like: "old man".
        emotion: "cheerful".
        rate: "fast".
        position: "on the left".
        time: "0.4 to 1.9 s", on the clip's clock.
        start: index of ``<S>`` in the text that the span was read from; -1 for a span that was not read from text.
        end: index after ``<E>``.
    """

    words: str
    speaker: str = ""
    voice: str = ""
    emotion: str = ""
    rate: str = ""
    position: str = ""
    time: str = ""
    start: int = field(default=-1, compare=False)
    end: int = field(default=-1, compare=False)

    def render(self) -> str:
        """The span as text.

        Raises:
            PromptError: words, name or attribute that would be read as something else.
        """
        words, speaker = _one_line(self.words), _one_line(self.speaker)
        if not words:
            raise PromptError("<S><E> without words between them", SPEECH_START + SPEECH_END, len(SPEECH_START))
        if mark := _MARK.search(words):
            raise PromptError(f"the words hold the mark {mark.group()}", words, mark.start())
        if speaker and not _is_speaker(speaker):
            raise PromptError(
                f"a speaker is one to {MAX_SPEAKER_WORDS} words of letters and digits without punctuation, "
                f"{MAX_SPEAKER_CHARACTERS} characters at most",
                speaker,
                0,
            )
        attributes = [value for name in ATTRIBUTES if (value := _checked(name, _one_line(getattr(self, name))))]
        head = " ".join(part for part in (speaker, f"({', '.join(attributes)})" if attributes else "") if part)
        return f"{head}{': ' if head else ''}{SPEECH_START}{words}{SPEECH_END}"

    @property
    def times_s(self) -> tuple[float, float] | None:
        """Begin and end in seconds of the clip, if the time is stated."""
        match = _TIME.fullmatch(self.time)
        return (float(match[1]), float(match[2])) if match else None

    def to_json(self) -> dict[str, str]:
        """What is known of the span, by field."""
        names = ("words", "speaker", *ATTRIBUTES)
        return {name: value for name in names if (value := getattr(self, name))}

    @classmethod
    def from_json(cls, value: Any, where: str) -> "SpeechSpan":
        """Read what ``to_json`` gave; ``where`` names the value in messages.

        Raises:
            InputError: unknown or missing fields, or values that are not text.
        """
        known = ("words", "speaker", *ATTRIBUTES)
        if not isinstance(value, dict) or "words" not in value or not set(value) <= set(known):
            raise InputError(
                f"{where} must be an object with 'words' and at most {', '.join(known[1:])}; got {value!r}"
            )
        for name, text in value.items():
            if not isinstance(text, str):
                raise InputError(f"{where}.{name} must be text, got {text!r}")
        texts: dict[str, Any] = {name: _one_line(text) for name, text in value.items()}
        return cls(**texts)


Piece = str | SpeechSpan


def check_marks(text: str) -> None:
    """Check that speech marks are balanced, not nested and not empty.

    Raises:
        PromptError: with the position of the first fault.
    """
    opened: int | None = None
    for mark in _MARK.finditer(text):
        if mark.group() == SPEECH_START:
            if opened is not None:
                raise PromptError("<S> inside speech that is not yet closed by <E>", text, mark.start())
            opened = mark.end()
            continue
        if opened is None:
            raise PromptError("<E> without an <S> before it", text, mark.start())
        if not text[opened : mark.start()].strip():
            raise PromptError("<S><E> without words between them", text, mark.start())
        opened = None
    if opened is not None:
        raise PromptError("<S> without an <E> after it", text, opened - len(SPEECH_START))


def read_speech(text: str, breaks: Iterable[int] = (), *, strict: bool = True) -> list[Piece]:
    """Prose and speech in order; prose that is only white space is left out.

    Args:
        text: with marks that ``check_marks`` accepts.
        breaks: positions at which prose starts anew, as after a label.
        strict: whether attributes that cannot be told apart are refused; else they are ignored, and stay in the prose.

    Raises:
        PromptError: unbalanced marks; in strict mode also an attribute that is empty or given twice.
    """
    check_marks(text)
    pieces: list[Piece] = []
    start = 0
    marks = list(_MARK.finditer(text))
    places = sorted(breaks)
    for opening, closing in zip(marks[::2], marks[1::2], strict=True):
        passed = bisect_right(places, opening.start())
        head_start = max(start, places[passed - 1]) if passed else start
        head = _read_head(text[head_start : opening.start()])
        said: dict[str, str] = {}
        prose_end = opening.start()
        if head is not None:
            try:
                said = _attributes(text, head_start + head.attributes_start, head.attributes)
                prose_end = head_start + head.start
            except PromptError:
                if strict:
                    raise
            said["speaker"] = head.speaker
        pieces.append(text[start:prose_end])
        words = _one_line(text[opening.end() : closing.start()])
        pieces.append(SpeechSpan(words, **said, start=opening.start(), end=closing.end()))
        start = closing.end()
    pieces.append(text[start:])
    normal = (_one_line(piece) if isinstance(piece, str) else piece for piece in pieces)
    return [piece for piece in normal if piece]


def render_speech(pieces: Sequence[Piece]) -> str:
    """The text that ``read_speech`` reads as these pieces.

    Prose before a named speaker is closed by a full stop if it has no punctuation at its end.

    Raises:
        PromptError: prose with speech marks, or a span that cannot be written.
    """
    text = ""
    for piece in pieces:
        if isinstance(piece, SpeechSpan):
            written = piece.render()
            closed = not text or text.endswith(SPEECH_END) or re.search(rf"[{_STOPS}\"”)）]$", text)
            text += "" if closed or written.startswith(SPEECH_START) else "."
        else:
            written = _one_line(piece)
            if mark := _MARK.search(written):
                raise PromptError(f"prose holds the mark {mark.group()}; give speech as a span", written, mark.start())
        text += f" {written}" if text and written and written[0] not in _STOPS + ")）" else written
    return text


def time_of(t0_s: float, t1_s: float) -> str:
    """The attribute that states when something is said, to a tenth of a second."""
    return f"{t0_s:.1f} to {t1_s:.1f} s"


def kind_of(attribute: str) -> str:
    """Which of ``ATTRIBUTES`` a word or phrase says something about."""
    return next((name for name, pattern in _KINDS.items() if pattern.fullmatch(attribute)), "emotion")


class _Head(NamedTuple):
    """What stands right before speech: speaker and attributes as written, and where they begin."""

    speaker: str
    attributes: str
    start: int
    attributes_start: int


def _read_head(prose: str) -> _Head | None:
    """The speaker and the brackets that prose ends with, read backwards from its colon; None for prose of other kind.

    The work grows with the length of the prose and no faster.
    """
    rest = prose.rstrip()
    if not rest.endswith(tuple(_COLONS)):
        return None
    rest = rest[:-1].rstrip()
    attributes, attributes_start = None, 0
    if rest.endswith(tuple(_CLOSING)):
        bracket = _last(rest[:-1], _OPENING + _CLOSING + "<>")
        if bracket >= 0 and rest[bracket] in _OPENING:
            attributes, attributes_start = rest[bracket + 1 : -1], bracket + 1
            rest = rest[:bracket].rstrip()
    start = _last(rest, _BOUNDARIES) + 1
    speaker = _one_line(rest[start:])
    if speaker and not _is_speaker(speaker):
        return None
    return _Head(speaker, attributes or "", start, attributes_start) if speaker or attributes is not None else None


def _last(text: str, characters: str) -> int:
    """Where the last of some characters is; -1 where there is none."""
    return max(text.rfind(character) for character in characters)


def _is_speaker(name: str) -> bool:
    return len(name) <= MAX_SPEAKER_CHARACTERS and _SPEAKER.fullmatch(name) is not None


def _attributes(text: str, start: int, written: str) -> dict[str, str]:
    """The attributes in brackets by kind; ``start`` is where they begin in ``text``."""
    found: dict[str, str] = {}
    if not written:
        return found
    position = start
    for part in _SEPARATOR.split(written):
        value = _one_line(part)
        place = position + len(part) - len(part.lstrip())
        if not value:
            raise PromptError("an empty attribute of speech", text, place)
        kind = kind_of(value)
        if kind in found:
            raise PromptError(
                f"'{found[kind]}' and '{value}' both say the {kind} of this speech; "
                f"give one each of {', '.join(ATTRIBUTES)}",
                text,
                place,
            )
        found[kind] = value
        position += len(part) + 1
    return found


def _checked(name: str, value: str) -> str:
    """An attribute that will be read as what it is."""
    if not value:
        return ""
    if fault := re.search(r"[,，、;；()（）<>:：]", value):
        raise PromptError(f"the {name} of speech is words without '{fault.group()}'", value, fault.start())
    if (kind := kind_of(value)) != name:
        raise PromptError(f"the {name} '{value}' would be read as a {kind}", value, 0)
    return value


def _one_line(text: str) -> str:
    return " ".join(text.split())
