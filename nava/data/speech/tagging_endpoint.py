"""Audio tags by a model that hears: Qwen3-Omni behind an OpenAI-compatible API, as in the NAVA paper, or Gemini.

The clip's WAV file goes as one part of the request (`nava.data.annotation.openai_chat` has the formats). The model is
asked for every tag of the list, so that a voice has a place to go and is not called ambient; how many speak is then
counted from the turns all the same, as `AudioTagger` says.
"""

from __future__ import annotations

from typing import Any

from nava.config.annotation import AnnotationConfig, EndpointConfig
from nava.data.annotation.clients import make_client
from nava.data.annotation.endpoint import AnswerError
from nava.data.annotation.metered_client import MeteredClient
from nava.data.annotation.request import AnswerForm, Media, MediaKind, Request
from nava.data.speech.audio_tags import AudioTag, AudioTagger
from nava.data.speech.recognition import Recording

SETTING = "speech.audio_tags.endpoint"
SPEAKERS = frozenset({AudioTag.SINGLE_SPEAKER, AudioTag.MULTI_SPEAKER})

# Raise the form's version whenever the words change.
INSTRUCTIONS = (
    "You say what kinds of sound a short clip has. Choose every tag that can be heard clearly, and none that has to be "
    "guessed; at least one always fits. single_speaker: exactly one person speaks. multi_speaker: two persons or more "
    "speak, in turn or at once; never together with single_speaker. singing: a voice sings, hums or raps; a sung voice "
    "is no speaker. music: instruments or recorded music, in front or behind. ambient: anything else that sounds: "
    "nature, weather, traffic, rooms, crowds without words, animals, machines, impacts, effects. silence: nothing can "
    "be heard in the whole clip; never together with another tag."
)
FORM = AnswerForm(
    "audio_tags",
    "1",
    {
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": {"type": "string", "enum": [str(tag) for tag in AudioTag]}},
        },
        "required": ["tags"],
        "additionalProperties": False,
    },
)


class EndpointAudioTagger(AudioTagger):
    """What a model hears. Whether a voice sings is its word too: what the pitch says does not count here.

    Args:
        client: of the endpoint.
        config: of the endpoint.
    """

    def __init__(self, client: MeteredClient, config: EndpointConfig) -> None:
        self._client, self._config = client, config

    @property
    def backend(self) -> str:
        """See `AudioTagger.backend`."""
        return self._client.endpoint.backend

    def kinds(self, recording: Recording, speakers: int, sung_s: float) -> set[AudioTag]:
        """See `AudioTagger.kinds`. A voice alone that makes no turn of a speaker is background: ambient."""
        sound = Media(MediaKind.AUDIO, "audio/wav", recording.path.read_bytes())
        request = Request(INSTRUCTIONS, (sound,), FORM, self._config.max_output_tokens)
        found = self._client.ask(request, read_audio_tags) - SPEAKERS
        return found or (set() if speakers else {AudioTag.AMBIENT})


def make_endpoint_tagger(config: EndpointConfig, annotation: AnnotationConfig) -> EndpointAudioTagger:
    """The tagger, which shares cache, budget and limits with the endpoints of `annotation`.

    Raises:
        InputError: the variable that should hold the key is not set.
    """
    return EndpointAudioTagger(make_client(config, SETTING, annotation), config)


def read_audio_tags(answer: Any) -> set[AudioTag]:
    """The tags of an answer.

    Raises:
        AnswerError: not of the form, no tag, one outside the list, or tags that exclude each other.
    """
    if not isinstance(answer, dict) or set(answer) != {"tags"}:
        raise AnswerError(f"the answer is no object of tags alone: {str(answer)[:80]!r}")
    names = answer["tags"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise AnswerError(f"the answer has no list of tags: {str(answer)[:80]!r}")
    if foreign := sorted(set(names) - set(AudioTag)):
        raise AnswerError(f"the answer has tags outside the list: {', '.join(foreign)[:80]}")
    tags = {AudioTag(name) for name in names}
    if tags >= SPEAKERS or (AudioTag.SILENCE in tags and len(tags) > 1):
        raise AnswerError(f"the answer has tags that exclude each other: {', '.join(sorted(tags))}")
    return tags
