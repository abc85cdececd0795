"""Settings of captions and tags: the defaults need no network, and what is used must be whole."""

import re

import pytest

from nava.config.annotation import AnnotationConfig
from nava.config.composition import compose
from nava.runtime.errors import InputError

ENDPOINTS = [
    "annotation.captioner=endpoints",
    "annotation.cache_dir=/c",
    "annotation.picture.base_url=http://a/v1",
    "annotation.sound.base_url=http://b/v1",
]


def test_the_defaults_ask_nobody():
    config = AnnotationConfig()
    config.check()
    assert config.used_endpoints() == {}


@pytest.mark.parametrize(
    ("changes", "used"),
    [
        ([], ["picture", "sound"]),
        (["annotation.fusion=rewriting"], ["picture", "sound", "rewriter"]),
        (["annotation.grounding.multi_speaker=true"], ["picture", "sound", "grounding.endpoint"]),
        (["annotation.grounding.high_quality=true"], ["picture", "sound", "grounding.endpoint"]),
        (["annotation.captioner=rules", "annotation.fusion=rewriting"], []),
        (
            ["annotation.captioner=rules", "annotation.visual_tagger=endpoint", "annotation.tagger.base_url=http://c"],
            ["tagger"],
        ),
    ],
)
def test_which_endpoints_a_choice_uses(changes, used):
    values = compose("demo", [*ENDPOINTS, *changes]).config["annotation"]
    config = AnnotationConfig(**{key: values[key] for key in ("captioner", "fusion", "visual_tagger")})
    for name in ("multi_speaker", "high_quality"):
        setattr(config.grounding, name, values["grounding"][name])
    assert list(config.used_endpoints()) == [f"annotation.{name}" for name in used]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["annotation.captioner=magic"], "annotation.captioner is 'magic'; it must be rules or endpoints"),
        (["annotation.fusion=glue"], "annotation.fusion is 'glue'"),
        (["annotation.visual_tagger=x"], "annotation.visual_tagger is 'x'"),
        (["annotation.picture.provider=other"], "annotation.picture.provider is 'other'; it must be openai or gemini"),
        (["annotation.tagger.frames=0"], "annotation.tagger.frames is 0"),
        (["annotation.grounding.endpoint.timeout_s=0"], "annotation.grounding.endpoint.timeout_s is 0"),
        (["annotation.sound.tokens_per_minute=-1"], "annotation.sound.tokens_per_minute is -1"),
        (["annotation.max_in_flight=0"], "annotation.max_in_flight is 0"),
        (["annotation.max_cost_usd=-1"], "annotation.max_cost_usd is -1"),
        (["annotation.grounding.min_agreement=2"], "annotation.grounding.min_agreement is 2"),
        ([*ENDPOINTS, "annotation.cache_dir="], "annotation.cache_dir is ''; it must be a folder for paid answers"),
        ([*ENDPOINTS, "annotation.sound.base_url="], "annotation.sound.base_url is ''; it must be the address"),
        ([*ENDPOINTS, "annotation.picture.model="], "annotation.picture.model is ''; it must be the model's name"),
        (["annotation.grounding.high_quality=true"], "annotation.captioner is 'rules'; it must be endpoints where"),
        (
            [*ENDPOINTS, "annotation.fusion=rewriting", "annotation.max_cost_usd=5"],
            "annotation.rewriter.input_price_usd is 0.0; it must be above 0 where annotation.max_cost_usd is set",
        ),
    ],
)
def test_refused_settings(overrides, message):
    with pytest.raises(InputError, match=re.escape(message)):
        compose("demo", overrides)


def test_what_decides_an_answer_is_identity_and_the_way_there_is_not():
    base = compose("demo", ENDPOINTS).identity["annotation"]
    for change in ("picture.base_url=http://z/v1", "max_in_flight=1", "cache_dir=/d", "sound.max_attempts=2"):
        assert compose("demo", [*ENDPOINTS, f"annotation.{change}"]).identity["annotation"] == base, change
    for change in ("picture.model=other", "picture.picture_input=frames", "fusion=rewriting", "tagger.frames=2"):
        assert compose("demo", [*ENDPOINTS, f"annotation.{change}"]).identity["annotation"] != base, change
