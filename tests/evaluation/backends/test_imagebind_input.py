"""What ImageBind sees and hears: frames, crops, scaling and log-mel, against definitions and ffmpeg's filter."""

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from nava.evaluation.backends.imagebind_input import (
    avbench_frames,
    avbench_pictures,
    crop_corners,
    official_frames,
    official_pictures,
    sound_clips,
)
from nava.evaluation.extraction.features import UnmeasurableError
from nava.evaluation.scoring.kaldi_fbank import imagebind_audio

RATE = 16_000
# CLIP's, written down here once more.
MEAN_RGB = (0.48145466, 0.4578275, 0.40821073)
STD_RGB = (0.26862954, 0.26130258, 0.27577711)
Weights = Callable[[int, int], np.ndarray]
Pictures = Callable[[np.ndarray, float], np.ndarray]


def blots(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Frames of blots of colour, 8 pixels wide, with noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, -(-height // 8), -(-width // 8), 3))
    fine = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    return np.clip(fine + rng.integers(-30, 31, fine.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("n_frames", "fps", "pairs"),
    [
        (250, 25.0, [(0, 49), (50, 99), (100, 149), (150, 199), (200, 249)]),
        # 5 s: clips begin every 0.75 s, that is every 18.75 frames, and hold the frames that begin in them.
        (125, 25.0, [(0, 49), (19, 68), (38, 87), (57, 106), (75, 124)]),
        (25, 25.0, [(0, 24)] * 5),
        (1, 25.0, [(0, 0)] * 5),
    ],
)
def test_official_frames_are_first_and_last_of_five_clips(
    n_frames: int, fps: float, pairs: list[tuple[int, int]]
) -> None:
    assert official_frames(n_frames, fps).tolist() == [list(pair) for pair in pairs]


@pytest.mark.parametrize(("n_frames", "fps"), [(121, 24.0), (193, 24.0), (240, 30_000 / 1001), (301, 30.0)])
def test_official_frames_are_those_of_exact_fractions(n_frames: int, fps: float) -> None:
    exact = Fraction(fps).limit_denominator(1001)
    for index, pair in enumerate(official_frames(n_frames, fps).tolist()):
        start = (n_frames - 2 * exact) * index / 4
        assert pair == [math.ceil(start), math.ceil(start + 2 * exact) - 1], index


def test_so_few_frames_that_a_clip_holds_none_are_said() -> None:
    with pytest.raises(UnmeasurableError, match=r"at 0\.1 frames per second"):
        official_frames(2, 0.1)


@pytest.mark.parametrize(
    ("n_frames", "fps", "shown"),
    [
        (200, 25.0, [24, 74, 124, 174]),
        (201, 25.0, [24, 74, 124, 174]),
        (121, 24.0, [23, 71]),
        (125, 25.0, [24, 74]),
        (100, 25.0, [24, 74]),
        (240, 30_000 / 1001, [29, 89, 149, 209]),
    ],
)
def test_avbench_frames_are_neighbours_every_two_seconds(n_frames: int, fps: float, shown: list[int]) -> None:
    assert avbench_frames(n_frames, fps).tolist() == [list(pair) for pair in pairwise(shown)]


def test_avbench_needs_two_frames() -> None:
    with pytest.raises(UnmeasurableError, match=r"lasts 3\.96 s; at least 4 s are needed"):
        avbench_frames(99, 25.0)


@pytest.mark.parametrize(
    ("n_frames", "fps"), [(121, 24), (200, 25), (250, 25), (301, 30), (240, Fraction(30_000, 1001))]
)
def test_avbench_frames_are_those_of_ffmpegs_filter(n_frames: int, fps: Fraction) -> None:
    expected = through_ffmpeg(n_frames, Fraction(fps))
    pairs = avbench_frames(n_frames, float(fps)).tolist()
    found = [pair[0] for pair in pairs] + [pairs[-1][1]]
    assert found == expected[: len(found)]
    assert 0 <= len(expected) - len(found) <= 1, "it may show one more at the very end"


def through_ffmpeg(n_frames: int, fps: Fraction) -> list[int]:
    """Numbers of the frames that ffmpeg shows at half a frame per second."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=2, height=2, format="gray", time_base=1 / fps)
    chain = [source, graph.add("fps", "fps=0.5"), graph.add("buffersink")]
    for one, other in pairwise(chain):
        one.link_to(other)
    graph.configure()
    found = []
    for number in (*range(n_frames), None):
        frame = None
        if number is not None:
            low, high = number % 256, number // 256
            frame = av.VideoFrame.from_ndarray(np.array([[low, high], [0, 0]], np.uint8), format="gray")
            frame.pts, frame.time_base, frame.duration = number, 1 / fps, 1
        graph.push(frame)
        while True:
            try:
                shown = graph.pull().to_ndarray()
            except (av.BlockingIOError, av.EOFError):
                break
            found.append(int(shown[0, 0]) + 256 * int(shown[0, 1]))
    return found


@pytest.mark.parametrize(
    ("height", "width", "corners"),
    [
        (224, 398, [(0, 0), (0, 87), (0, 174)]),
        (224, 299, [(0, 0), (0, 38), (0, 75)]),
        (398, 224, [(0, 0), (87, 0), (174, 0)]),
        (224, 224, [(0, 0)] * 3),
    ],
)
def test_three_squares_lie_along_the_longer_side(height: int, width: int, corners: list[tuple[int, int]]) -> None:
    assert crop_corners(height, width) == corners


def linear(size: int, to: int, smooth: bool = False) -> np.ndarray:
    """Weights [to, size] of linear interpolation; smooth: of all pixels under a tent as wide as one of the result."""
    reach = max(size / to, 1.0) if smooth else 1.0
    centre = (np.arange(to) + 0.5) * size / to
    if not smooth:
        centre = np.clip(centre, 0.5, size - 0.5)
    weights = np.maximum(0, 1 - np.abs((np.arange(size) + 0.5)[None] - centre[:, None]) / reach)
    return weights / weights.sum(axis=1, keepdims=True)


def cubic(size: int, to: int, smooth: bool = True, sharpness: float = -0.5) -> np.ndarray:
    """The same of Keys' cubic convolution."""
    reach = max(size / to, 1.0) if smooth else 1.0
    centre = (np.arange(to) + 0.5) * size / to
    x = np.abs((np.arange(size) + 0.5)[None] - centre[:, None]) / reach
    near = ((sharpness + 2) * x - (sharpness + 3)) * x * x + 1
    far = sharpness * (((x - 5) * x + 8) * x - 4)
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    return weights / weights.sum(axis=1, keepdims=True)


def by_the_book(frame_HWC: np.ndarray, weights: Weights, rounded: bool, mistake: str = "") -> np.ndarray:
    """A frame scaled by matrices and normalised [3, h, w]."""
    height, width = frame_HWC.shape[:2]
    short = min(height, width)
    rows, columns = weights(height, height * 224 // short), weights(width, width * 224 // short)
    grey_CHW = rows @ frame_HWC.astype(float).transpose(2, 0, 1) @ columns.T
    if rounded:
        grey_CHW = np.clip(np.rint(grey_CHW), 0, 255)
    mean, std = (np.array(values)[:, None, None] for values in (MEAN_RGB, STD_RGB))
    if mistake == "mean and deviation of ImageNet":
        mean, std = (np.array(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    if mistake == "BGR":
        grey_CHW = grey_CHW[::-1]
    return (grey_CHW / 255 - mean) / std


SIZES = [(300, 420), (420, 300), (112, 150), (224, 224)]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_official_pictures_are_scaled_linearly_and_not_smoothed(height: int, width: int) -> None:
    frames_THWC = blots(50, height, width)
    seen = official_pictures(frames_THWC, 25.0)
    assert (seen.dtype, seen.shape) == (np.float32, (15, 3, 2, 224, 224))
    for place, frame in enumerate((0, 49)):
        expected_CHW = by_the_book(frames_THWC[frame], linear, rounded=False)
        for crop, (top, left) in enumerate(crop_corners(*expected_CHW.shape[1:])):
            part_CHW = expected_CHW[:, top : top + 224, left : left + 224]
            assert np.abs(seen[crop, :, place] - part_CHW).max() < 1e-3
    assert np.array_equal(seen[:3], seen[12:]), "2 s are seen five times"


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_avbench_pictures_are_scaled_by_smoothed_cubics_and_rounded(height: int, width: int) -> None:
    frames_THWC = blots(8, height, width)
    seen = avbench_pictures(frames_THWC, 1.0)
    assert (seen.dtype, seen.shape) == (np.float32, (9, 3, 2, 224, 224))
    grey_level = 1 / 255 / min(STD_RGB)
    for row, (first, second) in enumerate(avbench_frames(8, 1.0)):
        for place, frame in enumerate((first, second)):
            expected_CHW = by_the_book(frames_THWC[frame], cubic, rounded=True)
            for crop, (top, left) in enumerate(crop_corners(*expected_CHW.shape[1:])):
                away = np.abs(seen[3 * row + crop, :, place] - expected_CHW[:, top : top + 224, left : left + 224])
                # Whether a half becomes one or none is for the last bit of a float to say.
                assert away.max() < 1.01 * grey_level
                assert (away > 1e-5).mean() < 1e-3


@pytest.mark.parametrize(
    ("wrong", "mistake"),
    [
        (lambda size, to: linear(size, to, smooth=True), ""),
        (cubic, ""),
        (linear, "BGR"),
        (linear, "mean and deviation of ImageNet"),
    ],
)
def test_mistakes_in_official_pictures_would_be_seen(wrong: Weights, mistake: str) -> None:
    frames_THWC = blots(50, 300, 420)
    expected_CHW = by_the_book(frames_THWC[0], wrong, rounded=False, mistake=mistake)
    assert np.abs(official_pictures(frames_THWC, 25.0)[0, :, 0] - expected_CHW[..., :224]).max() > 0.02


@pytest.mark.parametrize(
    ("wrong", "rounded"),
    [
        (lambda size, to: cubic(size, to, smooth=False), True),
        (lambda size, to: cubic(size, to, sharpness=-0.75), True),
        (lambda size, to: linear(size, to, smooth=True), True),
        (cubic, False),
    ],
)
def test_mistakes_in_avbench_pictures_would_be_seen(wrong: Weights, rounded: bool) -> None:
    frames_THWC = blots(8, 300, 420)
    expected_CHW = by_the_book(frames_THWC[0], wrong, rounded)
    away = np.abs(avbench_pictures(frames_THWC, 1.0)[0, :, 0] - expected_CHW[..., :224])
    assert (away > 1e-5).mean() > 0.3


@pytest.mark.parametrize("pictures", [official_pictures, avbench_pictures])
def test_a_colour_is_normalised_as_clip_does(pictures: Pictures) -> None:
    frames_THWC = np.zeros((8, 30, 50, 3), np.uint8) + np.array([255, 0, 51], np.uint8)
    seen = pictures(frames_THWC, 1.0)
    for channel, value in enumerate((1.0, 0.0, 0.2)):
        assert np.abs(seen[:, channel] - (value - MEAN_RGB[channel]) / STD_RGB[channel]).max() < 1e-5


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize(
    ("seconds", "starts_s"),
    [(10, (0, 4, 8)), (5, (0, 1.5, 3)), (2, (0, 0, 0)), (0.5, (0, 0, 0)), (2.5, (0, 0.25, 0.5))],
)
def test_three_clips_are_heard(seconds: float, starts_s: tuple[float, ...]) -> None:
    samples_N = noise(seconds)
    heard = sound_clips(samples_N)
    assert (heard.dtype, heard.shape) == (np.float32, (3, 1, 128, 204))
    for clip_1MT, start_s in zip(heard, starts_s, strict=True):
        part_N = samples_N[int(start_s * RATE) : int(start_s * RATE) + 2 * RATE]
        np.testing.assert_allclose(clip_1MT, imagebind_audio(part_N), rtol=1e-5, atol=1e-5)
        frames = 1 + (len(part_N) - 400) // 160
        np.testing.assert_allclose(clip_1MT[..., frames:], 4.268 / 9.138, rtol=1e-6)
        assert np.abs(clip_1MT[..., :frames] - 4.268 / 9.138).min() > 0


def test_clips_elsewhere_would_be_heard() -> None:
    """A tone in each third: a clip that lies wrong has another one in it."""
    times_N = np.arange(9 * RATE) / RATE
    hertz_N = np.array([400, 1200, 3600])[(times_N // 3).astype(int)]
    loudest = sound_clips(np.sin(2 * np.pi * hertz_N * times_N).astype(np.float32))[:, 0, :, 5:190].argmax(axis=1)
    mel = lambda value: 1127 * math.log(1 + value / 700)  # noqa: E731
    for heard_T, hertz in zip(loudest, (400, 1200, 3600), strict=True):
        band = (mel(hertz) - mel(20)) / ((mel(8000) - mel(20)) / 129) - 1
        assert np.abs(heard_T - band).max() <= 1
