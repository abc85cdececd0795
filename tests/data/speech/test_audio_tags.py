from pathlib import Path

import numpy as np
import pytest

from nava.config.annotation import AnnotationConfig
from nava.config.speech import AudioTagConfig
from nava.data.speech.audio_tags import AudioTag, build_tagger, level_dbfs, tag_list
from nava.data.speech.recognition import Recording
from tests.data.speech.sounds import glide, in_clip, knocks, rain, sung, tune


@pytest.fixture(scope="module")
def rules():
    return build_tagger(AudioTagConfig(), AnnotationConfig())


def recorded(samples_N):
    return Recording(samples_N, Path("no file is read"))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (sung, AudioTag.SINGING),
        (tune, AudioTag.MUSIC),
        (rain, AudioTag.AMBIENT),
        (knocks, AudioTag.AMBIENT),
        (glide, AudioTag.AMBIENT),
        (in_clip, AudioTag.SILENCE),
        (lambda: np.zeros(16_000, np.float32), AudioTag.SILENCE),
    ],
)
def test_clips_in_which_nobody_speaks(rules, make, kind):
    assert rules.kinds(recorded(make()), 0, 0.0) == {kind}


def test_speech_is_no_kind_of_its_own_and_may_stand_beside_singing(rules):
    assert rules.kinds(recorded(rain()), 2, 0.0) == set()
    assert rules.kinds(recorded(rain()), 1, 0.5) == {AudioTag.SINGING}
    assert rules.kinds(recorded(rain()), 0, 0.3) == {AudioTag.AMBIENT}


def test_the_threshold_of_silence_is_the_settings():
    tagger = build_tagger(AudioTagConfig(silence_dbfs=-70.0), AnnotationConfig())
    assert tagger.kinds(recorded(in_clip()), 0, 0.0) == {AudioTag.AMBIENT}


@pytest.mark.parametrize(
    ("kinds", "speakers", "tags"),
    [
        (set(), 1, ["single_speaker"]),
        (set(), 3, ["multi_speaker"]),
        ({AudioTag.MUSIC, AudioTag.SINGING}, 0, ["singing", "music"]),
        ({AudioTag.SILENCE}, 0, ["silence"]),
        ({AudioTag.SILENCE}, 1, ["single_speaker"]),
        ({AudioTag.SILENCE, AudioTag.AMBIENT}, 0, ["ambient"]),
    ],
)
def test_the_list_of_a_record(kinds, speakers, tags):
    assert tag_list(kinds, speakers) == tags


@pytest.mark.parametrize("speakers", range(5))
@pytest.mark.parametrize("kind", AudioTag)
def test_single_speaker_is_said_exactly_where_one_speaks(speakers, kind):
    kinds = {kind} - {AudioTag.SINGLE_SPEAKER, AudioTag.MULTI_SPEAKER}
    assert ("single_speaker" in tag_list(kinds, speakers)) == (speakers == 1)


def test_levels():
    assert level_dbfs(np.ones(10, np.float32)) == pytest.approx(0.0)
    assert level_dbfs(np.full(10, 0.1, np.float32)) == pytest.approx(-20.0, abs=1e-4)
    assert level_dbfs(np.zeros(10, np.float32)) == -np.inf
