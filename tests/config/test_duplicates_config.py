"""Settings of near-duplicates that no run could use are refused."""

import pytest

from nava.config.duplicates import DuplicateConfig
from nava.runtime.errors import InputError


def test_the_defaults_pass():
    DuplicateConfig().check()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("embedding", "resnet", "dct3d or video_clip"),
        ("min_cosine", 1.5, "between 0 and 1"),
        ("max_hash_distance", -0.1, "between 0 and 1"),
        ("min_audio_cosine", 2.0, "between 0 and 1"),
        ("probes", 0, "at least 1"),
        ("exact_clips", 0, "at least 1"),
        ("max_candidates", 0, "at least 1"),
    ],
)
def test_a_wrong_value_is_refused(name, value, allowed):
    with pytest.raises(InputError, match=rf"curation\.duplicates\.{name} is .*; it must be {allowed}"):
        DuplicateConfig(**{name: value}).check()
