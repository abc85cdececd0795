"""The section `speech`: defaults that run anywhere, and what is refused."""

import pytest

from nava.config.composition import compose
from nava.config.speech import SpeechConfig
from nava.runtime.errors import InputError


def test_the_defaults_need_no_weights_and_no_network():
    config = SpeechConfig()
    config.check()
    assert (config.speakers.encoder, config.recognition.backend, config.audio_tags.backend) == (
        "mel_statistics",
        "none",
        "rules",
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["voice_activity.threshold=1.5"], "speech.voice_activity.threshold is 1.5; it must be between 0 and 1"),
        (["voice_activity.release=0.6"], "speech.voice_activity.release is 0.6; it must be at most"),
        (["speakers.encoder=ecapa"], "speech.speakers.encoder is 'ecapa'; it must be mel_statistics or"),
        (["speakers.window_s=0"], "speech.speakers.window_s is 0.0; it must be above 0"),
        (["speakers.encoder=redimnet"], "speech.speakers.weights is ''; it must be where ReDimNet's weights are"),
        (
            ["speakers.encoder=redimnet", "speakers.weights=/w"],
            "speech.speakers.max_distance is 0.0; it must be above 0",
        ),
        (["recognition.backend=whisper"], "speech.recognition.backend is 'whisper'"),
        (["recognition.backend=faster_whisper"], "speech.recognition.model is ''; it must be the folder of a CTransl"),
        (
            ["recognition.backend=endpoint", "recognition.model=x"],
            "speech.recognition.base_url is ''; it must be an http",
        ),
        (["recognition.compute_type=int4"], "speech.recognition.compute_type is 'int4'"),
        (["recognition.device=tpu"], "speech.recognition.device is 'tpu'; it must be cpu or cuda"),
        (["audio_tags.backend=yamnet"], "speech.audio_tags.model is ''; it must be the file of YAMNet"),
        (["audio_tags.backend=yamnet", "audio_tags.model=y"], "speech.audio_tags.class_map is ''"),
        (["audio_tags.backend=omni"], "speech.audio_tags.backend is 'omni'; it must be rules or yamnet or endpoint"),
        (["audio_tags.endpoint.provider=x"], "speech.audio_tags.endpoint.provider is 'x'; it must be openai or gemini"),
        (["audio_tags.endpoint.timeout_s=0"], "speech.audio_tags.endpoint.timeout_s is 0.0; it must be above 0"),
        (
            ["audio_tags.endpoint.modle=x"],
            "unknown setting 'speech.audio_tags.endpoint.modle'; did you mean speech.aud",
        ),
        (["audio_tags.silence_dbfs=3"], "speech.audio_tags.silence_dbfs is 3.0; it must be below 0"),
    ],
)
def test_what_no_run_could_use_is_named(overrides, message):
    with pytest.raises(InputError) as caught:
        compose("demo", [f"speech.{override}" for override in overrides])
    assert message in str(caught.value)


def test_addresses_and_limits_do_not_change_what_is_recognised():
    base = compose("demo").identity
    names = ("base_url=http://x/v1", "timeout_s=5", "requests_per_minute=9", "api_key_variable=K", "max_attempts=2")
    assert compose("demo", [f"speech.recognition.{name}" for name in names]).identity == base
    assert compose("demo", ["speech.recognition.beam_size=1"]).identity != base


TAGGED = [
    "speech.audio_tags.backend=endpoint",
    "speech.audio_tags.endpoint.base_url=http://a/v1",
    "annotation.cache_dir=/c",
]


def test_a_tagger_behind_an_endpoint_is_the_papers_unless_said():
    tags = compose("demo", TAGGED).config["speech"]["audio_tags"]
    assert (tags["endpoint"]["provider"], tags["endpoint"]["model"]) == ("openai", "Qwen/Qwen3-Omni-30B-A3B-Instruct")
    assert SpeechConfig().used_endpoints() == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("speech.audio_tags.endpoint.base_url=", "speech.audio_tags.endpoint.base_url is ''; it must be the address"),
        ("speech.audio_tags.endpoint.model=", "speech.audio_tags.endpoint.model is ''; it must be the model's name"),
        (
            "speech.audio_tags.model=x",
            "speech.audio_tags.model is 'x'; it must be empty: the model asked is speech.aud",
        ),
        ("annotation.cache_dir=", "annotation.cache_dir is ''; it must be a folder for paid answers"),
    ],
)
def test_a_tagger_behind_an_endpoint_must_be_whole(change, message):
    with pytest.raises(InputError) as caught:
        compose("demo", [*TAGGED, change])
    assert message in str(caught.value)


def test_a_budget_wants_the_prices_of_the_tagger_too():
    gemini = ["speech.audio_tags.endpoint.provider=gemini", "annotation.max_cost_usd=5"]
    with pytest.raises(InputError, match=r"speech\.audio_tags\.endpoint\.input_price_usd is 0\.0; it must be above 0"):
        compose("demo", [*TAGGED, *gemini])
    prices = [f"speech.audio_tags.endpoint.{name}_price_usd=1" for name in ("input", "output")]
    compose("demo", [*TAGGED, *gemini, *prices])


def test_who_tags_is_identity_and_the_way_there_is_not():
    base = compose("demo", TAGGED).identity
    for change in ("base_url=http://z/v1", "api_key_variable=K", "max_attempts=2", "requests_per_minute=9"):
        assert compose("demo", [*TAGGED, f"speech.audio_tags.endpoint.{change}"]).identity == base, change
    assert compose("demo", TAGGED[1:]).identity != base
    for change in ("model=other", "provider=gemini", "max_output_tokens=99"):
        assert compose("demo", [*TAGGED, f"speech.audio_tags.endpoint.{change}"]).identity != base, change
