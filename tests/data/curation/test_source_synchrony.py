"""Offset of sound against picture by block correlation, and the door for learned backends."""

import numpy as np
import pytest

from nava.artifacts.source_manifest import Source
from nava.config.curation import ClipConfig, FilterConfig, IntegrityConfig, ScoreConfig
from nava.data.curation import synchrony
from nava.data.curation.decoding import SourceTrack
from nava.data.curation.scenes import Scene
from nava.data.curation.stage import Clip, SourceTask
from nava.data.curation.synchrony import OffsetScore, SynchronyStage, block_xcorr, loudness, offset_curve
from nava.runtime.errors import InputError
from tests.data.curation.conftest import RATE_HZ, draw_flash

MIN_CONFIDENCE = FilterConfig().min_av_conf
SECONDS, FPS, MAX_LAG = 2.5, 24, 19


def film(*shots, fps=FPS):
    """A source of shots (frames, audio) of SECONDS each, and its scenes."""
    frames = np.concatenate([shot[0] for shot in shots])
    audio = np.concatenate([shot[1] for shot in shots])
    times_s = np.arange(len(frames)) / fps
    track = SourceTrack(times_s, frames, [], audio, RATE_HZ, has_video=True, has_audio=True)
    count = len(frames) // len(shots)
    scenes = [
        Scene(number, number * count, (number + 1) * count - 1, number * count / fps, (number + 1) * count / fps)
        for number in range(len(shots))
    ]
    return track, scenes


def shot(seed, **changes):
    return draw_flash(seconds=SECONDS, seed=seed, **changes)


def score(*shots, **changes):
    return block_xcorr(*film(*shots, **changes), FPS, 0.8)


@pytest.mark.parametrize("late_s", [-0.5, -0.25, 0.0, 0.25, 0.4])
def test_the_offset_is_found_to_a_frame(late_s):
    found = score(*(shot(seed, late_s=late_s) for seed in range(3)))
    assert found.offset_s == pytest.approx(late_s, abs=1 / 24)
    assert found.confidence >= MIN_CONFIDENCE


def test_pictures_at_another_rate_are_brought_to_the_clips():
    found = score(*(draw_flash(seconds=SECONDS, seed=seed, fps=30, late_s=0.3) for seed in range(3)), fps=30)
    assert found.offset_s == pytest.approx(0.3, abs=1 / 24)


def test_a_thing_that_darkens_counts_as_one_that_lights_up():
    frames, audio = shot(1, late_s=0.3)
    found = score((255 - frames, audio))
    assert found.offset_s == pytest.approx(0.3, abs=1 / 24)


def test_sound_from_elsewhere_gives_no_confidence():
    confident = 0
    for seed in range(10):
        mixed = [(shot(10 * seed + number)[0], shot(1000 + 10 * seed + number)[1]) for number in range(3)]
        found = score(*mixed)
        confident += found is not None and found.confidence >= MIN_CONFIDENCE
    assert confident <= 1


@pytest.mark.parametrize("period_s", [0.25, 0.5])
def test_a_regular_beat_gives_no_confidence_because_a_period_looks_like_no_shift(period_s):
    beats = np.arange(-0.2 * period_s, SECONDS, period_s)  # it goes on before the scene
    assert score(*(shot(seed, events=beats) for seed in range(3))).confidence < MIN_CONFIDENCE


def test_silence_steady_sound_and_still_pictures_have_nothing_to_compare():
    frames, audio = shot(0)
    steady = 0.3 * np.sin(2 * np.pi * 500 * np.arange(len(audio)) / RATE_HZ).astype(np.float32)
    for seen, heard in ((frames, np.zeros_like(audio)), (frames, steady), (np.repeat(frames[:1], 60, axis=0), audio)):
        assert score((seen, heard)) is None


def test_a_scene_too_short_for_the_largest_lag_is_left_out():
    frames, audio = shot(0)
    assert offset_curve(frames[:30, ..., 0], audio[: 30 * RATE_HZ // 24], RATE_HZ, FPS, MAX_LAG) is None
    assert offset_curve(frames[..., 0], audio, RATE_HZ, FPS, MAX_LAG).shape == (2 * MAX_LAG + 1,)


def test_scenes_with_steady_sound_do_not_dilute_the_others():
    speaks = shot(3, late_s=0.25)
    hums = (shot(4)[0], 0.3 * np.sin(2 * np.pi * 200 * np.arange(len(speaks[1])) / RATE_HZ).astype(np.float32))
    assert score(speaks, hums, hums) == score(speaks)


def test_a_long_scene_is_compared_in_pieces(monkeypatch):
    frames, audio = draw_flash(seconds=12, seed=2, late_s=0.3, events=np.cumsum(np.linspace(0.3, 0.7, 22)))
    whole = score((frames, audio))
    lengths = []
    real = synchrony.offset_curve
    monkeypatch.setattr(synchrony, "offset_curve", lambda luma, *rest: lengths.append(len(luma)) or real(luma, *rest))
    monkeypatch.setattr(synchrony, "_PIECE_S", 4.0)
    pieces = score((frames, audio))
    assert lengths == [96, 96, 96]
    assert pieces.offset_s == pytest.approx(whole.offset_s, abs=1 / 24)


def test_loudness_is_where_the_sound_is():
    audio = np.zeros(33_280, np.float32)
    audio[RATE_HZ : RATE_HZ + 3000] = 0.5
    level = loudness(audio, RATE_HZ, FPS, 49)
    assert len(level) == 49
    assert int(np.argmax(level)) in (24, 25, 26, 27)
    assert level[:23].max() == 0.0
    assert level.max() == 1.0


def task_of(tmp_path, track, scenes, monkeypatch):
    monkeypatch.setattr(synchrony, "source_track", lambda *arguments: track)
    monkeypatch.setattr(synchrony, "source_file", lambda task: tmp_path / "a.mp4")
    clips = [
        Clip({"clip_id": name, "modality": modality}) for name, modality in (("a", "av"), ("b", "av"), ("c", "audio"))
    ]
    task = SourceTask(Source("s", "a.mp4", "0" * 64, 1, None, "", ""), str(tmp_path), tmp_path, clips=clips)
    task.work["scenes"] = scenes
    return task


def test_all_clips_with_pictures_get_the_sources_offset(tmp_path, monkeypatch):
    task = task_of(tmp_path, *film(shot(0, late_s=0.3), shot(1, late_s=0.3)), monkeypatch)
    SynchronyStage(ClipConfig(), IntegrityConfig(), ScoreConfig()).process([task])
    first, second, sound = (clip.row for clip in task.clips)
    assert first["av_offset_s"] == second["av_offset_s"] == pytest.approx(0.3, abs=1 / 24)
    assert first["av_backend"] == "block_xcorr"
    assert "av_backend" not in sound


class Plugin:
    """An entry point, as an operator's package declares it."""

    name = "learned"

    @staticmethod
    def load():
        return LearnedModel


class LearnedModel:
    name, proven = "learned", False

    def __init__(self, weights):
        self.weights = weights

    def offset(self, path, spans_s):
        assert (path.name, self.weights, len(spans_s)) == ("a.mp4", "/models/learned", 1)
        return OffsetScore(0.08, 0.9)


def test_a_learned_backend_comes_by_entry_point_and_is_marked(tmp_path, monkeypatch):
    monkeypatch.setattr(synchrony, "entry_points", lambda group: [Plugin()] if group == "nava.synchrony" else [])
    config = ScoreConfig(synchrony="learned", synchrony_weights="/models/learned")
    stage = SynchronyStage(ClipConfig(), IntegrityConfig(), config)
    stage.setup()
    task = task_of(tmp_path, *film(shot(0)), monkeypatch)
    stage.process([task])
    assert task.clips[0].row["av_backend"] == "learned (unproven)"
    assert (task.clips[0].row["av_offset_s"], task.clips[0].row["av_conf"]) == (0.08, 0.9)


def test_a_backend_that_nobody_provides_is_refused_before_anything_runs():
    with pytest.raises(InputError, match=r"'syncnet', which no installed package provides.*Built in is block_xcorr"):
        SynchronyStage(ClipConfig(), IntegrityConfig(), ScoreConfig(synchrony="syncnet"))
