"""Sound files as samples: decoded by PyAV, mixed down, resampled; and a codec's sound in the form of its input."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nava.latents.interface import AudioCodec
from nava.latents.resampling import is_convertible, resample
from nava.runtime.errors import InputError

# Files that name other files or addresses (playlists) are not among these.
FORMATS = ("wav", "w64", "flac", "mp3", "aac", "ogg", "mov", "matroska", "aiff", "caf", "avi", "mpegts", "asf", "amr")
STEREO = 2
# ITU-R BS.775: centre and surround channels enter at -3 dB, the low frequency channel not at all.
MINUS_3_DB = 0.5**0.5
# Places of the left and of the right channels that enter at -3 dB, by the number of channels: 5.0, 5.1 and 7.1.
SURROUND: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    5: ((2, 3), (2, 4)),
    6: ((2, 4), (2, 5)),
    8: ((2, 4, 6), (2, 5, 7)),
}
# What the timbre encoder of the release listens to, and what a voice needs at least.
VOICE_SECONDS = 30.0
MIN_VOICE_SECONDS = 1.0
# Rates that share no divisor with the wanted one are converted by way of this one.
COMMON_RATE_HZ = 48_000


def load_waveform(
    path: str | Path,
    sample_rate_hz: int,
    channels: int,
    max_s: float | None = None,
    *,
    min_s: float = 0.0,
    purpose: str = "sound",
) -> Tensor:
    """Read a file's sound.

    Args:
        path: any usual sound or video file.
        sample_rate_hz: wanted rate.
        channels: 1 takes the mean of all channels; 2 mixes surround down and plays mono on both.
        max_s: at most this much from the beginning; by default all.
        min_s: at least this much must be there.
        purpose: what the sound is for, in the message on too little of it.

    Returns:
        float32 [channels, N].

    Raises:
        InputError: no such file, not a sound file, no sound in it, or too short.
    """
    path = Path(path)
    try:
        found = path.is_file()
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path.
        raise InputError(f"the sound file '{path}' cannot be opened: {_reason(error)}") from error
    if not found:
        raise InputError(f"there is no sound file at '{path}'")
    samples_CN, rate_hz = _decode(path, sample_rate_hz, max_s)
    seconds = samples_CN.shape[1] / rate_hz
    if seconds < min_s or not samples_CN.shape[1]:
        raise InputError(f"{path.name} is {seconds:.1f} s long; {purpose} needs at least {max(min_s, 0.1):g} s")
    if max_s is not None:
        samples_CN = samples_CN[:, : round(max_s * rate_hz)]
    return resample(mix(samples_CN, channels), rate_hz, sample_rate_hz).contiguous()


def load_voice(path: str | Path, sample_rate_hz: int) -> Tensor:
    """The first 30 s of a reference voice, mono float32 [N].

    Raises:
        InputError: no usable sound, or less than a second of it.
    """
    mono_1N = load_waveform(path, sample_rate_hz, 1, VOICE_SECONDS, min_s=MIN_VOICE_SECONDS, purpose="a voice")
    return mono_1N[0]


def mix(samples_CN: Tensor, channels: int) -> Tensor:
    """Sound of any number of channels as mono or stereo [channels, N]. The sum of a surround mix may exceed 1.

    Channels of 5.0, 5.1 and 7.1 lie in the usual order (left, right, centre, low frequency if any, surround, back);
    of other layouts both sides get the mean.
    """
    given = samples_CN.shape[0]
    if given == channels:
        return samples_CN
    if channels == 1:
        return samples_CN.mean(dim=0, keepdim=True)
    if channels != STEREO:
        raise ValueError(f"sound is mixed to 1 or {STEREO} channels, not {channels}")
    if given not in SURROUND:
        return samples_CN.mean(dim=0, keepdim=True).expand(STEREO, -1)
    sides = [samples_CN[side] + MINUS_3_DB * samples_CN[list(SURROUND[given][side])].sum(dim=0) for side in (0, 1)]
    return torch.stack(sides)


def decode_mono(codec: AudioCodec, latent_BLC: Tensor) -> Tensor:
    """What a codec decodes, as mono [B, N] at the rate of its input: the form in which sound is compared."""
    samples = codec.decode(latent_BLC)
    if codec.sound_channels > 1:
        samples = samples.mean(dim=1)
    return resample(samples, codec.output_sample_rate_hz, codec.sample_rate_hz)


def _decode(path: Path, wanted_hz: int, max_s: float | None) -> tuple[Tensor, int]:
    """All channels [C, N], as they are, and their rate."""
    import av
    import numpy as np

    parts: list[Any] = []
    try:
        with av.open(str(path), options={"format_whitelist": ",".join(FORMATS)}) as container:
            if not container.streams.audio:
                raise InputError(f"{path.name} has no sound")
            stream = container.streams.audio[0]
            rate_hz = stream.rate if is_convertible(stream.rate, wanted_hz) else COMMON_RATE_HZ
            # Interleaved, because PyAV cannot give eight planes as an array.
            converter = av.AudioResampler(format="flt", rate=rate_hz)
            missing = float("inf") if max_s is None else round(max_s * rate_hz)
            for frame in container.decode(stream):
                missing -= _append(parts, converter.resample(frame))
                if missing <= 0:
                    break
            else:
                _append(parts, converter.resample(None))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{path.name} is not a sound file that can be read, or is damaged: {_reason(error)}"
        ) from error
    if not parts:
        raise InputError(f"{path.name} holds no sound that can be decoded")
    return torch.from_numpy(np.concatenate(parts, axis=1)), rate_hz


def _append(parts: list[Any], frames: Sequence[Any]) -> int:
    arrays = [frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T for frame in frames]
    parts.extend(arrays)
    return sum(array.shape[1] for array in arrays)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
