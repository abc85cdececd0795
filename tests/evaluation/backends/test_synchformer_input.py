"""Synchformer's segments, frames and log-mel pictures, in closed form and against independent computations."""

import numpy as np
import pytest
import torch
from PIL import Image

from nava.evaluation.backends.synchformer_input import (
    AVBENCH_SHORT_SIDE,
    MEL_BINS,
    SEGMENT_SAMPLES,
    VERSE_BENCH_SHORT_SIDE,
    log_mel,
    mel_triangles,
    picture_segment,
    segment_count,
    shared_frames,
    sound_segment,
    span_s,
    square,
)
from nava.runtime.errors import InputError

RATE = 16_000


@pytest.mark.parametrize(
    ("seconds", "segments"), [(0.6, 0), (0.64, 1), (0.96, 2), (4.76, 13), (4.8, 14), (5.0, 14), (5.12, 15), (8.0, 24)]
)
def test_a_segment_of_16_frames_begins_every_8(seconds, segments):
    frames = round(seconds * 25)
    assert segment_count(frames) == segments == len(range(0, frames - 15, 8))
    # So many stretches of 10,240 samples begin every 5,120, too.
    assert segments == len(range(0, round(seconds * RATE) - SEGMENT_SAMPLES + 1, SEGMENT_SAMPLES // 2))


def test_picture_and_sound_are_cut_to_the_shorter_of_them():
    assert shared_frames(125, 5 * RATE) == 125
    assert shared_frames(125, 5 * RATE - 1) == 124
    assert shared_frames(100, 5 * RATE) == 100


@pytest.mark.parametrize(("first", "expected"), [(0, [0.0, 4.8]), (2, [0.08, 4.88]), (80, [3.2, 8.0])])
def test_14_segments_last_4_8_s(first, expected):
    assert span_s(first + 8 * np.arange(14)) == pytest.approx(expected)


def test_the_sound_of_a_segment_is_that_of_its_frames():
    samples_N = (0.1 * np.random.default_rng(0).standard_normal(2 * RATE)).astype(np.float32)
    at_0_32_s = samples_N[int(0.32 * RATE) : int(0.96 * RATE)]
    np.testing.assert_array_equal(sound_segment(samples_N, 8), log_mel(at_0_32_s))
    assert not np.array_equal(sound_segment(samples_N, 9), log_mel(at_0_32_s))


def test_the_picture_of_a_segment_goes_from_minus_one_to_one():
    frames_THWC = np.zeros((30, 4, 6, 3), np.uint8)
    frames_THWC[..., 0] = 255
    frames_THWC[:, :, :, 1] = np.arange(30, dtype=np.uint8)[:, None, None]
    segment_CTHW = picture_segment(frames_THWC, 8)
    assert segment_CTHW.shape == (3, 16, 4, 6)
    assert segment_CTHW.dtype == np.float32
    assert (segment_CTHW[0] == 1).all()
    assert (segment_CTHW[2] == -1).all()
    np.testing.assert_allclose(segment_CTHW[1, :, 0, 0], np.arange(8, 24) / 127.5 - 1, atol=1e-6)


def picture(height, width, seed=0):
    """Smooth colours with a little grain, none so bright or dark that sharpened edges would be clipped."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(90, 165, (6, 8, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + rng.integers(-30, 30, smooth.shape), 0, 255).astype(np.uint8)


def by_pillow(frame_HWC, size, resample=Image.Resampling.BICUBIC):
    return np.asarray(Image.fromarray(frame_HWC).resize(size[::-1], resample)).astype(int)


@pytest.mark.parametrize(
    ("shape", "short_side", "scaled"),
    [
        ((480, 768), AVBENCH_SHORT_SIDE, (224, 358)),
        ((480, 768), VERSE_BENCH_SHORT_SIDE, (256, 409)),
        ((1280, 720), AVBENCH_SHORT_SIDE, (398, 224)),
        ((64, 96), VERSE_BENCH_SHORT_SIDE, (256, 384)),
        ((224, 224), AVBENCH_SHORT_SIDE, (224, 224)),
    ],
)
def test_the_short_side_is_scaled_and_the_middle_cut_out(shape, short_side, scaled):
    frame_HWC = picture(*shape)
    expected_HWC = by_pillow(frame_HWC, scaled)
    if short_side == VERSE_BENCH_SHORT_SIDE:
        expected_HWC = expected_HWC[: scaled[0] & ~1, : scaled[1] & ~1]
    top, left = (round((length - 224) / 2) for length in expected_HWC.shape[:2])
    found_HWC = square(frame_HWC, short_side)
    assert (found_HWC.shape, found_HWC.dtype) == ((224, 224, 3), np.uint8)
    assert np.abs(found_HWC - expected_HWC[top : top + 224, left : left + 224]).max() <= 1


def test_other_ways_to_scale_are_told_apart():
    frame_HWC = picture(480, 480)
    found_HWC = square(frame_HWC, AVBENCH_SHORT_SIDE).astype(int)
    other = square(frame_HWC, VERSE_BENCH_SHORT_SIDE).astype(int)
    assert np.abs(found_HWC - other).max() > 10, "256 and the middle of it is another picture than 224"
    for resample in (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BOX):
        assert np.abs(found_HWC - by_pillow(frame_HWC, (224, 224), resample)).max() > 4
    frame_1CHW = torch.from_numpy(frame_HWC).permute(2, 0, 1)[None].float()
    rough = torch.nn.functional.interpolate(frame_1CHW, (224, 224), mode="bicubic")[0].permute(1, 2, 0).numpy()
    assert np.abs(found_HWC - rough).max() > 4, "without antialiasing"


def slow_triangles(to_mel, to_hertz):
    """As torchaudio defines them, filter by filter and bin by bin."""
    corners = [to_hertz(to_mel(RATE / 2) * i / (MEL_BINS + 1)) for i in range(MEL_BINS + 2)]
    weights = np.zeros((MEL_BINS, 513))
    for m in range(MEL_BINS):
        for b in range(513):
            f = b * RATE / 1024
            rise, fall = (
                (f - corners[m]) / (corners[m + 1] - corners[m]),
                (corners[m + 2] - f) / (corners[m + 2] - corners[m + 1]),
            )
            weights[m, b] = max(0.0, min(rise, fall))
    return weights


def htk_triangles():
    return slow_triangles(lambda f: 2595 * np.log10(1 + f / 700), lambda m: 700 * (10 ** (m / 2595) - 1))


def by_torch(samples_N, triangles, *, centred=True, window=400, power=2.0):
    spectrum = torch.stft(
        torch.from_numpy(samples_N).double(),
        1024,
        160,
        window,
        torch.hann_window(window, dtype=torch.float64),
        center=centred,
        pad_mode="reflect",
        return_complex=True,
    )
    log = np.log(triangles @ (spectrum.abs() ** power).numpy() + 1e-6)
    padded = np.zeros((MEL_BINS, 66))
    padded[:, : log.shape[1]] = log
    return (padded + 4.2677393) / (2 * 4.5689974)


def segment(seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(SEGMENT_SAMPLES)).astype(np.float32)


def test_filters_are_htks_triangles_over_frequency():
    np.testing.assert_allclose(mel_triangles(), htk_triangles(), atol=1e-9)


def test_the_log_mel_picture_is_that_of_a_centred_spectrum():
    samples_N = segment()
    found_MT = log_mel(samples_N)
    assert (found_MT.shape, found_MT.dtype) == ((128, 66), np.float32)
    np.testing.assert_allclose(found_MT, by_torch(samples_N, htk_triangles()), atol=1e-5)
    np.testing.assert_allclose(found_MT[:, 65], 4.2677393 / 9.1379948, atol=1e-6)


def test_wrong_log_mel_pictures_are_told_apart():
    samples_N, triangles = segment(), htk_triangles()
    found_MT = log_mel(samples_N)
    kaldis = slow_triangles(lambda f: 1127 * np.log(1 + f / 900), lambda m: 900 * (np.exp(m / 1127) - 1))
    for name, wrong_MT in {
        "not centred": by_torch(samples_N, triangles, centred=False),
        "another window": by_torch(samples_N, triangles, window=1024),
        "magnitude, not power": by_torch(samples_N, triangles, power=1.0),
        "another scale": by_torch(samples_N, kaldis),
    }.items():
        assert np.abs(found_MT - wrong_MT).max() > 0.05, name


def test_a_tone_is_heard_in_the_band_around_it():
    hertz = 1000.0
    samples_N = (0.5 * np.sin(2 * np.pi * hertz * np.arange(SEGMENT_SAMPLES) / RATE)).astype(np.float32)
    band = int(np.argmax(log_mel(samples_N)[:, 30]))
    mel = lambda f: 2595 * np.log10(1 + f / 700)  # noqa: E731
    assert band + 1 == pytest.approx(mel(hertz) / (mel(8000) / 129), abs=1)


def test_only_whole_segments_are_pictured():
    with pytest.raises(InputError, match="10240 samples"):
        log_mel(segment()[:-1])
