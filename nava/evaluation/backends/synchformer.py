"""How far sound and picture are apart, by Synchformer: DeSync, and Verse-Bench's AV-A (section 1.3 of the reference).

Both ask the same network about different windows. av-benchmark scales the short side to 224 pixels and looks at the
first and at the last 14 segments. Verse-Bench scales it to 256, cuts 224 out of it, and looks at the 14 segments in the
middle of the first 5 s.

Unlike in the published code, nothing is encoded again on its way, and all is computed in float32, where Verse-Bench
uses half precision: values may differ a little from its own. That Verse-Bench's window is that of `configs/sync.yaml`
could not be verified; the settings of the published run lie beside its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nava.artifacts.weight_files import WeightFile, locate
from nava.evaluation.backends.synchformer_input import (
    AVBENCH_SHORT_SIDE,
    SEGMENT_FRAMES,
    STEP_FRAMES,
    VERSE_BENCH_FIRST_FRAME,
    VERSE_BENCH_FRAMES,
    VERSE_BENCH_SHORT_SIDE,
    picture_segment,
    segment_count,
    shared_frames,
    sound_segment,
    span_s,
    square,
)
from nava.evaluation.backends.syncnet_extractor import frames_at_25
from nava.evaluation.backends.weights import verified_sha256
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features, UnmeasurableError
from nava.evaluation.scoring.desync import WINDOW_SEGMENTS, window_segments
from nava.evaluation.scoring.sync_scoring import FPS, SAMPLE_RATE_HZ
from nava.runtime.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from nava.evaluation.backends.synchformer_network import SynchformerNetwork

CHECKPOINT = WeightFile(
    "synchformer_state_dict.pth",
    "950 MB",
    "MIT",
    "hkchengrex/av-benchmark",
    "download it from the release v0.1 of https://github.com/hkchengrex/MMAudio "
    "(950058171 bytes, sha256 8aff082f...); it holds the tensors of 24-01-04T16-39-21.pt",
)
MIN_FRAMES = SEGMENT_FRAMES + (WINDOW_SEGMENTS - 1) * STEP_FRAMES
BATCH_SEGMENTS = 2


class Synchformer:
    """Logits of the 21 offsets from -2 to 2 s.

    Args:
        weights: `synchformer_state_dict.pth`, or its folder.
        sha256: what the hash of `weights` must be, as `nava.runtime.hashing.sha256_path` gives it.
        device: where it computes.

    Raises:
        InputError: the file is missing, is another, cannot be read safely, or has a tensor too few or too many.
    """

    version = 1
    needs_weights: ClassVar[bool] = True
    weights_sha256: str | None = None

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu") -> None:
        from nava.evaluation.backends.renamed_weights import filled

        path = locate(CHECKPOINT, weights)
        self.weights_sha256 = verified_sha256("synchformer", weights, sha256)
        self._network = filled(self.build, _tensors(path), lambda _network, name: name, path, device)
        self._device = device

    @staticmethod
    def build() -> SynchformerNetwork:
        """The network at its published size, without weights."""
        from nava.evaluation.backends.synchformer_network import SynchformerNetwork

        return SynchformerNetwork()

    def extract(self, clip: ClipFile) -> Features:
        """`first_logits_K` and `last_logits_K` for DeSync, `verse_bench_logits_K` for AV-A; the span of each in s.

        Of less than 5 s the last is missing, and `verse_bench_reason` says so. UnmeasurableError for less than 4.8 s.
        """
        samples_N = clip.samples_at(SAMPLE_RATE_HZ)
        shown_T = frames_at_25(len(clip.frames_THWC), clip.fps)
        frames = shared_frames(len(shown_T), len(samples_N))
        if frames < MIN_FRAMES:
            raise UnmeasurableError(
                f"picture and sound last {frames / FPS:.2f} s together; Synchformer needs {WINDOW_SEGMENTS} segments, "
                f"{MIN_FRAMES / FPS:.2f} s"
            )
        segments = segment_count(frames)
        starts_S = STEP_FRAMES * np.arange(segments)
        first_S, last_S = (starts_S[window] for window in window_segments(segments))
        first_K, last_K = self._logits(clip, shown_T, samples_N, AVBENCH_SHORT_SIDE, [first_S, last_S])
        arrays = {"first_logits_K": first_K, "last_logits_K": last_K}
        values: dict[str, Any] = {"segments": segments, "first_s": span_s(first_S), "last_s": span_s(last_S)}
        if frames < VERSE_BENCH_FRAMES:
            needed_s = VERSE_BENCH_FRAMES / FPS
            values["verse_bench_reason"] = (
                f"picture and sound last {frames / FPS:.2f} s together; Verse-Bench cuts {needed_s:g} s out of a clip"
            )
        else:
            window_S = VERSE_BENCH_FIRST_FRAME + starts_S[:WINDOW_SEGMENTS]
            values["verse_bench_s"] = span_s(window_S)
            (arrays["verse_bench_logits_K"],) = self._logits(
                clip, shown_T, samples_N, VERSE_BENCH_SHORT_SIDE, [window_S]
            )
        return Features(values, arrays)

    def _logits(
        self,
        clip: ClipFile,
        shown_T: np.ndarray,
        samples_N: np.ndarray,
        short_side: int,
        windows: Sequence[np.ndarray],
    ) -> list[np.ndarray]:
        """Logits [21] of each window, given as the first frames of its segments; a segment of two is seen once."""
        import torch

        starts_S = np.unique(np.concatenate(windows))
        # Between the first window of a long clip and the last, no frame is looked at.
        needed_T = np.unique(starts_S[:, None] + np.arange(SEGMENT_FRAMES))
        squares_THWC = np.stack([square(clip.frames_THWC[shown], short_side) for shown in shown_T[needed_T]])
        seen: list[Tensor] = []
        heard: list[Tensor] = []
        logits = []
        with torch.inference_mode():
            for batch_S in np.split(starts_S, range(BATCH_SEGMENTS, len(starts_S), BATCH_SEGMENTS)):
                places_S = np.searchsorted(needed_T, batch_S)
                frames_SCTHW = np.stack([picture_segment(squares_THWC, place) for place in places_S])
                mel_SMT = np.stack([sound_segment(samples_N, start) for start in batch_S])
                seen.append(self._network.see(torch.from_numpy(frames_SCTHW).to(self._device)))
                heard.append(self._network.hear(torch.from_numpy(mel_SMT).to(self._device)))
            seen_STD, heard_STD = torch.cat(seen), torch.cat(heard)
            for window_S in windows:
                chosen = torch.from_numpy(np.searchsorted(starts_S, window_S)).to(self._device)
                logits.append(self._network.offset_logits(seen_STD[chosen], heard_STD[chosen]).cpu().numpy())
        return logits


def _tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name: of av-benchmark's file, or under `model` as in a checkpoint of the training."""
    import torch

    from nava.artifacts.torch_checkpoint import read_torch_checkpoint

    try:
        value = read_torch_checkpoint(path)
    except InputError as error:
        raise InputError(
            f"{error}. A checkpoint of the training has its settings in it: {CHECKPOINT.obtain}"
        ) from error
    if isinstance(value, dict) and isinstance(value.get("model"), dict):
        value = value["model"]
    if not isinstance(value, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in value.values()):
        raise InputError(f"{path} holds no tensors by name: it is not {CHECKPOINT.file}; {CHECKPOINT.obtain}")
    return {str(name): tensor for name, tensor in value.items()}
