"""Filters: from the scores of a clip to a reason for dropping it, or none. Thresholds may move without measuring
again.
"""

from __future__ import annotations

from dataclasses import dataclass

from nava.artifacts.clip_manifest import ClipRow, Modality, Reason
from nava.config.curation import FilterConfig


@dataclass(frozen=True)
class Decision:
    """Why a clip is dropped, in a word of the fixed list and in a sentence."""

    reason: Reason
    detail: str


@dataclass
class FilterStage:
    """Reads the scores of one manifest row. The first rule that speaks gives the reason, so the order is from gross to
    subtle.
    """

    thresholds: FilterConfig
    name: str = "filters"
    version: str = "1"

    def process(self, row: ClipRow) -> Decision | None:
        """The reason to drop the clip, or None to keep it."""
        rules = [self._silent, self._too_quiet, self._clipped]
        if row["modality"] == Modality.AUDIO_VIDEO:
            rules += [self._static, self._blurred, self._burnt_text, self._offset]
        return next((decision for rule in rules if (decision := rule(row))), None)

    def _silent(self, row: ClipRow) -> Decision | None:
        if row["silence_ratio"] <= self.thresholds.max_silence_ratio:
            return None
        return Decision(
            Reason.SILENT, f"{row['silence_ratio']:.0%} of the clip is below {self.thresholds.silence_dbfs:.0f} dBFS"
        )

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

    def _burnt_text(self, row: ClipRow) -> Decision | None:
        for box in row["text_boxes"] or []:
            letters = sum(character.isalnum() for character in box["text"])
            if letters >= self.thresholds.min_text_characters and box["score"] >= self.thresholds.min_text_score:
                return Decision(Reason.BURNT_IN_TEXT, f'reads "{box["text"]}" in the picture')
        return None

    def _offset(self, row: ClipRow) -> Decision | None:
        offset_s, confidence = row["av_offset_s"], row["av_confidence"]
        if (
            offset_s is None
            or confidence < self.thresholds.min_av_confidence
            or abs(offset_s) <= self.thresholds.max_av_offset_s
        ):
            return None
        where = "after" if offset_s > 0 else "before"
        return Decision(
            Reason.AUDIO_VIDEO_OFFSET,
            f"sound comes {abs(offset_s):.2f} s {where} the picture (confidence {confidence:.2f})",
        )
