"""Captioners: rules, two models for picture and sound, and one model that says who speaks when.

The scheme is the NAVA paper's: Qwen3-VL describes the picture and Qwen3-Omni the sound, fused by concatenation or
rewritten by a Gemini Flash model; clips of high quality or with several speakers go to a Gemini Pro model with temporal
grounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nava.artifacts.clip_manifest import ClipRow
from nava.config.annotation import EndpointConfig, GroundingConfig
from nava.data.annotation import instructions
from nava.data.annotation.caption_parts import PARTS, CaptionParts
from nava.data.annotation.clip_content import picture_parts, sound_parts
from nava.data.annotation.endpoint import EndpointError
from nava.data.annotation.grounding import GroundedSpan, agreement, read_spans
from nava.data.annotation.metered_client import MeteredClient
from nava.data.annotation.request import Media, Request
from nava.data.annotation.rule_captions import BACKEND, caption_by_rules
from nava.data.clip_media import read_wav
from nava.data.curation.media import clip_at_a_glance
from nava.data.curation.stage import Clip, SourceTask


@dataclass(frozen=True)
class Caption:
    """What a captioner says of a clip.

    Attributes:
        text: the description in one paragraph, without speech.
        parts: the same in the prompt's parts.
        backend, model: who said it, as the manifest's columns have it.
        tags: what was measured; the first is the family. Models measure nothing.
        spans: who speaks when, if the captioner says so; None if it does not.
    """

    text: str
    parts: CaptionParts
    backend: str
    model: str
    tags: tuple[str, ...] = ()
    spans: tuple[GroundedSpan, ...] | None = None


class Captioner(ABC):
    """Describes clips by their files."""

    @abstractmethod
    def caption(self, task: SourceTask, clip: Clip) -> Caption:
        """The caption of one clip.

        Its row has media paths, duration and, where it was recognised, speech.

        Raises:
            EndpointError: no usable answer for this clip.
            RunStoppedError: no clip can be described.
        """


class RuleCaptioner(Captioner):
    """Words for what is measured; needs no model."""

    def caption(self, task: SourceTask, clip: Clip) -> Caption:
        """See `Captioner`."""
        row = clip.row
        frames_THWC = clip_at_a_glance(task, clip) if clip.has_picture else None
        audio = read_wav(task.folder / row["audio_path"], row["audio_sr"])
        said = caption_by_rules(frames_THWC, audio, row["audio_sr"])
        return Caption(said.text, said.parts, BACKEND, BACKEND, said.tags)


@dataclass
class TwoStageCaptioner(Captioner):
    """One model sees, one hears; their words are put side by side, or rewritten by a third."""

    picture: MeteredClient
    sound: MeteredClient
    rewriter: MeteredClient | None
    picture_config: EndpointConfig
    sound_config: EndpointConfig
    rewriter_config: EndpointConfig

    def caption(self, task: SourceTask, clip: Clip) -> Caption:
        """See `Captioner`."""
        folder, row = task.folder, clip.row
        clients = [self.sound]
        parts = CaptionParts()
        if clip.has_picture:
            clients.insert(0, self.picture)
            parts = self._see(folder, row)
        parts = replace(parts, audio=self._hear(folder, row).audio)
        # There is nothing to tie together in sound alone.
        if self.rewriter is not None and parts.visual:
            clients.append(self.rewriter)
            parts = self._rewrite(self.rewriter, parts, [spoken["text"] for spoken in row.get("speech") or []])
        return Caption(parts.text, parts, backend_of(clients), model_of(clients))

    def _see(self, folder: Path, row: ClipRow) -> CaptionParts:
        request = Request(
            instructions.PICTURE_INSTRUCTIONS,
            tuple(picture_parts(folder, row, self.picture_config)),
            instructions.PICTURE_FORM,
            self.picture_config.max_output_tokens,
        )
        names = ("visual", "temporal", "camera")
        return self.picture.ask(request, lambda answer: CaptionParts.from_answer(answer, names))

    def _hear(self, folder: Path, row: ClipRow) -> CaptionParts:
        request = Request(
            instructions.SOUND_INSTRUCTIONS,
            tuple(sound_parts(folder, row)),
            instructions.SOUND_FORM,
            self.sound_config.max_output_tokens,
        )
        return self.sound.ask(request, lambda answer: CaptionParts.from_answer(answer, ("audio",)))

    def _rewrite(self, rewriter: MeteredClient, parts: CaptionParts, transcript: Sequence[str]) -> CaptionParts:
        picture = f"Picture: {parts.visual} {parts.temporal} {parts.camera}"
        spoken = "Transcript: " + (" / ".join(transcript) if transcript else "none")
        request = Request(
            instructions.REWRITING_INSTRUCTIONS,
            (picture, f"Sound: {parts.audio}", spoken),
            instructions.REWRITING_FORM,
            self.rewriter_config.max_output_tokens,
        )
        return rewriter.ask(request, CaptionParts.from_answer)


@dataclass
class GroundedCaptioner(Captioner):
    """One model sees and hears the clip and says who speaks when; its transcript is held against the recognised one."""

    client: MeteredClient
    config: GroundingConfig

    def caption(self, task: SourceTask, clip: Clip) -> Caption:
        """See `Captioner`."""
        row, endpoint, duration_s = clip.row, self.config.endpoint, clip.row["duration_s"]
        text, form = instructions.GROUNDED_SOUND_INSTRUCTIONS, instructions.GROUNDED_SOUND_FORM
        names: tuple[str, ...] = ("audio",)
        parts: list[str | Media] = [f"The clip lasts {duration_s:.2f} s."]
        if clip.has_picture:
            text, form, names = instructions.GROUNDED_INSTRUCTIONS, instructions.GROUNDED_FORM, PARTS
            parts += picture_parts(task.folder, row, endpoint)
        # Gemini hears the sound of a video; servers of other models mostly see it only.
        if not (clip.has_picture and endpoint.provider == "gemini" and endpoint.picture_input == "video"):
            parts += sound_parts(task.folder, row)

        def parse(answer: Any) -> tuple[CaptionParts, list[GroundedSpan]]:
            return CaptionParts.from_answer(answer, names), read_spans(answer, duration_s)

        request = Request(text, tuple(parts), form, endpoint.max_output_tokens)
        described, spans = self.client.ask(request, parse)
        self._check_transcript(row, spans)
        asked = [self.client]
        return Caption(described.text, described, backend_of(asked), model_of(asked), spans=tuple(spans))

    def _check_transcript(self, row: ClipRow, spans: Sequence[GroundedSpan]) -> None:
        """Where speech was recognised by other means, both must agree."""
        if row.get("asr_backend") in (None, "none"):
            return
        recognised = [spoken["text"] for spoken in row.get("speech") or []]
        share = agreement([span.text for span in spans], recognised)
        if share < self.config.min_agreement:
            raise EndpointError(
                f"the grounded transcript agrees with {row['asr_backend']} in {share:.2f} of the words; "
                f"annotation.grounding.min_agreement is {self.config.min_agreement:g}"
            )


@dataclass
class TieredCaptioner(Captioner):
    """Clips of the tier go to the grounded captioner, the others to the usual one."""

    usual: Captioner
    grounded: Captioner
    config: GroundingConfig

    def caption(self, task: SourceTask, clip: Clip) -> Caption:
        """See `Captioner`."""
        chosen = self.grounded if is_of_tier(clip.row, self.config) else self.usual
        return chosen.caption(task, clip)


def is_of_tier(row: ClipRow, config: GroundingConfig) -> bool:
    """Whether a clip has several speakers, or the quality, that the tier is for."""
    if config.multi_speaker and (row.get("speakers") or 0) >= 2:
        return True
    sharp = (row.get("sharpness") or 0.0) >= config.min_sharpness
    return config.high_quality and sharp and (row.get("source_height") or 0) >= config.min_source_height


def backend_of(clients: Sequence[MeteredClient]) -> str:
    """Providers and models that made a caption, and whether one of them has never run for real."""
    names = " + ".join(f"{client.endpoint.provider}:{client.endpoint.model}" for client in clients)
    return names if all(client.endpoint.proven for client in clients) else f"{names} (unproven)"


def model_of(clients: Sequence[MeteredClient]) -> str:
    """The models that made a caption."""
    return " + ".join(client.endpoint.model for client in clients)
