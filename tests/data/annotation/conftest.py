"""Small media, requests, and clients of the contract stub."""

import io
import wave
from collections import deque

import numpy as np
import pytest
from PIL import Image

from nava.data.annotation.cost import CostAccount, Price
from nava.data.annotation.gemini import GeminiClient
from nava.data.annotation.metered_client import MeteredClient
from nava.data.annotation.openai_chat import ChatClient
from nava.data.annotation.rate_limit import RateLimiter
from nava.data.annotation.request import AnswerForm, Media, MediaKind, Request
from nava.data.annotation.response_cache import ResponseCache
from nava.data.annotation.retry import RetryPolicy
from tests.data.annotation.contract_stub import KEY, serving
from tests.data.curation.conftest import RATE_HZ, draw_flash, write_media

FORM = AnswerForm(
    "greeting",
    "1",
    {
        "type": "object",
        "properties": {"words": {"type": "string"}},
        "required": ["words"],
        "additionalProperties": False,
    },
)


def jpeg(colour=(200, 40, 40)):
    file = io.BytesIO()
    Image.new("RGB", (32, 24), colour).save(file, "JPEG")
    return Media(MediaKind.IMAGE, "image/jpeg", file.getvalue())


def wav(samples=1600):
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
        sound.writeframes(np.arange(samples, dtype="<i2").tobytes())
    return Media(MediaKind.AUDIO, "audio/wav", file.getvalue())


def mp4(folder):
    frames, _ = draw_flash(seconds=0.5)
    path = write_media(folder / "clip.mp4", frames)
    return Media(MediaKind.VIDEO, "video/mp4", path.read_bytes())


def request(*parts, **changes):
    return Request(**{"instructions": "Greet.", "parts": parts or ("Say hello.",), "form": FORM} | changes)


def words(value):
    """The parser of the form above."""
    from nava.data.annotation.endpoint import AnswerError

    if not isinstance(value, dict) or not isinstance(value.get("words"), str):
        raise AnswerError(f"no words: {value!r}")
    return value["words"]


@pytest.fixture
def stub():
    answers = {name: {"words": "hello"} for name in ("greeting", "words")}
    with serving(answers=answers) as server:
        yield server
        assert server.violations == [], "a client sent what the API's documents do not allow"


def chat(stub, model="stub-vision", key=KEY, timeout_s=20.0, audio_part="input_audio"):
    return ChatClient(model, f"{stub.url}/v1", key, timeout_s, audio_part)


def gemini(stub, model="stub-rewriter", key=KEY, timeout_s=20.0):
    return GeminiClient(model, stub.url, key, timeout_s)


ENDPOINTS = {"openai": chat, "gemini": gemini}


class Waits:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now_s = 0.0
        self.slept = []

    def clock(self):
        return self.now_s

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now_s += seconds


def metered(endpoint, folder, waits=None, budget_usd=0.0, attempts=4, **changes):
    waits = waits or Waits()
    parts = {
        "cache": ResponseCache(folder),
        "account": CostAccount(folder, budget_usd),
        "price": Price(1.0, 10.0),
        "limiter": RateLimiter(0, 0, waits.clock, waits.sleep),
        "retry": RetryPolicy(attempts, sleep=waits.sleep, jitter=lambda: 1.0),
        "max_media_bytes": 1_000_000,
    }
    return MeteredClient(endpoint, **parts | changes)


def faults(*kinds):
    return deque(kinds)
