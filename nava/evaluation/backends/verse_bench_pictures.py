"""Verse-Bench's scores of pictures: AS by three published judges of pictures, and VQ of AS and ID (section 1.4)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nava.artifacts.weight_files import WeightFile
from nava.evaluation.backends.dino_identity import DinoV3TokenMinus2
from nava.evaluation.backends.maniqa_input import CROPS, crops
from nava.evaluation.backends.weights import file_in, verified_sha256
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features, scored
from nava.evaluation.scoring.score import Score
from nava.runtime.hashing import sha256_path

if TYPE_CHECKING:
    from nava.evaluation.backends.maniqa_network import ManiqaNetwork
    from nava.evaluation.backends.musiq_network import MusiqNetwork

_MODELS = "zuoweizwzw/Verse-Bench-Models"
_SIGLIP, _SIGLIP_REPOSITORY = "siglip-so400m-patch14-384", "google/siglip-so400m-patch14-384"
_DINO = "dinov3-vitl16-pretrain-lvd1689m"
HEAD = WeightFile("aesthetic_predictor_v2_5.pth", "5 MB", "AGPL-3.0", _MODELS)
MANIQA = WeightFile("ckpt_koniq10k.pt", "543 MB", "Apache-2.0", _MODELS)
MUSIQ = WeightFile(
    "musiq_koniq_ckpt-e95806b9.pth",
    "about 109 MB",
    "licence of pyiqa",
    "chaofengc/IQA-PyTorch-Weights",
    "download it from the release v0.1-weights of https://github.com/chaofengc/IQA-PyTorch",
)
SIGLIP = tuple(
    WeightFile(f"{_SIGLIP}/{file}", size, "Apache-2.0", _SIGLIP_REPOSITORY)
    for file, size in (("config.json", "1 kB"), ("model.safetensors", "3.5 GB"))
)
# MANIQA's attention between channels is 3072 x 3072 for each square.
CROPS_AT_ONCE = 5
SCALES = (10.0, 100.0, 1.0)  # of the three judges


class VerseBenchAesthetic:
    """AS: Aesthetic Predictor V2.5, MUSIQ and MANIQA of all frames, each scaled to 0..1, and their mean.

    Args:
        weights: folder with `aesthetic_predictor_v2_5.pth`, `musiq_koniq_ckpt-e95806b9.pth`, `ckpt_koniq10k.pt`, and
            `siglip-so400m-patch14-384/` as on the hub.
        sha256: of the folder, as `nava.runtime.hashing.sha256_path` gives it.
        device: of torch.

    Raises:
        InputError: a file is missing, is another, or has a tensor too few or too many.
    """

    version = 1
    needs_weights: ClassVar[bool] = True
    name: ClassVar[str] = "verse_bench_aesthetic"
    weights_sha256: str | None = None

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu") -> None:
        from nava.artifacts.torch_checkpoint import read_state_dict
        from nava.evaluation.backends.renamed_weights import filled
        from nava.evaluation.backends.siglip_aesthetics import SiglipAesthetics

        head, musiq, maniqa, config, _ = (file_in(weights, file) for file in (HEAD, MUSIQ, MANIQA, *SIGLIP))
        self.weights_sha256 = verified_sha256(self.name, weights, sha256)
        self._predictor = SiglipAesthetics(config.parent, head, device)
        self._musiq = filled(self.build_musiq, read_state_dict(musiq), lambda _network, name: name, musiq, device)
        self._maniqa = filled(self.build_maniqa, read_state_dict(maniqa), lambda _network, name: name, maniqa, device)
        self._device = device

    @staticmethod
    def build_musiq() -> MusiqNetwork:
        """MUSIQ at its published size, without weights."""
        from nava.evaluation.backends.musiq_network import MusiqNetwork

        return MusiqNetwork()

    @staticmethod
    def build_maniqa() -> ManiqaNetwork:
        """MANIQA at its published size, without weights."""
        from nava.evaluation.backends.maniqa_network import ManiqaNetwork

        return ManiqaNetwork()

    def extract(self, clip: ClipFile) -> Features:
        """`aesthetic`, or why there is none, and `scores_T3` of the three judges, each in its own range."""
        frames_THWC = clip.frames_THWC
        height, width = frames_THWC.shape[1:3]
        if min(height, width) < (side := self._maniqa.size.side):
            reason = f"the picture has {width} x {height} pixels; MANIQA needs {side} x {side}"
            return Features(scored(aesthetic=Score.missing(reason)))
        judges = (
            self._predictor.scores(frames_THWC),
            self._musiq_scores(frames_THWC),
            self._maniqa_scores(frames_THWC),
        )
        scores_T3 = np.stack(judges, axis=1)
        value = float(np.mean(scores_T3.mean(axis=0) / np.array(SCALES)))
        return Features(scored(aesthetic=Score(value)), {"scores_T3": scores_T3})

    def _musiq_scores(self, frames_THWC: np.ndarray) -> np.ndarray:
        import torch

        from nava.evaluation.backends.musiq_input import patches

        with torch.inference_mode():
            return np.array([float(self._musiq(patches(frame).to(self._device))) for frame in frames_THWC])

    def _maniqa_scores(self, frames_THWC: np.ndarray) -> np.ndarray:
        return np.array([self._maniqa_score(frame, number) for number, frame in enumerate(frames_THWC)])

    def _maniqa_score(self, frame_HWC: np.ndarray, number: int) -> float:
        import torch

        squares_N3HW = torch.from_numpy(crops(frame_HWC, number, self._maniqa.size.side))
        with torch.inference_mode():
            parts = [self._maniqa(part.to(self._device)).cpu() for part in squares_N3HW.split(CROPS_AT_ONCE)]
        return float(torch.cat(parts).double().sum()) / CROPS


class VerseBenchVideoQuality(VerseBenchAesthetic):
    """What VQ needs: AS, and DINOv3's features of every frame for ID.

    Args:
        weights: folder as for AS, with `dinov3-vitl16-pretrain-lvd1689m/` as on the hub besides.
        sha256: of the folder.
        device: of torch.
    """

    name = "verse_bench_video_quality"
    dino: ClassVar[type[DinoV3TokenMinus2]] = DinoV3TokenMinus2

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu") -> None:
        super().__init__(weights, sha256, device)
        folder = Path(weights).expanduser() / _DINO
        self._dino = self.dino(
            weights=str(folder), sha256=sha256_path(folder) if folder.is_dir() else "", device=device
        )

    def extract(self, clip: ClipFile) -> Features:
        """`aesthetic`, `scores_T3`, and `frames_TD` as DINOv3 has them."""
        judged, seen = super().extract(clip), self._dino.extract(clip)
        return Features(judged.values, {**judged.arrays, **seen.arrays})
