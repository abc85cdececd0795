import itertools

import numpy as np
import pytest
import torch

from nava.config.speech import SpeakerConfig, VoiceActivityConfig
from nava.data.speech.speaker_turns import SpeakerTurns, absorb_rare, cluster, windows_of
from nava.data.speech.voice_activity import SpeechSegment, VoiceActivity
from nava.data.speech.voice_encoder import build_voice_encoder
from tests.data.speech.sounds import RATE_HZ, dialog, in_clip, spoken


class Steps:
    """An encoder for signals that are constant: the level is the voice."""

    name, max_distance = "steps", 0.3

    def __init__(self):
        self.batches = []

    def encode(self, samples_BN):
        self.batches.append(tuple(samples_BN.shape))
        angle_B = samples_BN.mean(dim=1) * torch.pi / 2
        return torch.stack([angle_B.cos(), angle_B.sin()], dim=1)


def levels(*pieces):
    """Constant pieces: (seconds, level)."""
    return np.concatenate([np.full(round(seconds * RATE_HZ), level, np.float32) for seconds, level in pieces])


def turns_of(samples_N, segments, **settings):
    finder = SpeakerTurns(Steps(), SpeakerConfig(**settings))
    found = finder.find(samples_N, [SpeechSegment(*segment) for segment in segments])
    return [(turn.speaker, round(turn.t0_s, 2), round(turn.t1_s, 2)) for turn in found]


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 2), (3, 4), (5, 0)])
def test_two_voices_in_turn_are_two_speakers(first, second):
    clip, start_s = dialog(first, second)
    segments = VoiceActivity(VoiceActivityConfig()).segments(clip)
    turns = SpeakerTurns(build_voice_encoder(SpeakerConfig()), SpeakerConfig()).find(clip, segments)
    assert [turn.speaker for turn in turns] == ["S1", "S2"]
    assert turns[1].t0_s == pytest.approx(start_s, abs=0.25)


@pytest.mark.parametrize("voice", range(6))
def test_one_voice_is_one_speaker(voice):
    sentence = spoken(voice, 3)
    clip = in_clip((0.1, sentence), n_samples=len(sentence) + 3_200)
    segments = VoiceActivity(VoiceActivityConfig()).segments(clip)
    turns = SpeakerTurns(build_voice_encoder(SpeakerConfig()), SpeakerConfig()).find(clip, segments)
    assert {turn.speaker for turn in turns} == {"S1"}


def test_turns_cover_the_segments_and_speakers_are_numbered_as_they_begin():
    samples = levels((1.0, 0.9), (1.0, 0.1), (1.0, 0.9))
    (one, start, first), (two, second, third), (again, fourth, end) = turns_of(samples, [(0.0, 3.0)])
    assert (one, two, again, start, end) == ("S1", "S2", "S1", 0.0, 3.0)
    assert (first, third) == (second, fourth) == (pytest.approx(1.0, abs=0.13), pytest.approx(2.0, abs=0.13))
    assert turns_of(samples, [(0.2, 0.9), (1.1, 1.9)]) == [("S1", 0.2, 0.9), ("S2", 1.1, 1.9)]


def test_a_pause_ends_a_turn_and_not_a_speaker():
    assert turns_of(levels((3.0, 0.5)), [(0.0, 1.0), (2.0, 3.0)]) == [("S1", 0.0, 1.0), ("S1", 2.0, 3.0)]


def test_no_speech_has_no_turns():
    assert turns_of(levels((1.0, 0.5)), []) == []


def test_the_settings_distance_comes_before_the_encoders():
    samples = levels((1.0, 0.2), (1.0, 0.6))
    assert len({name for name, *_ in turns_of(samples, [(0, 1), (1, 2)])}) == 1
    assert len({name for name, *_ in turns_of(samples, [(0, 1), (1, 2)], max_distance=0.1)}) == 2


def test_a_voice_that_is_heard_for_an_instant_is_no_speaker():
    samples = levels((1.0, 0.1), (0.2, 0.9), (1.0, 0.1))
    segments = [(0.0, 1.0), (1.0, 1.2), (1.2, 2.2)]
    assert {name for name, *_ in turns_of(samples, segments)} == {"S1"}
    assert {name for name, *_ in turns_of(samples, segments, min_speaker_s=0.1)} == {"S1", "S2"}


def test_windows_of_one_length_are_encoded_together():
    encoder = Steps()
    SpeakerTurns(encoder, SpeakerConfig()).find(levels((3.0, 0.5)), [SpeechSegment(0, 1.5), SpeechSegment(2, 2.3)])
    assert sorted(encoder.batches) == [(1, 4_800), (9, 8_000)]


def test_windows_share_their_segment_without_gaps():
    windows = windows_of([SpeechSegment(0.1, 1.3), SpeechSegment(2.0, 2.2)], 0.5, 0.25)
    assert [window.segment for window in windows] == [0, 0, 0, 0, 1]
    assert (windows[0].own_t0_s, windows[3].own_t1_s) == (0.1, 1.3)
    assert all(a.own_t1_s == b.own_t0_s for a, b in itertools.pairwise(windows[:4]))
    assert (windows[4].t0_s, windows[4].t1_s) == (2.0, 2.2)


def test_clusters_are_cut_at_the_distance():
    vectors = np.array([[1, 0], [0.99, 0.141], [0, 1]], np.float32)
    assert len(set(cluster(vectors, 0.3).tolist())) == 2
    assert len(set(cluster(vectors, 0.001).tolist())) == 3
    assert cluster(vectors[:1], 0.3).tolist() == [0]


def test_where_every_cluster_is_rare_the_longest_one_stays():
    vectors = np.eye(3, dtype=np.float32)
    assert absorb_rare(np.array([1, 2, 3]), vectors, np.array([0.1, 0.15, 0.05]), 0.25).tolist() == [2, 2, 2]
