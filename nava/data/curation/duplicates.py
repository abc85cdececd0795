"""Near-duplicates: a 3-D DCT of the pictures proposes pairs; aligned frame hashes and the sound must both agree.

Cosine alone would unite different clips that share a layout (flashes on the same ground, at other times); crops and
mirrored copies are beyond this method and need a learned embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
from scipy.fft import dctn

from nava.config.curation import DuplicateConfig
from nava.data.curation.scores import to_luma
from nava.data.curation.windows import Window

_FRAMES = 16
_SIDE = 32
_KEPT = 8  # lowest frequencies per axis: 8 x 8 x 8 = 512
_SOUND_HOP_S = 0.02
_MAX_SHIFT = 3  # hops a re-encoder may move the sound by
_SILENT_RMS = 1e-4
_BAND_EDGES_HZ = 80.0 * 2.0 ** (np.arange(13) / 2)


@dataclass(frozen=True)
class Signature:
    """What a clip is compared by.

    Attributes:
        embedding: float32 [512], unit length; zeros for a clip without pictures.
        hashes: bool [16, 64], perceptual hashes of frames evenly spread.
        sound: float32 [time, 12], level of half-octave bands per 20 ms, centred, unit length; zeros for silence.
    """

    embedding: npt.NDArray[np.float32]
    hashes: npt.NDArray[np.bool_]
    sound: npt.NDArray[np.float32]


@dataclass
class SignatureStage:
    """Measures a clip's signature."""

    name: str = "signature"
    version: str = "1"

    def process(self, window: Window, rate_hz: int) -> Signature:
        """The signature of one clip, with or without pictures."""
        sound = _bands(window.audio, rate_hz)
        if window.frames_THWC is None:
            return Signature(np.zeros(_KEPT**3, np.float32), np.zeros((_FRAMES, 64), bool), sound)
        luma_THW = to_luma(window.frames_THWC)
        picks = np.linspace(0, len(luma_THW) - 1, _FRAMES).round().astype(int)
        cube = np.stack([cv2.resize(luma_THW[pick], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for pick in picks])
        spectrum = dctn(cube, norm="ortho")[:_KEPT, :_KEPT, :_KEPT].reshape(-1)
        spectrum[0] = 0.0  # brightness alone says nothing
        flat = dctn(cube, axes=(1, 2), norm="ortho")[:, :_KEPT, :_KEPT].reshape(_FRAMES, -1)
        flat[:, 0] = 0.0
        return Signature(_unit(spectrum), flat > np.median(flat, axis=1, keepdims=True), sound)


@dataclass(frozen=True)
class DuplicatePair:
    """A clip and the clip it repeats."""

    clip: int
    keeper: int
    cosine: float


@dataclass
class DuplicateStage:
    """Finds clips that repeat a better one."""

    thresholds: DuplicateConfig
    name: str = "duplicates"
    version: str = "1"

    def process(self, signatures: list[Signature], quality: list[tuple[float, ...]]) -> list[DuplicatePair]:
        """Pairs (clip, keeper). Best quality is kept; a keeper never repeats another clip, so there are no chains.

        Args:
            signatures: one per clip.
            quality: sort keys, larger is better; equal keys are settled by position, the earlier one is kept.
        """
        if not signatures:
            return []
        embeddings_ND = np.stack([signature.embedding for signature in signatures])
        cosine_NN = embeddings_ND @ embeddings_ND.T
        with_picture_N = np.abs(embeddings_ND).max(axis=1) > 0
        order = sorted(range(len(signatures)), key=lambda index: (tuple(-value for value in quality[index]), index))
        kept: list[int] = []
        pairs: list[DuplicatePair] = []
        for clip in order:
            rivals = [other for other in kept if with_picture_N[other] == with_picture_N[clip]]
            near = [
                other
                for other in rivals
                if not with_picture_N[clip] or cosine_NN[clip, other] >= self.thresholds.min_cosine
            ]
            same = [other for other in near if self._agree(signatures[clip], signatures[other])]
            if same:
                keeper = max(same, key=lambda other: (float(cosine_NN[clip, other]), -other))
                pairs.append(
                    DuplicatePair(clip, keeper, float(cosine_NN[clip, keeper]) if with_picture_N[clip] else 1.0)
                )
            else:
                kept.append(clip)
        return pairs

    def _agree(self, one: Signature, other: Signature) -> bool:
        if float((one.hashes != other.hashes).mean()) > self.thresholds.max_hash_distance:
            return False
        if not one.sound.any() or not other.sound.any():
            return not one.sound.any() and not other.sound.any()
        return sound_correlation(one.sound, other.sound) >= self.thresholds.min_audio_correlation


def _bands(audio: npt.NDArray[np.float32], rate_hz: int) -> npt.NDArray[np.float32]:
    """Square root of the level in each band: pitch and timing both count, and loud moments do not drown the rest."""
    hop = int(_SOUND_HOP_S * rate_hz)
    blocks = audio[: len(audio) // hop * hop].reshape(-1, hop).astype(np.float64)
    power = np.abs(np.fft.rfft(blocks * np.hanning(hop), axis=1)) ** 2
    frequency_hz = np.fft.rfftfreq(hop, 1 / rate_hz)
    bands = [
        power[:, (low <= frequency_hz) & (frequency_hz < high)].sum(axis=1) for low, high in pairwise(_BAND_EDGES_HZ)
    ]
    level = np.stack(bands, axis=1) ** 0.25
    if (blocks**2).mean(axis=1).max() < _SILENT_RMS**2:
        return np.zeros_like(level, dtype=np.float32)
    return _unit(level - level.mean())


def sound_correlation(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Best correlation of two levels over small shifts."""
    best = -1.0
    for shift in range(-_MAX_SHIFT, _MAX_SHIFT + 1):
        left, right = one[max(shift, 0) : len(one) + min(shift, 0)], other[max(-shift, 0) : len(other) + min(-shift, 0)]
        left, right = left - left.mean(), right - right.mean()
        best = max(best, float((left * right).sum() / max(np.sqrt((left**2).sum() * (right**2).sum()), 1e-9)))
    return best


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    length = float(np.sqrt((vector**2).sum()))
    return (vector / length if length > 1e-6 else np.zeros_like(vector)).astype(np.float32)
