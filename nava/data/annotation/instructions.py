"""What models are told, and the form their answers must have. Raise a form's version whenever its words change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nava.data.annotation.request import AnswerForm

_TEXT: dict[str, Any] = {"type": "string"}
_NUMBER: dict[str, Any] = {"type": "number"}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """A closed object of which every property is required: all that strict structured outputs allow."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


_FACTS = (
    "Say only what can be seen or heard. Do not guess names, places, brands, feelings or what came before. "
    "Do not write the markers <S> or <E>, and do not begin a field with a label. Write English, in full sentences."
)
_VISUAL = "visual: style and setting, who and what is there, what they look like, light and colours."
_TEMPORAL = "temporal: what happens, in the order in which it happens; movement, action, contact of things."
_CAMERA = "camera: shot size, angle, composition, and how the camera moves or that it does not."
_AUDIO = (
    "audio: voices (number, kind, emotion, speaking rate, position; not the words themselves), contact and friction, "
    "sounds of things, ambience, music, singing, reverberation. If nobody speaks, say so."
)

PICTURE_INSTRUCTIONS = (
    f"You describe the picture of a short video clip; you do not hear it. {_FACTS}\n"
    f"Fields of the answer:\n- {_VISUAL}\n- {_TEMPORAL}\n- {_CAMERA}"
)
PICTURE_FORM = AnswerForm("picture_caption", "1", _object(dict.fromkeys(("visual", "temporal", "camera"), _TEXT)))

SOUND_INSTRUCTIONS = (
    f"You describe the sound of a short clip; you do not see it. {_FACTS}\nField of the answer:\n- {_AUDIO}"
)
SOUND_FORM = AnswerForm("sound_caption", "1", _object({"audio": _TEXT}))

REWRITING_INSTRUCTIONS = (
    "You are given two descriptions of one video clip, one of its picture and one of its sound, and a transcript if "
    "there is speech. Rewrite them as one consistent description: tie each sound to what makes it, drop what is said "
    "twice, and where they disagree trust each about its own sense. Add nothing that neither says. "
    f"{_FACTS} Do not quote the transcript.\n"
    f"Fields of the answer:\n- {_VISUAL}\n- {_TEMPORAL}\n- {_CAMERA}\n- {_AUDIO}"
)
REWRITING_FORM = AnswerForm(
    "rewritten_caption", "1", _object(dict.fromkeys(("visual", "temporal", "camera", "audio"), _TEXT))
)

_SPAN = _object(
    {
        "speaker": _TEXT,
        "t0_s": _NUMBER,
        "t1_s": _NUMBER,
        "text": _TEXT,
        "voice": _TEXT,
        "emotion": _TEXT,
        "rate": _TEXT,
        "position": _TEXT,
    }
)
_SPEECH = (
    "speech: every utterance in the order in which it begins; one list item per turn of one speaker: "
    "speaker (a short name for who it is, the same each time, such as 'woman in red'), t0_s and t1_s (begin and end in "
    "seconds from the start of the clip, to a tenth), text (the words, verbatim, in their language), voice (such as "
    "'young woman'), emotion, rate ('slow', 'moderate' or 'fast'), position ('on the left', 'off-screen'); what cannot "
    "be told is the empty text. An empty list if nobody speaks."
)
GROUNDED_INSTRUCTIONS = (
    f"You watch and hear a short video clip and describe it with exact times. {_FACTS}\n"
    f"Fields of the answer:\n- {_VISUAL}\n- {_TEMPORAL}\n- {_CAMERA}\n- {_AUDIO}\n- {_SPEECH}"
)
GROUNDED_FORM = AnswerForm(
    "grounded_caption",
    "1",
    _object(
        {
            **dict.fromkeys(("visual", "temporal", "camera", "audio"), _TEXT),
            "speech": {"type": "array", "items": _SPAN},
        }
    ),
)
GROUNDED_SOUND_INSTRUCTIONS = (
    f"You hear a short clip and describe it with exact times. {_FACTS}\nFields of the answer:\n- {_AUDIO}\n- {_SPEECH}"
)
GROUNDED_SOUND_FORM = AnswerForm(
    "grounded_sound_caption", "1", _object({"audio": _TEXT, "speech": {"type": "array", "items": _SPAN}})
)

VISUAL_TAGS = ("movie", "documentary", "tv_series", "live_stream", "speech", "news", "interview")
TAGGING_INSTRUCTIONS = (
    "You say what kind of footage a short clip comes from. Choose every tag that the picture shows clearly, and none "
    "that has to be guessed; an empty list is a good answer. movie: staged and lit for cinema. documentary: filmed "
    "reality, edited. tv_series: staged for television. live_stream: one person's live broadcast, often with overlays. "
    "speech: a person addresses an audience. news: a newscast or its report. interview: questions and answers between "
    "people."
)
TAGGING_FORM = AnswerForm(
    "visual_tags",
    "1",
    _object({"tags": {"type": "array", "items": {"type": "string", "enum": list(VISUAL_TAGS)}}}),
)
