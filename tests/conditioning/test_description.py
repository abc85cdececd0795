"""What both kinds of encoders leave in a folder, read by one piece of code."""

import json
from dataclasses import dataclass

import pytest

from nava.conditioning.description import CONFIG_FILE, load_described
from nava.runtime.errors import InputError


@dataclass(frozen=True)
class Named:
    identity: str


def written(folder, value):
    (folder / CONFIG_FILE).write_text(json.dumps(value))
    return folder


def test_an_encoder_whose_identity_matches_is_given(tmp_path):
    folder = written(tmp_path, {"name": "a", "identity": "a"})
    assert load_described(folder, "text encoder", lambda config: Named(config["name"])) == Named("a")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": "b", "identity": "a"}, "was edited, or written by another release"),
        ({"identity": "a"}, "is not a text encoder description"),
        ({"name": "a"}, "is not a text encoder description"),
        (["a"], "is not a text encoder description"),
    ],
)
def test_what_does_not_describe_an_encoder_is_refused(tmp_path, value, message):
    with pytest.raises(InputError, match=message):
        load_described(written(tmp_path, value), "text encoder", lambda config: Named(config["name"]))


def test_a_folder_without_a_description_says_what_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"no timbre encoder in .*: config\.json is missing"):
        load_described(tmp_path, "timbre encoder", lambda config: Named(""))
