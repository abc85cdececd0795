"""Who speaks when: windows of speech are encoded, clustered, and joined to turns of speakers S1, S2, ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nava.config.speech import SpeakerConfig
from nava.data.speech.voice_activity import SAMPLE_RATE_HZ, SpeechSegment

if TYPE_CHECKING:
    from nava.data.speech.voice_encoder import VoiceEncoder

Vectors = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Turn:
    """A stretch in which one speaker speaks, in seconds of the clip."""

    speaker: str
    t0_s: float
    t1_s: float


@dataclass(frozen=True)
class Window:
    """A part of a segment that is encoded, and the part of the clip that its voice is taken for.

    Attributes:
        t0_s, t1_s: what is encoded.
        own_t0_s, own_t1_s: from half-way to the window before it to half-way to the next one.
        segment: index of its segment.
    """

    t0_s: float
    t1_s: float
    own_t0_s: float
    own_t1_s: float
    segment: int


class SpeakerTurns:
    """Speaker diarisation within one clip: agglomerative clustering (average linkage) of voice vectors.

    Args:
        encoder: of voices.
        config: windows and thresholds.
    """

    def __init__(self, encoder: VoiceEncoder, config: SpeakerConfig) -> None:
        self.encoder, self.config = encoder, config

    def find(self, samples_N: npt.NDArray[np.float32], segments: Sequence[SpeechSegment]) -> list[Turn]:
        """The turns of a clip, in order; they cover the segments. Speakers are numbered as they begin."""
        windows = windows_of(segments, self.config.window_s, self.config.hop_s)
        if not windows:
            return []
        distance = self.config.max_distance or self.encoder.max_distance
        vectors = self._encode(samples_N, windows)
        labels = absorb_rare(
            cluster(vectors, distance),
            vectors,
            np.array([window.own_t1_s - window.own_t0_s for window in windows]),
            self.config.min_speaker_s,
        )
        return _join(windows, labels)

    def _encode(self, samples_N: npt.NDArray[np.float32], windows: Sequence[Window]) -> Vectors:
        """Vectors [W, E]; windows of one length go through the encoder together."""
        import torch

        pieces = []
        for window in windows:
            start = min(round(window.t0_s * SAMPLE_RATE_HZ), len(samples_N) - 1)
            length = max(1, round((window.t1_s - window.t0_s) * SAMPLE_RATE_HZ))
            pieces.append(samples_N[start : start + length])
        order = sorted(range(len(pieces)), key=lambda index: len(pieces[index]))
        vectors: dict[int, Vectors] = {}
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the executor runs as many workers as there are cores
        try:
            for _, group in groupby(order, key=lambda index: len(pieces[index])):
                members = list(group)
                batch_BN = torch.from_numpy(np.stack([pieces[index] for index in members]))
                vectors |= dict(zip(members, self.encoder.encode(batch_BN).numpy(), strict=True))
        finally:
            torch.set_num_threads(threads)
        return np.stack([vectors[index] for index in range(len(pieces))])


def windows_of(segments: Sequence[SpeechSegment], window_s: float, hop_s: float) -> list[Window]:
    """Windows that cover the segments, about `hop_s` apart; a segment shorter than a window is one itself."""
    windows = []
    for number, segment in enumerate(segments):
        room_s = segment.duration_s - window_s
        count = 1 + int(np.ceil(room_s / hop_s - 1e-9)) if room_s > 0 else 1
        length_s = min(window_s, segment.duration_s)
        starts = np.linspace(segment.t0_s, segment.t1_s - length_s, count)
        middles = starts + length_s / 2
        borders = [segment.t0_s, *((middles[:-1] + middles[1:]) / 2), segment.t1_s]
        for start, own_t0_s, own_t1_s in zip(starts, borders[:-1], borders[1:], strict=True):
            windows.append(Window(float(start), float(start + length_s), float(own_t0_s), float(own_t1_s), number))
    return windows


def cluster(vectors: Vectors, max_distance: float) -> Labels:
    """A cluster number for each unit vector [W, E]: average linkage, cut at a cosine distance."""
    if len(vectors) == 1:
        return np.zeros(1, np.int64)
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(vectors.astype(np.float64), "average", metric="cosine")
    return np.asarray(fcluster(tree, max_distance, "distance"), np.int64)


def absorb_rare(labels: Labels, vectors: Vectors, seconds: npt.NDArray[np.float64], least_s: float) -> Labels:
    """Give the windows of clusters that last less than `least_s` to the nearest of the others, unless all are so short:
    then to the longest one.
    """
    names = np.unique(labels)
    lasting = {int(name): float(seconds[labels == name].sum()) for name in names}
    large = [name for name in lasting if lasting[name] >= least_s - 1e-9]
    if not large:
        large = [max(lasting, key=lambda name: (lasting[name], -name))]
    centre = np.stack([vectors[labels == name].mean(axis=0) for name in large])
    centre /= np.maximum(np.linalg.norm(centre, axis=1, keepdims=True), 1e-9)
    nearest = np.array(large)[(vectors @ centre.T).argmax(axis=1)]
    return np.where(np.isin(labels, large), labels, nearest)


def _join(windows: Sequence[Window], labels: Labels) -> list[Turn]:
    """Neighbouring windows of one voice and one segment make a turn."""
    turns: list[Turn] = []
    names: dict[int, str] = {}
    pairs = zip(windows, labels.tolist(), strict=True)
    for (_, label), group in groupby(pairs, key=lambda pair: (pair[0].segment, pair[1])):
        members = [window for window, _ in group]
        name = names.setdefault(label, f"S{len(names) + 1}")
        turns.append(Turn(name, members[0].own_t0_s, members[-1].own_t1_s))
    return turns
