"""The stages that put kept clips into words: visual tags, captions, prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from nava.artifacts.clip_manifest import ClipRow, Reason
from nava.conditioning.prompt import PromptError
from nava.config.annotation import AnnotationConfig
from nava.data.annotation.asking_stage import AskingStage
from nava.data.annotation.caption_parts import CaptionParts, with_speech, without_marks
from nava.data.annotation.captioner import (
    Caption,
    Captioner,
    GroundedCaptioner,
    RuleCaptioner,
    TieredCaptioner,
    TwoStageCaptioner,
)
from nava.data.annotation.clients import check_endpoints, make_client
from nava.data.annotation.endpoint import EndpointError
from nava.data.annotation.prompt_writer import write_prompt
from nava.data.annotation.speech_denial import says_nobody_speaks
from nava.data.annotation.visual_tags import EndpointTagger, RuleTagger, VisualTagger
from nava.data.curation.stage import Clip, Resources, SourceTask, Stage

# What the caption stage passes on to the prompt stage.
PARTS, SPANS = "caption_parts", "grounded_spans"


def annotation_stages(config: AnnotationConfig) -> list[Stage]:
    """The stages, in order.

    Raises:
        InputError: an endpoint that is used has no key, or its client library is not installed.
    """
    check_endpoints(config.used_endpoints())
    return [VisualTagStage(config), CaptionStage(config), PromptStage()]


class AnnotationStage(AskingStage):
    """A stage that puts clips into words."""

    failure: ClassVar[Reason] = Reason.CAPTION_FAILED
    failures: ClassVar[tuple[type[Exception], ...]] = (EndpointError, PromptError)


@dataclass
class VisualTagStage(AnnotationStage):
    """Tags of the picture; clips without one have none."""

    config: AnnotationConfig
    name: ClassVar[str] = "visual_tags"
    version: ClassVar[str] = "2"
    reads: ClassVar[tuple[str, ...]] = (
        "video_path",
        "static_ratio",
        "av_offset_s",
        "av_conf",
        "speakers",
        "speech_ratio",
    )
    adds: ClassVar[tuple[str, ...]] = ("visual_tags", "visual_tag_backend")
    resources: ClassVar[Resources] = Resources(cores=1.0, memory_mb=1024)
    _tagger: VisualTagger = field(default_factory=RuleTagger, init=False, repr=False)

    def setup(self) -> None:
        """Makes the client, where a model tags."""
        if self.config.visual_tagger == "endpoint":
            client = make_client(self.config.tagger, "annotation.tagger", self.config)
            self._tagger = EndpointTagger(client, self.config.tagger)
            self.in_flight = self.config.max_in_flight

    def score(self, task: SourceTask, clip: Clip) -> ClipRow:
        """See `AskingStage`."""
        if not clip.has_picture:
            return {"visual_tags": None, "visual_tag_backend": None}
        return {"visual_tags": self._tagger.tags(task, clip), "visual_tag_backend": self._tagger.backend}


@dataclass
class CaptionStage(AnnotationStage):
    """The caption: the description, then what is said as spans. A caption that denies speech may have none."""

    config: AnnotationConfig
    name: ClassVar[str] = "captions"
    version: ClassVar[str] = "3"
    reads: ClassVar[tuple[str, ...]] = ("audio_path", "duration_s", "speech", "asr_backend", "speakers", "sharpness")
    adds: ClassVar[tuple[str, ...]] = ("tags", "caption", "caption_backend", "caption_model", "speech", "asr_backend")
    resources: ClassVar[Resources] = Resources(cores=1.0, memory_mb=1024)
    _captioner: Captioner = field(default_factory=RuleCaptioner, init=False, repr=False)

    def setup(self) -> None:
        """Makes the clients, where models caption."""
        if self.config.captioner == "endpoints":
            self._captioner = make_captioner(self.config)
            self.in_flight = self.config.max_in_flight

    def score(self, task: SourceTask, clip: Clip) -> ClipRow:
        """See `AskingStage`."""
        said = self._captioner.caption(task, clip)
        speech = _speech_of(clip.row, said)
        if speech and says_nobody_speaks(said.text):
            raise EndpointError(
                f"the caption says that nobody speaks, and there are {len(speech)} utterances: {said.text}"
            )
        clip.work[PARTS] = said.parts.to_json()
        clip.work[SPANS] = None if said.spans is None else [span.to_json() for span in said.spans]
        words = [utterance["text"] for utterance in speech]
        row: ClipRow = {
            "tags": [*said.tags, *(["transcript"] if words and said.tags else [])],
            "caption": with_speech(said.text, words),
            "caption_backend": said.backend,
            "caption_model": said.model,
        }
        if said.spans is not None:
            # The prompt's spans and the manifest's must be the same, and these say more.
            row |= {"speech": speech, "asr_backend": _recognised_by(clip.row, said)}
        return row


@dataclass
class PromptStage(AnnotationStage):
    """The structured prompt, from the caption's parts and the speech with its times."""

    name: ClassVar[str] = "prompts"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("caption", "speech")
    adds: ClassVar[tuple[str, ...]] = ("prompt",)

    def score(self, task: SourceTask, clip: Clip) -> ClipRow:
        """See `AskingStage`."""
        parts = CaptionParts(**clip.work[PARTS])
        spans: list[dict[str, Any]] | None = clip.work[SPANS]
        return {"prompt": write_prompt(parts, _speech(clip.row) if spans is None else spans)}


def make_captioner(config: AnnotationConfig) -> Captioner:
    """The captioner of models that the configuration describes."""
    rewriter = None
    if config.fusion == "rewriting":
        rewriter = make_client(config.rewriter, "annotation.rewriter", config)
    usual = TwoStageCaptioner(
        make_client(config.picture, "annotation.picture", config),
        make_client(config.sound, "annotation.sound", config),
        rewriter,
        config.picture,
        config.sound,
        config.rewriter,
    )
    if not config.grounding.is_used:
        return usual
    client = make_client(config.grounding.endpoint, "annotation.grounding.endpoint", config)
    return TieredCaptioner(usual, GroundedCaptioner(client, config.grounding), config.grounding)


def _speech(row: ClipRow) -> list[dict[str, Any]]:
    """The recognised utterances, fit to stand between marks."""
    return [{**utterance, "text": without_marks(utterance["text"])} for utterance in row.get("speech") or []]


def _speech_of(row: ClipRow, said: Caption) -> list[dict[str, Any]]:
    """What is said in the clip: as grounded, where it is, else as recognised."""
    return _speech(row) if said.spans is None else [span.utterance for span in said.spans]


def _recognised_by(row: ClipRow, said: Caption) -> str:
    """Whose transcript it is; where another one agreed, both."""
    before = row.get("asr_backend")
    return said.backend if before in (None, "none") else f"{before} + {said.backend}"
