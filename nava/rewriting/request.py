"""What is rewritten: a plain prompt, the words to be spoken, the sound, and the task that the prompt is for.

Benchmarks name these fields in their own way. Verse-Bench has ``video_prompt``, ``audio_prompt`` (a list) and
``speech_prompt`` with ``speaker`` and ``text`` (evaluation.md, 1.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from nava.conditioning.speech import SPEECH_END, SPEECH_START, PromptError, SpeechSpan, check_marks
from nava.runtime.errors import InputError

# The tasks of generation, by the letters before and after the 2.
TASKS = ("T2AV", "TI2AV", "T2A", "T2V", "TIA2AV")
DEFAULT_TASK = "T2AV"
# Longer ones are no prompts: the text encoder reads 512 tokens.
MAX_CHARACTERS = 20_000

# MOVA's edition of Verse-Bench has its own rewrite as `prompt` beside the benchmark's `video_prompt`.
_PROMPT_FIELDS = ("video_prompt", "prompt", "text")
_SPEECH_FIELDS = ("speech", "speech_prompt")
_QUOTED = re.compile(r"\"([^\"<>]+)\"|“([^“”<>]+)”")
_SPAN = re.compile(f"({SPEECH_START}.*?{SPEECH_END})", re.DOTALL)


@dataclass(frozen=True)
class RewriteRequest:
    """One prompt to rewrite.

    Attributes:
        prompt: plain, with spoken words between ``<S>`` and ``<E>`` where there are any; may be empty beside speech or
            a sound.
        speech: the spoken words in their order, where they are given beside the prompt.
        audio_prompt: what is heard, without speech.
        task: one of ``TASKS``.
        quotes_are_speech: whether words in double quotes are spoken. Left alone otherwise: a sign has quotes too.

    Raises:
        InputError: nothing to rewrite, too much of it, broken marks, or an unknown task.
    """

    prompt: str
    speech: tuple[SpeechSpan, ...] = ()
    audio_prompt: str = ""
    task: str = DEFAULT_TASK
    quotes_are_speech: bool = False

    def __post_init__(self) -> None:
        """Refuse what no rewriter could use."""
        if self.task not in TASKS:
            raise InputError(f"task: {self.task!r} is unknown; there are {', '.join(TASKS)}")
        if not (self.prompt.strip() or self.audio_prompt.strip() or self.speech):
            raise InputError("prompt: there is no text, no speech and no sound to rewrite")
        for name in ("prompt", "audio_prompt"):
            _check_text(name, getattr(self, name))
        for number, span in enumerate(self.speech):
            _check_text(f"speech[{number}]", span.words)
            span.render()
        check_marks(self.prompt)
        if SPEECH_START in self.audio_prompt or SPEECH_END in self.audio_prompt:
            raise InputError(
                f"audio_prompt: {SPEECH_START} and {SPEECH_END} belong in prompt, or give the words as speech"
            )

    @property
    def makes_pictures(self) -> bool:
        """Whether the task has pictures."""
        return "V" in self.task.partition("2")[2]

    @property
    def makes_sound(self) -> bool:
        """Whether the task has sound."""
        return "A" in self.task.partition("2")[2]

    @property
    def marked_prompt(self) -> str:
        """The prompt with all speech marked, quoted speech included if it was said to be speech."""
        if not self.quotes_are_speech:
            return self.prompt
        pieces = _SPAN.split(self.prompt)
        return "".join(piece if number % 2 else _QUOTED.sub(_as_span, piece) for number, piece in enumerate(pieces))

    def to_json(self) -> dict[str, Any]:
        """Everything that decides the result."""
        return {
            "prompt": self.prompt,
            "speech": [span.to_json() for span in self.speech],
            "audio_prompt": self.audio_prompt,
            "task": self.task,
            "quotes_are_speech": self.quotes_are_speech,
        }

    @classmethod
    def from_json(cls, value: Any, task: str = DEFAULT_TASK, *, quotes_are_speech: bool = False) -> Self:
        """Read a line of a benchmark or of a batch; fields that mean nothing here are left alone.

        Args:
            value: an object with ``prompt``, ``text`` or ``video_prompt``, and where there is any ``speech`` or
                ``speech_prompt`` (words; an object with words or text, speaker and attributes; or a list of these),
                ``audio_prompt`` (text or a list) and ``task``.
            task: of a line that names none.
            quotes_are_speech: see the class.

        Raises:
            InputError: the field that is wrong, and how.
        """
        if not isinstance(value, Mapping):
            raise InputError(f"a request is an object, got {type(value).__name__}")
        prompt = _first(value, _PROMPT_FIELDS)
        if not isinstance(prompt, str):
            raise InputError(f"prompt: must be text, got {str(prompt)[:80]!r}")
        named = value.get("task") or task
        if not isinstance(named, str):
            raise InputError(f"task: must be one of {', '.join(TASKS)}, got {named!r}")
        sounds = value.get("audio_prompt") or ""
        sounds = [sounds] if isinstance(sounds, str) else sounds
        if not isinstance(sounds, list) or not all(isinstance(sound, str) for sound in sounds):
            raise InputError(f"audio_prompt: must be text or a list of texts, got {str(sounds)[:80]!r}")
        audio = " ".join(" ".join(sound.split()) for sound in sounds if sound.strip())
        return cls(prompt, _speech(_first(value, _SPEECH_FIELDS)), audio, named.upper(), quotes_are_speech)


def _first(value: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first of some fields that says anything; empty text where none does."""
    return next((value[name] for name in names if value.get(name)), "")


def _speech(value: Any) -> tuple[SpeechSpan, ...]:
    items = value if isinstance(value, list) else [value] if value else []
    spans = []
    for number, item in enumerate(items):
        where = f"speech[{number}]" if isinstance(value, list) else "speech"
        if isinstance(item, str):
            item = {"words": item}
        if isinstance(item, Mapping):
            # Verse-Bench's name for the words; absent ones may be null or empty there.
            item = {("words" if name == "text" else name): text for name, text in item.items() if text}
            if not item.get("words"):
                continue
        spans.append(_with_speaker(SpeechSpan.from_json(item, where)))
    return tuple(spans)


def _with_speaker(span: SpeechSpan) -> SpeechSpan:
    """The same; a speaker that is described and not named ("the man in the blue suit") goes where voices are."""
    described = replace(span, speaker="", voice=span.speaker)
    if span.speaker and not span.voice and not _can_be_written(span) and _can_be_written(described):
        return described
    return span


def _can_be_written(span: SpeechSpan) -> bool:
    try:
        span.render()
    except PromptError:
        return False
    return True


def _check_text(name: str, text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{name}: {len(text)} characters, a prompt has {MAX_CHARACTERS} at most")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{name}: half a character at position {error.start}: the text is not valid Unicode"
        ) from error


def _as_span(match: re.Match[str]) -> str:
    words = match[1] or match[2]
    return f"{SPEECH_START}{words}{SPEECH_END}" if words.strip() else match[0]
