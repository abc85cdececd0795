"""Visual tags: the kind of footage, by a model; by rules no more than what is measured, and never a genre."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from nava.artifacts.clip_manifest import ClipRow
from nava.config.annotation import EndpointConfig
from nava.data.annotation import instructions
from nava.data.annotation.clip_content import picture_parts
from nava.data.annotation.endpoint import AnswerError
from nava.data.annotation.metered_client import MeteredClient
from nava.data.annotation.picture_observation import PictureKind, observe_picture
from nava.data.annotation.request import Request
from nava.data.curation.media import clip_at_a_glance
from nava.data.curation.stage import Clip, SourceTask

RULE_TAGS = ("still", "moving", "dark", "bright", "talking_head")
RULES_BACKEND = "rules.v1"


class VisualTagger(ABC):
    """Tags clips with pictures."""

    backend: str

    @abstractmethod
    def tags(self, task: SourceTask, clip: Clip) -> list[str]:
        """The tags of one clip; none is an honest answer.

        Raises:
            EndpointError: no usable answer for this clip.
        """


@dataclass
class RuleTagger(VisualTagger):
    """What is measured in the picture, in the listed words.

    Attributes:
        min_still_ratio, max_moving_ratio: `static_ratio` from which a clip is `still`, and up to which it is `moving`.
        max_dark_luma, min_bright_luma: mean luma (0-255).
        min_speech_ratio, min_av_conf, max_av_offset_s: a `talking_head` is one mouth-like region that moves with the
            sound, while one person speaks.
    """

    min_still_ratio: float = 0.9
    max_moving_ratio: float = 0.5
    max_dark_luma: float = 40.0
    min_bright_luma: float = 190.0
    min_speech_ratio: float = 0.3
    min_av_conf: float = 0.2
    max_av_offset_s: float = 0.12
    backend: str = RULES_BACKEND

    def tags(self, task: SourceTask, clip: Clip) -> list[str]:
        """See `VisualTagger`."""
        frames_THWC = clip_at_a_glance(task, clip)
        luma = float((frames_THWC.reshape(-1, 3).mean(axis=0) * (0.299, 0.587, 0.114)).sum())
        static_ratio = clip.row.get("static_ratio")
        found = {
            "still": static_ratio is not None and static_ratio >= self.min_still_ratio,
            "moving": static_ratio is not None and static_ratio <= self.max_moving_ratio,
            "dark": luma <= self.max_dark_luma,
            "bright": luma >= self.min_bright_luma,
            "talking_head": self._one_speaks_in_sync(clip.row)
            and observe_picture(frames_THWC).kind is PictureKind.MOUTH,
        }
        return [tag for tag in RULE_TAGS if found[tag]]

    def _one_speaks_in_sync(self, row: ClipRow) -> bool:
        speaks = row.get("speakers") == 1 and (row.get("speech_ratio") or 0.0) >= self.min_speech_ratio
        offset_s = row.get("av_offset_s")
        in_sync = offset_s is not None and abs(offset_s) <= self.max_av_offset_s
        return speaks and in_sync and (row.get("av_conf") or 0.0) >= self.min_av_conf


@dataclass
class EndpointTagger(VisualTagger):
    """What a model sees: any of the paper's kinds of footage."""

    client: MeteredClient
    config: EndpointConfig

    def __post_init__(self) -> None:
        self.backend = self.client.endpoint.backend

    def tags(self, task: SourceTask, clip: Clip) -> list[str]:
        """See `VisualTagger`."""
        request = Request(
            instructions.TAGGING_INSTRUCTIONS,
            tuple(picture_parts(task.folder, clip.row, self.config)),
            instructions.TAGGING_FORM,
            self.config.max_output_tokens,
        )
        return self.client.ask(request, read_tags)


def read_tags(answer: Any) -> list[str]:
    """The tags of an answer, each once, in the order of the list.

    Raises:
        AnswerError: not of the form, or a tag outside the list.
    """
    tags = answer.get("tags") if isinstance(answer, dict) else None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise AnswerError(f"the answer has no list of tags: {str(answer)[:80]!r}")
    if foreign := sorted(set(tags) - set(instructions.VISUAL_TAGS)):
        raise AnswerError(f"the answer has tags outside the list: {', '.join(foreign)}")
    return [tag for tag in instructions.VISUAL_TAGS if tag in tags]
