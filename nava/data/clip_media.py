"""Reading the media of clips: H.264 MP4 for the picture, 16-bit mono WAV for the sound.

Arrays, not tensors: most workers of curation never need torch, whose import takes seconds.
"""

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from nava.runtime.errors import InputError

PCM16_BYTES = 2
PCM16_PEAK = 32_768.0
SMALL_SIDE = 64  # pixels: the shorter side of a small picture
MOST_SMALL_FRAMES = 64


def read_video(path: Path) -> npt.NDArray[np.uint8]:
    """All frames as uint8 RGB [T, H, W, 3].

    Raises:
        InputError: the file is missing, damaged or without a picture.
    """
    return np.stack([frame.to_ndarray(format="rgb24") for frame in _frames(path)]).astype(np.uint8, copy=False)


def read_small_video(path: Path) -> npt.NDArray[np.uint8]:
    """What `small_pictures` makes of a file, but for rounding, at little more than the cost of decoding it: frames are
    scaled as they come, and are the file's own where they are small already.

    Raises:
        InputError: see `read_video`.
    """
    return _thinned(np.stack([_small(frame) for frame in _frames(path)]))


def small_pictures(frames_THWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A clip at a glance: at most `MOST_SMALL_FRAMES` evenly spaced pictures, the shorter side no longer than
    `SMALL_SIDE`, by area averaging. A clip within both limits is returned as it is.
    """
    frames_THWC = _thinned(frames_THWC)
    height, width = frames_THWC.shape[1:3]
    size = _small_size(width, height)
    if size == (width, height):
        return frames_THWC
    import cv2

    resized = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in frames_THWC]
    return np.stack(resized).astype(np.uint8, copy=False)


def _frames(path: Path) -> Iterator[Any]:
    """The decoded frames of a file, at least one."""
    count = 0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            # One thread per file: the caller reads several files at once.
            stream.codec_context.thread_count = 1
            for frame in container.decode(stream):
                yield frame
                count += 1
    except (av.FFmpegError, OSError, IndexError) as error:
        raise _damaged(path, str(error)) from error
    if not count:
        raise _damaged(path, "it has no frame")


def _small(frame: Any) -> npt.NDArray[np.uint8]:
    size = _small_size(frame.width, frame.height)
    if size != (frame.width, frame.height):
        frame = frame.reformat(*size, format="rgb24", interpolation="AREA")
    picture: npt.NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    return picture


def _small_size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, SMALL_SIDE / min(width, height))
    return round(width * scale), round(height * scale)


def _thinned(frames_THWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return frames_THWC[:: -(-len(frames_THWC) // MOST_SMALL_FRAMES)]


def read_wav(path: Path, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Samples of a mono 16-bit WAV file as float32 [N] in [-1, 1).

    Raises:
        InputError: the file is missing, damaged, or of another form.
    """
    try:
        with wave.open(str(path), "rb") as file:
            form = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            promised = file.getnframes()
            data = file.readframes(promised)
    except (OSError, EOFError, wave.Error) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    if form != (sample_rate_hz, 1, PCM16_BYTES):
        rate, channels, width = form
        raise InputError(
            f"{path} has {channels} channels of {8 * width}-bit samples at {rate} Hz; "
            f"the audio codec needs mono, 16 bit, {sample_rate_hz} Hz"
        )
    if len(data) != promised * PCM16_BYTES:
        raise _damaged(path, f"{len(data) // PCM16_BYTES} of {promised} samples are there")
    return np.asarray(np.frombuffer(data, dtype="<i2").astype(np.float32) / PCM16_PEAK, np.float32)


def _damaged(path: Path, problem: str) -> InputError:
    return InputError(f"clip media {path} cannot be read: {problem}; check the corpus version out again")
