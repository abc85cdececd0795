"""An item of a benchmark: what is asked of a model, and what its answer can be compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Spoken:
    """Words that are to be said, and who says them; empty if nobody is named."""

    text: str
    speaker: str = ""


@dataclass(frozen=True)
class Item:
    """One prompt.

    Attributes:
        item_id: unique in its benchmark, and a file name.
        subset: the part of the benchmark that it belongs to.
        prompt: what is to be seen.
        language: of the speech, ``en`` or ``zh``.
        speech: what is to be said, in order.
        audio_prompt: what is to be heard.
        first_frame: picture that the clip begins with.
        reference_audio: recording that the sound is compared with.
        reference_voice: recording of the speaker.
        reference_text: what is said in that recording; empty if it is not known.
        truth: what is known of the clip that was made for the prompt (the built-in benchmark alone).
    """

    item_id: str
    subset: str
    prompt: str
    language: str = "en"
    speech: tuple[Spoken, ...] = ()
    audio_prompt: str = ""
    first_frame: Path | None = None
    reference_audio: Path | None = None
    reference_voice: Path | None = None
    reference_text: str = ""
    truth: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spoken_text(self) -> str:
        """All words that are to be said."""
        return " ".join(part.text.strip() for part in self.speech).strip()

    def identity(self) -> dict[str, Any]:
        """What decides the item, as JSON: files by their names."""
        value = asdict(self)
        # It follows from the recording, which is named below.
        del value["reference_text"]
        for name in ("first_frame", "reference_audio", "reference_voice"):
            path = getattr(self, name)
            value[name] = path.name if path else None
        return value


# What a metric may need of an item, and whether the item has it.
NEEDS: dict[str, Callable[[Item], bool]] = {
    "speech_text": lambda item: bool(item.spoken_text),
    "english": lambda item: item.language == "en",
    "chinese": lambda item: item.language == "zh",
    "audio_prompt": lambda item: bool(item.audio_prompt),
    "first_frame": lambda item: item.first_frame is not None,
    "reference_audio": lambda item: item.reference_audio is not None,
    "reference_voice": lambda item: item.reference_voice is not None,
    "known_events": lambda item: bool(item.truth.get("events_s")),
}
