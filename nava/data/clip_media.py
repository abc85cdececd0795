"""Reading the media of clips: H.264 MP4 for the picture, 16-bit mono WAV for the sound.

Arrays, not tensors: most workers of curation never need torch, whose import takes seconds.
"""

import wave
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from nava.runtime.errors import InputError

PCM16_BYTES = 2
PCM16_PEAK = 32_768.0


def read_video(path: Path) -> npt.NDArray[np.uint8]:
    """All frames as uint8 RGB [T, H, W, 3].

    Raises:
        InputError: the file is missing, damaged or without a picture.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            # One thread per file: the caller reads several files at once.
            stream.codec_context.thread_count = 1
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    except (av.FFmpegError, OSError, IndexError) as error:
        raise _damaged(path, str(error)) from error
    if not frames:
        raise _damaged(path, "it has no frame")
    return np.stack(frames).astype(np.uint8, copy=False)


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
