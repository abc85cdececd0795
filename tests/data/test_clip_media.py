"""Reading clip media: exact samples, all frames, and files that are not what they should be."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nava.data.clip_media import read_small_video, read_video, read_wav, small_pictures
from nava.runtime.errors import InputError
from tests.data.flash_corpus import write_silent_mp4, write_wav
from tests.latents.flash_clips import draw_flash


def test_video_is_read_whole_and_close_to_what_was_encoded(tmp_path: Path) -> None:
    clip = draw_flash(3)
    write_silent_mp4(tmp_path / "clip.mp4", clip.video_THWC.numpy())
    video = torch.from_numpy(read_video(tmp_path / "clip.mp4"))
    assert video.shape == (49, 64, 64, 3)
    assert video.dtype == torch.uint8
    brightness, expected = (frames.float().amax(-1).mean((1, 2)) for frames in (video, clip.video_THWC))
    assert torch.corrcoef(torch.stack([brightness, expected]))[0, 1] > 0.99


def test_samples_are_exact(tmp_path: Path) -> None:
    samples = np.linspace(-1, 1, 33_280, dtype=np.float32)
    write_wav(tmp_path / "clip.wav", samples)
    read = torch.from_numpy(read_wav(tmp_path / "clip.wav", 16_000))
    assert read.shape == (33_280,)
    assert read.dtype == torch.float32
    assert (read - torch.from_numpy(samples)).abs().max() < 1e-4


@pytest.mark.parametrize("content", [b"", b"this is text", b"\0" * 4000])
def test_files_that_are_no_media(tmp_path: Path, content: bytes) -> None:
    for name in ("clip.mp4", "clip.wav"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"clip\.mp4 cannot be read"):
        read_video(tmp_path / "clip.mp4")
    with pytest.raises(InputError, match=r"clip\.wav cannot be read.*check the corpus version out again"):
        read_wav(tmp_path / "clip.wav", 16_000)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4 cannot be read"):
        read_video(tmp_path / "gone.mp4")
    with pytest.raises(InputError, match=r"gone\.wav cannot be read"):
        read_wav(tmp_path / "gone.wav", 16_000)


def test_sound_without_a_picture_is_no_video(tmp_path: Path) -> None:
    write_wav(tmp_path / "clip.wav", np.zeros(1600, np.float32))
    with pytest.raises(InputError, match="cannot be read"):
        read_video(tmp_path / "clip.wav")


def test_truncated_wav(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    write_wav(path, np.zeros(1600, np.float32))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match="1100 of 1600 samples are there"):
        read_wav(path, 16_000)


def test_another_form_of_wav(tmp_path: Path) -> None:
    write_wav(tmp_path / "clip.wav", np.zeros(1600, np.float32), sample_rate_hz=48_000, channels=2)
    with pytest.raises(InputError, match=r"2 channels of 16-bit samples at 48000 Hz.*needs mono, 16 bit, 16000 Hz"):
        read_wav(tmp_path / "clip.wav", 16_000)


def shrunk_scene(height: int, width: int, frames: int = 30) -> np.ndarray:
    """A light square that moves over a ramp."""
    ramp = np.linspace(20, 120, width, dtype=np.float32)[None, :, None]
    film = np.broadcast_to(ramp, (frames, height, width, 3)).astype(np.uint8)
    side = height // 4
    for number, picture in enumerate(film):
        left = number * (width - side) // frames
        picture[side : 2 * side, left : left + side] = (200, 80, 40)
    return film


def test_what_is_small_is_not_resized(tmp_path: Path) -> None:
    scene = shrunk_scene(64, 64)
    assert np.array_equal(small_pictures(scene), scene)
    write_silent_mp4(tmp_path / "clip.mp4", scene)
    assert np.array_equal(read_small_video(tmp_path / "clip.mp4"), read_video(tmp_path / "clip.mp4"))


@pytest.mark.parametrize(("size", "small"), [((704, 1280), (64, 116)), ((320, 192), (107, 64)), ((64, 96), (64, 96))])
def test_the_shorter_side_becomes_small(tmp_path: Path, size: tuple[int, int], small: tuple[int, int]) -> None:
    scene = shrunk_scene(*size, frames=5)
    assert small_pictures(scene).shape == (5, *small, 3)
    assert np.array_equal(small_pictures(small_pictures(scene)), small_pictures(scene))
    write_silent_mp4(tmp_path / "clip.mp4", scene)
    read = read_small_video(tmp_path / "clip.mp4")
    assert read.shape == (5, *small, 3)
    assert read.dtype == np.uint8
    difference = read.astype(int) - small_pictures(read_video(tmp_path / "clip.mp4"))
    assert np.abs(difference).mean() < 2


def test_a_small_pixel_is_the_mean_of_those_it_covers() -> None:
    checks = np.zeros((1, 128, 128, 3), np.uint8)
    checks[:, ::2, ::2] = 200
    assert (small_pictures(checks) == 50).all()


@pytest.mark.parametrize(("frames", "step"), [(49, 1), (64, 1), (65, 2), (121, 2), (241, 4)])
def test_a_long_clip_is_seen_in_even_steps(frames: int, step: int) -> None:
    scene = np.arange(frames, dtype=np.uint8)[:, None, None, None] * np.ones((1, 64, 64, 3), np.uint8)
    assert small_pictures(scene)[:, 0, 0, 0].tolist() == list(range(0, frames, step))


def test_a_damaged_file_has_no_small_pictures_either(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"\0" * 4000)
    with pytest.raises(InputError, match=r"clip\.mp4 cannot be read"):
        read_small_video(tmp_path / "clip.mp4")
