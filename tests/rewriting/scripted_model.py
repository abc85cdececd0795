"""A model that does what the test says, behind the contract stub of the annotation tests, over a real socket."""

import json
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from nava.config.annotation import EndpointConfig
from nava.config.rewriting import RewritingConfig
from nava.rewriting.endpoint import EndpointRewriter
from tests.data.annotation.conftest import ENDPOINTS, metered
from tests.data.annotation.contract_stub import serving

FORMS = (
    "rewritten_visual_temporal_camera_audio",
    "rewritten_visual_temporal_camera",
    "rewritten_audio",
    # The stub names Gemini's forms by their fields.
    "audio_camera_speech_temporal_visual",
)
KEY_VARIABLE = "NAVA_STUB_KEY"


def material(seen) -> dict:
    """The request that the model was shown."""
    return json.loads(seen.text.split("\n")[0])


def good(seen) -> dict:
    """A faithful answer: the scene said again, and every spoken word."""
    given = material(seen)
    speech = [
        {"voice": "", "emotion": "", "rate": "", "position": "", "speaker": "", **span} for span in given["speech"]
    ]
    return {
        "visual": f"A scene of this: {len(given['prompt'])} letters.",
        "temporal": "It moves a little.",
        "camera": "A static shot.",
        "audio": "A quiet room.",
        "speech": speech,
    }


def losing(seen) -> dict:
    """The same without the speech."""
    return good(seen) | {"speech": []}


def changed(**fields) -> Callable:
    """A faithful answer with other fields in its first speech."""

    def answer(seen):
        whole = good(seen)
        return whole | {"speech": [whole["speech"][0] | fields, *whole["speech"][1:]]}

    return answer


def in_turn(*answers) -> Callable:
    """One answer after the other; the last one for ever."""
    left = list(answers)

    def answer(seen):
        return (left.pop(0) if len(left) > 1 else left[0])(seen)

    return answer


@contextmanager
def answering(answer):
    """The stub with this answer to whatever is asked. A request that the API does not allow fails the test."""
    with serving(answers=dict.fromkeys(FORMS, answer)) as stub:
        yield stub
        assert stub.violations == []


def rewriter(stub, folder: Path, api: str = "openai", **settings) -> EndpointRewriter:
    """A rewriter that asks the stub and waits for nothing."""
    client = metered(ENDPOINTS[api](stub, model="stub-rewriter"), folder)
    return EndpointRewriter(client, RewritingConfig("endpoint", **settings))


def settings_of(stub, cache: Path, **changes) -> RewritingConfig:
    """Settings as a user writes them; the key is in the variable that they name."""
    endpoint = EndpointConfig(
        "openai", "stub-rewriter", base_url=f"{stub.url}/v1", api_key_variable=KEY_VARIABLE, max_attempts=2
    )
    return RewritingConfig("endpoint", endpoint, cache_dir=str(cache), **changes)
