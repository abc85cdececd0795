"""Reading clip media: exact samples, all frames, and files that are not what they should be."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nava.data.clip_media import read_video, read_wav
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
