"""Filters: from the scores of a clip to a reason for dropping it, or none. Thresholds may move without measuring
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nava.artifacts.clip_manifest import ClipRow, Modality, Reason
from nava.config.curation import FilterConfig, TextConfig
from nava.data.curation.stage import SourceTask, Stage
from nava.data.curation.subtitles import subtitle_boxes


@dataclass(frozen=True)
class Decision:
    """Why a clip is dropped, in a word of the fixed list and in a sentence."""

    reason: Reason
    detail: str


@dataclass
class FilterStage(Stage):
    """Reads the scores of a record. The first rule that speaks gives the reason, so the order is from gross to
    subtle.
    """

    thresholds: FilterConfig
    text: TextConfig
    name: ClassVar[str] = "filters"
    version: ClassVar[str] = "3"
    reads: ClassVar[tuple[str, ...]] = ("silence_ratio", "lufs", "clip_ratio", "static_ratio", "ocr_boxes", "av_conf")
    adds: ClassVar[tuple[str, ...]] = ("status", "drop_reason", "detail", "stage")

    def process(self, tasks: Sequence[SourceTask]) -> list[SourceTask]:
        """Closes every open clip that a rule speaks against."""
        for task in tasks:
            for clip in task.open_clips:
                if (decision := self.decide(clip.row)) is not None:
                    clip.close(decision.reason, decision.detail, self.name)
        return list(tasks)

    def decide(self, row: ClipRow) -> Decision | None:
        """The reason to drop a clip, or None to keep it."""
        rules = [self._silent, self._too_quiet, self._clipped]
        if row["modality"] == Modality.AUDIO_VIDEO:
            rules += [self._exposed, self._static, self._blurred, self._blocky, self._subtitles, self._offset]
        return next((decision for rule in rules if (decision := rule(row))), None)

    def _silent(self, row: ClipRow) -> Decision | None:
        if row["silence_ratio"] <= self.thresholds.max_silence_ratio:
            return None
        return Decision(Reason.SILENT, f"{row['silence_ratio']:.0%} of the clip is silence")

    def _too_quiet(self, row: ClipRow) -> Decision | None:
        if row["lufs"] >= self.thresholds.min_lufs:
            return None
        return Decision(
            Reason.TOO_QUIET, f"loudness {row['lufs']:.1f} LUFS, at least {self.thresholds.min_lufs:.0f} is wanted"
        )

    def _clipped(self, row: ClipRow) -> Decision | None:
        if row["clip_ratio"] <= self.thresholds.max_clip_ratio:
            return None
        return Decision(Reason.CLIPPED_AUDIO, f"{row['clip_ratio']:.1%} of the samples are at full scale")

    def _static(self, row: ClipRow) -> Decision | None:
        if row["static_ratio"] <= self.thresholds.max_static_ratio:
            return None
        return Decision(Reason.STATIC_PICTURE, f"nothing moves in {row['static_ratio']:.0%} of the frame steps")

    def _blurred(self, row: ClipRow) -> Decision | None:
        if row["sharpness"] is None or row["sharpness"] >= self.thresholds.min_sharpness:
            return None
        return Decision(
            Reason.BLURRED, f"sharpness {row['sharpness']:.1f}, at least {self.thresholds.min_sharpness:.1f} is wanted"
        )

    def _exposed(self, row: ClipRow) -> Decision | None:
        if row["exposure"] is None or row["exposure"] >= self.thresholds.min_exposure:
            return None
        return Decision(Reason.BADLY_EXPOSED, f"{1 - row['exposure']:.0%} of the picture is black or white")

    def _blocky(self, row: ClipRow) -> Decision | None:
        if row["blockiness"] is None or row["blockiness"] <= self.thresholds.max_blockiness:
            return None
        detail = f"blockiness {row['blockiness']:.1f}, at most {self.thresholds.max_blockiness:.1f} is wanted"
        return Decision(Reason.BLOCKY, detail)

    def _subtitles(self, row: ClipRow) -> Decision | None:
        boxes = subtitle_boxes(row, self.text)
        return Decision(Reason.SUBTITLE_TEXT, f'reads "{boxes[0]["text"]}" in the picture') if boxes else None

    def _offset(self, row: ClipRow) -> Decision | None:
        offset_s, confidence = row["av_offset_s"], row["av_conf"]
        if (
            offset_s is None
            or confidence < self.thresholds.min_av_conf
            or abs(offset_s) <= self.thresholds.max_av_offset_s
        ):
            return None
        where = "after" if offset_s > 0 else "before"
        return Decision(
            Reason.AUDIO_VIDEO_OFFSET,
            f"sound comes {abs(offset_s):.2f} s {where} the picture (confidence {confidence:.2f})",
        )
