"""An item of a benchmark after rewriting: what every compared model's prompt is made of."""

from __future__ import annotations

from dataclasses import dataclass

from nava.conditioning.prompt import StructuredPrompt
from nava.conditioning.speech import SpeechSpan, read_speech

# Codes of ISO 639 and the names that prompts give them.
LANGUAGES = {
    "en": "English",
    "zh": "Mandarin",
    "yue": "Cantonese",
    "ja": "Japanese",
    "ko": "Korean",
    "de": "German",
    "fr": "French",
}


@dataclass(frozen=True)
class ReferenceVoice:
    """A recording that speech is to sound like.

    Attributes:
        path: of the recording.
        transcript: what is said in it, as Seed-TTS gives it (evaluation.md, 1.7: `prompt_text`).
    """

    path: str
    transcript: str = ""


@dataclass(frozen=True)
class RewrittenItem:
    """One item.

    Attributes:
        item_id: of the item in its benchmark.
        prompt: as the rewriter gave it.
        language: of the speech, one of ``LANGUAGES``; needed by formats that name it.
        voices: reference voices.
        first_frame: path of the picture that the clip begins with.
    """

    item_id: str
    prompt: StructuredPrompt
    language: str = ""
    voices: tuple[ReferenceVoice, ...] = ()
    first_frame: str = ""

    @property
    def spans(self) -> list[SpeechSpan]:
        """The speech in its order."""
        return self.prompt.spans

    @property
    def sound(self) -> str:
        """What is heard beside speech."""
        return " ".join(piece for piece in read_speech(self.prompt.audio) if isinstance(piece, str))

    @property
    def prose(self) -> str:
        """All that is not speech."""
        return f"{self.prompt.visual} {self.prompt.temporal} {self.prompt.camera} {self.sound}"

    @property
    def speakers(self) -> list[str]:
        """The speakers' names in the order in which they first speak; the empty name for one without."""
        return list(dict.fromkeys(span.speaker for span in self.spans))
