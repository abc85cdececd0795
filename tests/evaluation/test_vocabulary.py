import numpy as np
import pytest

from nava.evaluation.measures import measure
from nava.evaluation.vocabulary import Vocabulary, learn_vocabulary
from tests.evaluation.drawn_clips import FPS, RATE, VOCABULARY, flash_clip, heldout


def learned(clips, asked=None, clips_per_word=2):
    drawn = {
        clip.clip_id: flash_clip(i, clip.tags[1].removeprefix("colour:"), clip.tags[2].removeprefix("pitch:"))
        for i, clip in enumerate(clips)
    }

    def read(part):
        def of(ids):
            if asked is not None:
                asked.append((part, tuple(ids)))
            return np.stack([getattr(drawn[clip_id], part) for clip_id in ids])

        return of

    return learn_vocabulary(clips, read("frames"), read("samples"), RATE, clips_per_word)


def test_words_get_the_colours_and_pitches_of_the_clips_that_carry_them():
    vocabulary = learned(heldout("flash", 12))
    assert sorted(vocabulary.colours) == sorted(VOCABULARY.colours)
    for word, frequency in VOCABULARY.pitches.items():
        assert vocabulary.pitches[word] == pytest.approx(frequency, abs=RATE / 2048)


@pytest.mark.parametrize("colour", VOCABULARY.colours)
@pytest.mark.parametrize("pitch", VOCABULARY.pitches)
def test_other_clips_are_called_by_their_words(colour, pitch):
    vocabulary = learned(heldout("flash", 12))
    clip = flash_clip(99, colour, pitch, grain=20.0)
    measures = measure(clip.frames, clip.samples, RATE, FPS)
    assert vocabulary.measured_word("colour", measures) == colour
    assert vocabulary.measured_word("pitch", measures) == pitch


def test_no_more_clips_are_decoded_than_asked_for():
    asked = []
    learned(heldout("flash", 24), asked, clips_per_word=2)
    assert {len(ids) for _, ids in asked} == {2}
    assert len(asked) == len(VOCABULARY.colours) + len(VOCABULARY.pitches)


def test_a_corpus_without_tags_has_no_words_and_measures_none():
    vocabulary = learn_vocabulary([], lambda ids: np.empty(0), lambda ids: np.empty(0), RATE, 4)
    clip = flash_clip(1)
    assert vocabulary == Vocabulary({}, {})
    assert vocabulary.measured_word("colour", measure(clip.frames, clip.samples, RATE, FPS)) is None


def test_a_clip_without_colour_or_sound_is_called_nothing():
    measures = measure(np.zeros((49, 8, 8, 3), np.uint8), np.zeros(33_280), RATE, FPS)
    assert VOCABULARY.measured_word("colour", measures) is None
    assert VOCABULARY.measured_word("pitch", measures) is None
