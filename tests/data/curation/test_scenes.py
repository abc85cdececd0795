"""Scenes between hard cuts, fades and dissolves, on drawn films whose cuts are known."""

import numpy as np
import pytest

from nava.artifacts.source_manifest import Segment
from nava.config.curation import SceneConfig
from nava.data.curation import scenes as scenes_module
from nava.data.curation.decoding import SourceTrack
from nava.data.curation.scenes import SceneDetector, changed_share, find_weights, scene_detector, within_segments
from nava.runtime.errors import InputError
from tests.data.curation.conftest import draw_flash, draw_room


def track_of(frames_THWC, fps=24.0):
    times_s = np.arange(len(frames_THWC)) / fps
    return SourceTrack(times_s, frames_THWC, [], np.zeros(0, np.float32), 16_000, has_video=True, has_audio=False)


def detect(frames_THWC, fps=24.0, model=None, **changes):
    return SceneDetector(SceneConfig(**changes), model).detect(track_of(frames_THWC, fps))


def spans(scenes):
    return [(scene.first, scene.last) for scene in scenes]


def fade(before, after, frames=6, level=0.0):
    gain = np.linspace(1, 0, frames)[:, None, None, None]
    before, after = before.astype(float), after.astype(float)
    before[-frames:] = before[-frames:] * gain + level * (1 - gain)
    after[:frames] = after[:frames] * gain[::-1] + level * (1 - gain[::-1])
    return np.concatenate([before, after]).astype(np.uint8)


class KnownTransitions:
    """A model that knows the answers: probabilities by frame; it remembers which frames it was asked about."""

    def __init__(self, frames, middles=(), others=()):
        self.middle_T, self.any_T = np.zeros((2, frames), np.float32)
        self.middle_T[list(middles)] = 0.9
        self.any_T[[*middles, *others]] = 0.9
        self.wanted_T = None

    def __call__(self, small_THWC, wanted_T):
        self.wanted_T = wanted_T
        return self.middle_T * wanted_T, self.any_T * wanted_T


def test_one_picture_is_one_scene():
    (scene,) = detect(draw_room(0, 50), fps=25)
    assert (scene.first, scene.last) == (0, 49)
    assert scene.duration_s == pytest.approx(2.0)
    assert not scene.fades_in
    assert not scene.fades_out


def test_hard_cuts_are_found_to_the_frame():
    film = np.concatenate([draw_room(seed, length) for seed, length in ((1, 40), (2, 25), (3, 60))])
    scenes = detect(film)
    assert spans(scenes) == [(0, 39), (40, 64), (65, 124)]
    assert scenes[1].t0_s == pytest.approx(40 / 24)
    assert scenes[1].t1_s == pytest.approx(65 / 24)


def test_flashes_are_no_cuts():
    frames, _ = draw_flash(seconds=6, seed=3)
    assert len(detect(frames)) == 1


def test_a_large_moving_thing_is_no_cut():
    film = draw_room(5, 60).copy()
    rows = np.arange(64)
    for number, picture in enumerate(film):
        top = int(20 + 18 * np.sin(number * 0.9))
        picture[(rows >= top) & (rows < top + 18), 20:38] = (240, 30, 30)
    assert len(detect(film)) == 1


@pytest.mark.parametrize("level", [0.0, 255.0])
def test_a_fade_is_a_cut_and_its_empty_frames_belong_to_nobody(level):
    first, second = detect(fade(draw_room(1, 60), draw_room(2, 60), level=level))
    assert 55 <= first.last <= 59
    assert 60 <= second.first <= 64
    assert first.t1_s <= second.t0_s
    assert first.fades_out
    assert second.fades_in
    assert not first.fades_in


def test_a_film_that_is_dark_throughout_is_still_a_scene():
    (scene,) = detect(np.full((30, 64, 64, 3), 3, np.uint8))
    assert (scene.first, scene.last) == (0, 29)


def test_no_frames_are_no_scenes():
    assert detect(np.zeros((0, 64, 64, 3), np.uint8)) == []


def test_changed_share_counts_pixels():
    before = np.zeros((8, 8, 3), np.uint8)
    after = before.copy()
    after[:4, :, 1] = 50
    assert changed_share(before, before) == 0.0
    assert changed_share(before, after) == 0.5


def dissolve(frames=20):
    before, after = draw_room(1, 60), draw_room(2, 60)
    weight = np.linspace(0, 1, frames)[:, None, None, None]
    mixed = before[:1] * (1 - weight) + after[:1] * weight
    return np.concatenate([before, mixed.astype(np.uint8), after])


def test_the_fast_detector_alone_overlooks_a_dissolve():
    assert len(detect(dissolve())) == 1


def test_a_dissolve_that_the_model_sees_parts_two_scenes_and_belongs_to_neither():
    model = KnownTransitions(140, middles=[69], others=range(62, 78))
    first, second = detect(dissolve(), model=model)
    assert (first.last, second.first) == (61, 78)
    assert first.fades_out
    assert second.fades_in


def test_two_stretches_of_one_dissolve_are_one_cut():
    model = KnownTransitions(140, middles=[65], others=[*range(62, 68), *range(72, 78)])
    assert len(detect(dissolve(), model=model)) == 2


def test_a_cut_that_the_model_does_not_confirm_is_none():
    film = np.concatenate([draw_room(1, 40), draw_room(2, 40), draw_room(3, 40)])
    assert spans(detect(film, model=KnownTransitions(120, middles=[79]))) == [(0, 79), (80, 119)]


def test_a_fade_that_the_model_does_not_confirm_is_none():
    film = fade(draw_room(1, 60), draw_room(2, 60))
    assert len(detect(film, model=KnownTransitions(120))) == 1
    assert len(detect(film, model=KnownTransitions(120, middles=[60]))) == 2


def test_the_model_is_asked_about_changing_pictures_only_unless_told():
    film = np.concatenate([draw_room(1, 100), draw_room(2, 100)])
    for whole in (False, True):
        model = KnownTransitions(200, middles=[99])
        detect(film, model=model, verify_whole=whole)
        assert model.wanted_T[95:105].all()
        assert model.wanted_T.all() == whole
        assert not model.wanted_T[:50].any() or whole


def test_scenes_are_cut_to_the_segments_that_metadata_name():
    film = np.concatenate([draw_room(1, 48), draw_room(2, 48)])
    track = track_of(film)
    parts = within_segments(SceneDetector(SceneConfig()).detect(track), track, [Segment(1_000_000, 3_000_000)])
    assert spans(parts) == [(24, 47), (48, 71)]
    assert [part.index for part in parts] == [0, 1]
    assert parts[-1].t1_s == pytest.approx(3.0)


def test_missing_weights_say_how_to_get_them(monkeypatch, tmp_path):
    with pytest.raises(InputError, match="are not at "):
        find_weights(str(tmp_path / "absent.pth"))
    monkeypatch.setattr(scenes_module, "_WEIGHTS_PACKAGE", "no_such_package")
    with pytest.raises(InputError, match=r"nava\[scenes\]"):
        find_weights("")


def test_without_verification_no_model_is_loaded():
    assert scene_detector(SceneConfig(verify="none")).model is None
