"""The structured prompt of a clip, as at inference, from the parts of its caption and its speech."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nava.conditioning.prompt import PromptError, StructuredPrompt, parse_prompt
from nava.conditioning.speech import ATTRIBUTES, MAX_SPEAKER_WORDS, SpeechSpan, render_speech, time_of
from nava.data.annotation.caption_parts import CaptionParts

_NAME_WORD = re.compile(r"[\w'’\-]+")


def write_prompt(parts: CaptionParts, speech: Sequence[Mapping[str, Any]]) -> str:
    """The prompt as text.

    Args:
        parts: the description, without speech.
        speech: utterances with `speaker`, `t0_s`, `t1_s` (seconds of the clip), `text`, and attributes where known.

    Raises:
        PromptError: the parts or the words break the template.
    """
    spans = [_span(utterance) for utterance in speech]
    audio = render_speech([*([parts.audio] if parts.audio else []), *spans])
    prompt = StructuredPrompt(parts.visual, parts.temporal, parts.camera, audio).render()
    if (found := len(parse_prompt(prompt).spans)) != len(spans):
        raise PromptError(f"the prompt reads as {found} spans of speech, {len(spans)} were written", prompt, 0)
    return prompt


def _span(utterance: Mapping[str, Any]) -> SpeechSpan:
    """An utterance as a span with its speaker, attributes and time."""
    name = " ".join(_NAME_WORD.findall(utterance.get("speaker") or "")[:MAX_SPEAKER_WORDS])
    stated = {key: utterance[key] for key in ATTRIBUTES if key != "time" and utterance.get(key)}
    time = time_of(utterance["t0_s"], utterance["t1_s"])
    return SpeechSpan(utterance["text"], name, **stated, time=time)
