from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.service import GenerateRequest, NavaService, ServiceSettings
from nava.config.generation import GenerationConfig, GuidanceScales
from nava.runtime.errors import InputError

ENVIRONMENT = {"NAVA_PACKAGE": "/packages/a", "NAVA_PACKAGE_SHA256": "a" * 64, "NAVA_PUBLIC_KEY": "/keys/k.pub"}
DEFAULT = GenerationConfig(steps=20, video=GuidanceScales(1.0, 2.0, 0.0), audio=GuidanceScales(1.0, 2.0, 0.0))


def test_settings_come_from_the_environment():
    settings = ServiceSettings.from_environment(ENVIRONMENT | {"OTHER": "x"})
    assert settings == ServiceSettings("/packages/a", "a" * 64, Path("/keys/k.pub"), weights=None, device="cpu")


def test_a_package_of_published_weights_is_told_where_they_are():
    settings = ServiceSettings.from_environment(ENVIRONMENT | {"NAVA_WEIGHTS": "s3://b/hub", "NAVA_DEVICE": "cuda"})
    assert (settings.weights, settings.device) == ("s3://b/hub", "cuda")


@pytest.mark.parametrize("missing", list(ENVIRONMENT))
def test_every_missing_setting_is_named(missing):
    with pytest.raises(InputError, match=missing):
        ServiceSettings.from_environment({name: value for name, value in ENVIRONMENT.items() if name != missing})
    with pytest.raises(InputError, match=missing):
        ServiceSettings.from_environment(ENVIRONMENT | {missing: ""})


def test_a_prompt_alone_takes_the_packages_own_sampler():
    request = GenerateRequest(prompt="  a red bar  ")
    assert request.prompt == "a red bar"
    assert request.sampler(DEFAULT) == replace(DEFAULT, batch_size=1)


def test_what_is_given_replaces_the_packages_own_and_nothing_else():
    request = GenerateRequest.model_validate({"prompt": "x", "steps": 5, "guidance": {"align": 0}})
    sampler = request.sampler(DEFAULT)
    assert sampler.steps == 5
    assert sampler.video == GuidanceScales(text=1.0, align=0.0, timbre=0.0)
    assert sampler.audio == GuidanceScales(text=1.0, align=0.0, timbre=0.0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "   "}, "prompt"),
        ({"prompt": "x" * 2001}, "prompt"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"steps": 0}, "steps"),
        ({"steps": 101}, "steps"),
        ({"guidance": {"text": -1}}, "guidance"),
        ({"guidance": {"align": float("nan")}}, "guidance"),
        ({"guidance": {"timbre": 1}}, "guidance"),
        ({"stepps": 5}, "stepps"),
    ],
)
def test_a_request_outside_the_limits_is_refused_by_field(change, field):
    with pytest.raises(ValidationError) as refusal:
        GenerateRequest.model_validate({"prompt": "x", **change})
    assert {error["loc"][0] for error in refusal.value.errors()} == {field}


def test_the_request_and_the_answer_are_documented():
    schema = GenerateRequest.model_json_schema()
    assert set(schema["properties"]) == {"prompt", "seed", "steps", "guidance"}
    assert all(item.get("description") for item in schema["properties"].values())
    method = NavaService.apis["generate"]
    assert method.output_spec.mime_type() == "video/mp4"
    assert method.doc
