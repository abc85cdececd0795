"""Cut detection on drawn films with known cuts."""

import numpy as np
import pytest
from nava.data.curation.cuts import CutStage, changed_share

from nava.config.curation import CutConfig
from nava.data.curation.decoding import DecodedSource
from tests.data.curation.conftest import draw_flash, draw_room


@pytest.fixture
def detect():
    stage = CutStage(CutConfig())

    def run(frames_THWC, fps=24.0):
        luma = frames_THWC.mean(axis=3).round().astype(np.uint8)
        times = np.arange(len(frames_THWC)) / fps
        silence = np.zeros(0, np.float32)
        return stage.process(DecodedSource(times, frames_THWC, luma, [], silence, 16_000, True, False))

    return run


def spans(shots):
    return [(shot.first, shot.last) for shot in shots]


def test_one_picture_is_one_shot(detect):
    (shot,) = detect(draw_room(0, 50), fps=25)
    assert (shot.first, shot.last) == (0, 49)
    assert shot.duration_s == pytest.approx(2.0)
    assert not shot.fades_in
    assert not shot.fades_out


def test_hard_cuts_are_found_to_the_frame(detect):
    film = np.concatenate([draw_room(seed, length) for seed, length in ((1, 40), (2, 25), (3, 60))])
    shots = detect(film)
    assert spans(shots) == [(0, 39), (40, 64), (65, 124)]
    assert shots[1].t0_s == pytest.approx(40 / 24)
    assert shots[1].t1_s == pytest.approx(65 / 24)


def test_flashes_are_no_cuts(detect):
    frames, _ = draw_flash(seconds=6, seed=3)
    assert len(detect(frames)) == 1


def test_a_large_moving_thing_is_no_cut(detect):
    film = draw_room(5, 60).copy()
    rows = np.arange(64)
    for number, picture in enumerate(film):
        top = int(20 + 18 * np.sin(number * 0.9))
        picture[(rows >= top) & (rows < top + 18), 20:38] = (240, 30, 30)
    assert len(detect(film)) == 1


def test_a_fade_through_black_is_a_cut_and_its_dark_frames_belong_to_nobody(detect):
    before, after = draw_room(1, 60).astype(float), draw_room(2, 60).astype(float)
    before[-6:] *= np.linspace(1, 0, 6)[:, None, None, None]
    after[:6] *= np.linspace(0, 1, 6)[:, None, None, None]
    first, second = detect(np.concatenate([before, after]).astype(np.uint8))
    assert 55 <= first.last <= 59
    assert 60 <= second.first <= 63
    assert first.fades_out
    assert second.fades_in
    assert not first.fades_in


def test_a_film_that_is_dark_throughout_is_still_a_shot(detect):
    (shot,) = detect(np.full((30, 64, 64, 3), 3, np.uint8))
    assert (shot.first, shot.last) == (0, 29)


def test_no_frames_are_no_shots(detect):
    assert detect(np.zeros((0, 64, 64, 3), np.uint8)) == []


def test_changed_share_counts_pixels():
    before = np.zeros((8, 8, 3), np.uint8)
    after = before.copy()
    after[:4, :, 1] = 50
    assert changed_share(before, before) == 0.0
    assert changed_share(before, after) == 0.5
