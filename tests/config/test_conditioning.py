"""Settings of the encoders: what no run could use is refused by name."""

import pytest

from nava.config.conditioning import ConditioningConfig
from nava.runtime.errors import InputError


def test_the_defaults_are_the_demos() -> None:
    config = ConditioningConfig()
    config.check()
    assert (config.text_encoder, config.text_rows, config.text_width) == ("hashed_words", 32, 64)
    assert config.timbre_encoder == "none"


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("text_encoder", "clip", "conditioning.text_encoder is 'clip'; it must be hashed_words or umt5"),
        ("text_dtype", "float16", "conditioning.text_dtype is 'float16'; it must be bfloat16 or float32"),
        ("timbre_encoder", "", "conditioning.timbre_encoder is ''; it must be none or mel_statistics or redimnet"),
        ("text_rows", 0, "conditioning.text_rows is 0; it must be at least 1"),
        ("text_width", 3, "conditioning.text_width is 3; it must be at least 4"),
    ],
)
def test_unusable_settings(setting: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ConditioningConfig(**{setting: value}).check()
