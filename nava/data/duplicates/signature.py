"""What a clip is compared by: an embedding that proposes pairs, frame hashes and sound bands that confirm them.

Cosine of embeddings alone would unite different clips that share a layout (flashes on the same ground, at other times).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

from nava.data.curation.scores import to_luma

Floats = npt.NDArray[np.float32]

SOUND_BACKEND = "sound_bands/1"  # of clips without pictures
FRAMES = 16
HASH_BITS = 64
SOUND_BANDS = 12
_SIDE = 32
_KEPT = 8  # lowest frequencies per axis: 8 x 8 x 8 = 512
_SOUND_HOP_S = 0.02
_MAX_SHIFT = 3  # hops a re-encoder may move the sound by
_SILENT_RMS = 1e-4
_BAND_EDGES_HZ = 80.0 * 2.0 ** (np.arange(SOUND_BANDS + 1) / 2)
_RHYTHMS = 40  # slowest fluctuations of each band that the embedding of sound keeps


@dataclass(frozen=True)
class Signature:
    """What a clip is compared by. Every value is one that float16 holds, so that storing it changes nothing.

    Attributes:
        backend: what made the embedding: clips are compared with those of the same backend only.
        embedding: float32 [D], unit length up to rounding.
        hashes: bool [16, 64], perceptual hashes of frames evenly spread; none set for a clip without pictures.
        sound: float32 [time, 12], level of half-octave bands per 20 ms, centred, unit length; zeros for silence.
    """

    backend: str
    embedding: Floats
    hashes: npt.NDArray[np.bool_]
    sound: Floats


def picture_cube(frames_THWC: npt.NDArray[np.uint8]) -> Floats:
    """Luma of 16 frames evenly spread, scaled to 32 x 32: float32 [16, 32, 32]."""
    picks = np.linspace(0, len(frames_THWC) - 1, FRAMES).round().astype(int)
    luma_THW = to_luma(frames_THWC[picks])
    return np.stack([cv2.resize(luma_HW, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for luma_HW in luma_THW])


def dct3d(cube_THW: Floats) -> Floats:
    """The 512 lowest frequencies of a picture cube over time, height and width, unit length.

    Brightness alone says nothing, so its place is free: it stands for pictures that have no structure at all.
    """
    spectrum = dctn(cube_THW, norm="ortho")[:_KEPT, :_KEPT, :_KEPT].reshape(-1)
    spectrum[0] = 0.0
    return _unit_or_first(spectrum)


def frame_hashes(cube_THW: Floats) -> npt.NDArray[np.bool_]:
    """Perceptual hash of each frame of a picture cube: which of its 64 lowest frequencies lie above the median."""
    flat = dctn(cube_THW, axes=(1, 2), norm="ortho")[:, :_KEPT, :_KEPT].reshape(FRAMES, -1)
    flat[:, 0] = 0.0
    return np.asarray(flat > np.median(flat, axis=1, keepdims=True))


def sound_bands(audio: Floats, rate_hz: int) -> Floats:
    """Square root of the level in each band: pitch and timing both count, and loud moments do not drown the rest."""
    hop = int(_SOUND_HOP_S * rate_hz)
    blocks = audio[: len(audio) // hop * hop].reshape(-1, hop).astype(np.float64)
    power = np.abs(np.fft.rfft(blocks * np.hanning(hop), axis=1)) ** 2
    frequency_hz = np.fft.rfftfreq(hop, 1 / rate_hz)
    bands = [
        power[:, (low <= frequency_hz) & (frequency_hz < high)].sum(axis=1) for low, high in pairwise(_BAND_EDGES_HZ)
    ]
    level = np.stack(bands, axis=1) ** 0.25
    if (blocks**2).mean(axis=1).max(initial=0.0) < _SILENT_RMS**2:
        return np.zeros_like(level, dtype=np.float32)
    level -= level.mean()
    length = float(np.sqrt((level**2).sum()))
    return _storable(level / length if length > 1e-6 else np.zeros_like(level))


def sound_embedding(sound: Floats) -> Floats:
    """How the bands of a clip fluctuate, whenever they do: unit length, float32 [1 + 40 x 12].

    Mean level of each band with its sign, and magnitudes of its slowest fluctuations. Moving the sound by a few hops
    changes no magnitude but at the ends, so clips whose sounds correlate have a high cosine. The first place stands for
    silence.
    """
    kept = np.zeros((_RHYTHMS, SOUND_BANDS))
    if len(sound):
        spectrum = np.fft.rfft(sound.astype(np.float64), axis=0)[:_RHYTHMS]
        kept[: len(spectrum)] = np.abs(spectrum) * np.sqrt(2.0)  # a fluctuation has two halves of the whole spectrum
        kept[0] = spectrum[0].real
    return _unit_or_first(np.concatenate([np.zeros(1), kept.reshape(-1)]))


def sound_correlation(one: Floats, other: Floats) -> float:
    """Best correlation of two levels over small shifts; -1 where one lasts longer than shifts explain."""
    if abs(len(one) - len(other)) > _MAX_SHIFT:
        return -1.0
    best = -1.0
    for shift in range(-_MAX_SHIFT, _MAX_SHIFT + 1):
        left, right = one[max(shift, 0) :], other[max(-shift, 0) :]
        common = min(len(left), len(right))
        left, right = left[:common] - left[:common].mean(), right[:common] - right[:common].mean()
        best = max(best, float((left * right).sum() / max(np.sqrt((left**2).sum() * (right**2).sum()), 1e-9)))
    return best


def unit_rows(vectors_ND: npt.NDArray[np.float64]) -> Floats:
    """Rows of unit length, rounded to what float16 holds."""
    return _storable(vectors_ND / np.maximum(np.sqrt((vectors_ND**2).sum(axis=1, keepdims=True)), 1e-12))


def _unit_or_first(vector: npt.NDArray[np.float64]) -> Floats:
    length = float(np.sqrt((vector**2).sum()))
    if length > 1e-6:
        return _storable(vector / length)
    return _storable(np.eye(1, len(vector))[0])


def _storable(values: npt.NDArray[np.float64]) -> Floats:
    return values.astype(np.float16).astype(np.float32)
