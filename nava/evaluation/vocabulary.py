"""What the words of a corpus stand for, measured on training clips that carry them: no list of colours is built in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from nava.evaluation.attributes import dominant_frequency_hz, flash_colour, nearest_hue, nearest_pitch
from nava.evaluation.captions import Attribute, attribute_of_tags, tagged_word
from nava.evaluation.measures import Measures

COLOUR, PITCH = "colour", "pitch"


class TaggedClip(Protocol):
    """A clip with the tags of the captioner, as the index of the shards has it."""

    @property
    def clip_id(self) -> str:
        """The clip's id."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """The captioner's tags."""
        ...


@dataclass(frozen=True)
class Vocabulary:
    """The words that captions use for what evaluation can measure, and what each stands for (RGB, Hz)."""

    colours: Mapping[str, tuple[float, ...]]
    pitches: Mapping[str, float]

    @cached_property
    def attributes(self) -> tuple[Attribute, ...]:
        """Both lists of words; an empty one has no chance level and is never asked for it."""
        return (Attribute(COLOUR, tuple(self.colours)), Attribute(PITCH, tuple(self.pitches)))

    def measured_word(self, attribute: str, measures: Measures) -> str | None:
        """The word that a clip's colour or pitch comes nearest to; None if it has none, or there are no words."""
        if attribute == COLOUR:
            colour = measures.colour_rgb
            return nearest_hue(np.asarray(colour), self.colours) if colour is not None and self.colours else None
        frequency = measures.frequency_hz
        return nearest_pitch(frequency, self.pitches) if frequency is not None and self.pitches else None


def learn_vocabulary(
    clips: Sequence[TaggedClip],
    pictures: Callable[[Sequence[str]], np.ndarray],
    sounds: Callable[[Sequence[str]], np.ndarray],
    sample_rate_hz: int,
    clips_per_word: int,
) -> Vocabulary:
    """Measure the words on the first clips that carry each.

    Args:
        clips: training clips of the scored family, in a fixed order.
        pictures: uint8 [n, T, H, W, 3] of some clips.
        sounds: mono float [n, N] of some clips.
        sample_rate_hz: of the sounds.
        clips_per_word: how many clips each word is measured on; their median is its meaning.
    """

    def carriers(word: str, name: str) -> list[str]:
        return [clip.clip_id for clip in clips if tagged_word(name, clip.tags) == word][:clips_per_word]

    colours: dict[str, tuple[float, ...]] = {}
    for word in attribute_of_tags(COLOUR, (clip.tags for clip in clips)).words:
        measured = [flash_colour(video_THWC) for video_THWC in pictures(carriers(word, COLOUR))]
        if found := [colour for colour in measured if colour is not None]:
            colours[word] = tuple(float(value) for value in np.median(found, axis=0))
    pitches: dict[str, float] = {}
    for word in attribute_of_tags(PITCH, (clip.tags for clip in clips)).words:
        heard = [dominant_frequency_hz(samples_N, sample_rate_hz) for samples_N in sounds(carriers(word, PITCH))]
        if frequencies := [frequency for frequency in heard if frequency is not None]:
            pitches[word] = float(np.median(frequencies))
    return Vocabulary(colours, pitches)
