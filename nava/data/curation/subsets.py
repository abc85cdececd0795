"""Which training stages a kept clip is for: the paper's three subsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nava.artifacts.clip_manifest import ClipRow, Modality
from nava.config.curation import SubsetConfig

STAGE1, STAGE2, STAGE3 = "stage1", "stage2", "stage3"


@dataclass
class SubsetStage:
    """Stage 1 takes every clip, stage 2 the full audio-video set and sound of high quality, stage 3 curated
    audio-video clips: sharp, loud enough, in sync where that can be told, or with several speakers.
    """

    thresholds: SubsetConfig
    name: ClassVar[str] = "subsets"
    version: ClassVar[str] = "1"

    def process(self, row: ClipRow) -> list[str]:
        """The subsets of one kept clip."""
        subsets = [STAGE1]
        with_picture = row["modality"] == Modality.AUDIO_VIDEO
        if with_picture or self._good_sound(row):
            subsets.append(STAGE2)
        if with_picture and self._good_sound(row) and self._curated(row):
            subsets.append(STAGE3)
        return subsets

    def _good_sound(self, row: ClipRow) -> bool:
        return bool(
            row["lufs"] >= self.thresholds.min_lufs and row["silence_ratio"] <= self.thresholds.max_silence_ratio
        )

    def _curated(self, row: ClipRow) -> bool:
        if row.get("crop"):
            return False
        sharp = row.get("sharpness") is None or row["sharpness"] >= self.thresholds.min_sharpness
        confident = (row.get("av_conf") or 0.0) >= self.thresholds.min_av_conf
        in_sync = confident and abs(row["av_offset_s"]) <= self.thresholds.max_av_offset_s
        several = (row.get("speakers") or 0) >= 2
        return sharp and (in_sync or several)
