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
