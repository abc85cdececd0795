import sys

import numpy as np
import pytest

from nava.config.speech import VoiceActivityConfig
from nava.data.speech import voice_activity
from nava.data.speech.voice_activity import FRAME_S, SpeechSegment, VoiceActivity, speech_segments
from nava.runtime.errors import InputError
from tests.data.speech.sounds import RATE_HZ, in_clip, knocks, rain, spoken, tune


@pytest.fixture(scope="module")
def activity():
    return VoiceActivity(VoiceActivityConfig())


def segments(probabilities, duration_s=10.0, **settings):
    found = speech_segments(np.array(probabilities, np.float32), duration_s, VoiceActivityConfig(**settings))
    return [(round(part.t0_s / FRAME_S), round(part.t1_s / FRAME_S)) for part in found]


@pytest.mark.parametrize("voice", range(6))
def test_a_sentence_is_found_where_it_is(activity, voice):
    sentence = spoken(voice, voice)
    found = activity.segments(in_clip((0.4, sentence), n_samples=len(sentence) + round(0.8 * RATE_HZ)))
    assert found[0].t0_s == pytest.approx(0.4, abs=0.12)
    assert found[-1].t1_s == pytest.approx(0.4 + len(sentence) / RATE_HZ, abs=0.3)
    assert sum(part.duration_s for part in found) > 0.75 * len(sentence) / RATE_HZ


@pytest.mark.parametrize("make", [rain, knocks, tune, lambda: np.zeros(32_000, np.float32)])
def test_no_voice_is_heard_where_there_is_none(activity, make):
    assert activity.segments(make()) == []


def test_a_frame_depends_on_what_came_before_it_and_not_on_what_follows(activity):
    clip = in_clip((0.4, spoken()))
    whole, first = activity.probabilities(clip), activity.probabilities(clip[: 512 * 30])
    assert np.array_equal(whole[:30], first)
    assert not np.allclose(activity.probabilities(clip[512 * 20 :])[:10], whole[20:30], atol=1e-3)


def test_every_length_has_its_frames(activity):
    assert [len(activity.probabilities(np.zeros(n, np.float32))) for n in (0, 1, 512, 513)] == [0, 1, 1, 2]


def test_the_package_itself_is_never_imported(activity):
    assert "silero_vad" not in sys.modules


def test_two_thresholds_hold_a_segment_together():
    assert segments([0, 0.6, 0.4, 0.4, 0.6, 0, 0, 0, 0, 0, 0], min_speech_s=0) == [(1, 5)]
    assert segments([0.4] * 20, min_speech_s=0) == []


def test_a_short_pause_is_part_of_the_speech_and_a_long_one_is_not():
    speech, pause = [0.9] * 10, [0.0]
    assert segments(speech + pause * 3 + speech) == [(0, 23)]
    assert segments(speech + pause * 4 + speech) == [(0, 10), (14, 24)]


def test_short_speech_is_left_out_and_the_end_of_the_clip_ends_a_segment():
    assert segments([0.9] * 7 + [0.0] * 10) == []
    assert segments([0.9] * 8 + [0.0] * 10) == [(0, 8)]
    last = speech_segments(np.full(20, 0.9, np.float32), 0.63, VoiceActivityConfig())
    assert last == [SpeechSegment(0.0, 0.63)]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(voice_activity, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs the package silero-vad"):
        VoiceActivity(VoiceActivityConfig())
