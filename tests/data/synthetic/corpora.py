"""Small generated corpora, and what is measured on their films."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nava.config.synthetic import DefectCounts, SyntheticConfig
from nava.data.synthetic.files import Film, read_film
from nava.data.synthetic.labels import FileLabel

SEED = 3
ONE_OF_EACH = DefectCounts(1, 2, 3, 1, 1, 1, 1, 2, 4, 1)


def tiny_config(**values) -> SyntheticConfig:
    """Two clean files and no defects, unless told otherwise."""
    settings = {
        "videos": 2,
        "audio_files": 2,
        "min_shots": 2,
        "max_shots": 2,
        "defects": DefectCounts(*[0] * 10),
        "workers": 1,
    }
    return SyntheticConfig(**{**settings, **values})


@dataclass
class Corpus:
    folder: Path
    config: SyntheticConfig
    labels: list[FileLabel]

    def path(self, label: FileLabel) -> Path:
        return self.folder / "media" / label.path

    def film(self, label: FileLabel) -> Film:
        return read_film(self.path(label))

    def clean(self) -> list[FileLabel]:
        return [label for label in self.labels if label.modality == "video" and not label.defect]

    def with_defect(self, defect: str) -> list[FileLabel]:
        found = [label for label in self.labels if label.defect == defect]
        assert found, f"the corpus has no file with the defect {defect}"
        return found


def brightness_track(frames_THWC: np.ndarray) -> np.ndarray:
    """Mean over the pixels of the brightest channel, for each frame."""
    return frames_THWC.max(axis=3).mean(axis=(1, 2))
