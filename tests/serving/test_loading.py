import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from nava.artifacts.model_package import load_package
from nava.artifacts.signature import SignatureRefused
from nava.config.generation import GenerationConfig, GuidanceScales
from nava.runtime.errors import InputError
from nava.serving.loading import load_model, sampler_settings
from nava.serving.probe import expected_clip
from tests.serving.tiny_package import FRAMES, SAMPLES, SIZE


def loaded(package):
    return load_model(load_package(package.folder, package.key.public, package.sha256))


def test_a_verified_package_generates_clips_of_its_own_size(tiny_package):
    model = loaded(tiny_package)
    assert model.sampler.steps == 2
    (clip,) = model.generator.generate(["a red bar"], [5], model.sampler)
    assert clip.frames.shape == (FRAMES, SIZE, SIZE, 3)
    assert clip.samples.shape == (SAMPLES,)
    expected = expected_clip(load_package(tiny_package.folder, tiny_package.key.public))
    assert asdict(expected) == {
        "frames": FRAMES,
        "height": SIZE,
        "width": SIZE,
        "fps": 24.0,
        "samples": SAMPLES,
        "sample_rate_hz": 16_000,
    }


def test_two_loads_generate_the_same_clip(tiny_package):
    clips = [loaded(tiny_package).generator.generate(["x"], [5], GenerationConfig(steps=2))[0] for _ in range(2)]
    assert np.array_equal(clips[0].frames, clips[1].frames)
    assert np.array_equal(clips[0].samples, clips[1].samples)


def test_a_damaged_package_does_not_load(damaged_package):
    with pytest.raises(SignatureRefused, match=r"model\.safetensors was changed"):
        loaded(damaged_package)


def test_weights_that_do_not_fit_the_architecture_are_an_input_error(damaged_package):
    package = _unverified(damaged_package)
    config = json.loads(package.model_config.read_text()) | {"num_hal_layers": 2}
    package.model_config.write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"do not fit its config\.json"):
        load_model(package)


def test_settings_of_a_newer_release_are_refused_by_name(damaged_package):
    package = _unverified(damaged_package)
    config = json.loads(package.model_config.read_text()) | {"new_trick": 1}
    package.model_config.write_text(json.dumps(config))
    with pytest.raises(InputError, match="new_trick"):
        load_model(package)


def _unverified(package):
    from nava.artifacts.model_package import ModelPackage, read_description

    return ModelPackage(package.folder, package.sha256, read_description(package.folder))


def test_sampler_settings_survive_json():
    config = replace(GenerationConfig(steps=7), video=GuidanceScales(3.0, 1.0, 0.0))
    assert sampler_settings(json.loads(json.dumps(asdict(config)))) == config
    with pytest.raises(InputError, match="magic"):
        sampler_settings({"magic": 1})
