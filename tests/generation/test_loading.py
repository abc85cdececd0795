import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nava.artifacts.model_package import ModelPackage, load_package, read_description
from nava.artifacts.signature import SignatureRefused
from nava.config.generation import GenerationConfig, GuidanceScales
from nava.generation.loading import PartSizes, check_fit, load_generator, sampler_settings
from nava.generation.request import Request
from nava.model.architecture import build_model
from nava.runtime.errors import InputError
from tests.generation.voice_package import MODEL, NEGATIVE_PROMPTS, PROMPT, SAMPLER


def verified(package):
    return load_package(package.folder, package.key.public, package.sha256)


@pytest.fixture
def copied(voice_package, tmp_path):
    """A copy of the package that a test may change."""
    return Path(shutil.copytree(voice_package.folder, tmp_path / "package"))


def unverified(folder):
    """The package as it would be after a verification that something slipped through."""
    return ModelPackage(folder, "0" * 64, read_description(folder))


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_verified_package_is_loaded_whole(voice_package):
    generator = load_generator(verified(voice_package))
    assert generator.sampler == SAMPLER
    assert generator.max_seconds == 3.0
    assert generator.speech_slots
    assert generator.negative_prompts == NEGATIVE_PROMPTS
    assert generator.timbre_encoder.width == MODEL.speaker_dim
    assert not generator.model.training
    assert not any(parameter.requires_grad for parameter in generator.model.parameters())
    description = read_description(voice_package.folder)
    assert generator.origin.package_sha256 == voice_package.sha256
    assert generator.origin.weights_sha256 == description.files["model.safetensors"]
    assert (generator.origin.name, generator.origin.licence) == ("nava-tiny", "Apache-2.0")


def test_two_loads_generate_the_same_clip(voice_package):
    first, second = (
        next(load_generator(package).generate([Request(PROMPT, 5)]))
        for package in (verified(voice_package), voice_package.folder)
    )
    assert np.array_equal(first.frames, second.frames)
    assert np.array_equal(first.samples, second.samples)


def test_block_offload_changes_nothing_and_eight_bits_little(voice_package):
    folder, request = voice_package.folder, Request(PROMPT, 5)
    plain = load_generator(folder)
    offloaded, narrow = load_generator(folder, offload_group=1), load_generator(folder, fp8=True)
    clips = [next(generator.generate([request])) for generator in (plain, offloaded, narrow)]
    assert np.array_equal(clips[0].frames, clips[1].frames)
    assert np.array_equal(clips[0].samples, clips[1].samples)
    assert 0 < np.abs(clips[0].frames.astype(int) - clips[2].frames).mean() < 10
    assert [generator.origin.precision for generator in (plain, offloaded, narrow)] == [
        "float32",
        "float32",
        "fp8+float32",
    ]


def test_a_folder_that_is_not_whole_is_not_loaded(copied):
    weights = bytearray((copied / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copied / "model.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match=r"model\.safetensors is not the file that the package was made with"):
        load_generator(copied)
    (copied / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"lacks model\.safetensors"):
        load_generator(copied)
    with pytest.raises(InputError, match="no model package"):
        load_generator(copied / "nowhere")
    with pytest.raises(InputError, match="not a model package"):
        load_generator(copied / "codec")


def test_files_that_the_package_does_not_list_are_not_loaded(copied):
    other = build_model(MODEL, seed=9).state_dict()
    shard = "model-00001-of-00001.safetensors"
    save_file(other, copied / shard)
    index = {"metadata": {}, "weight_map": dict.fromkeys(other, shard)}
    (copied / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"model-00001-of-00001\.safetensors is no file of the package"):
        load_generator(copied)


def test_a_package_that_was_changed_does_not_verify(voice_package, copied):
    edit(copied / "generation.json", max_seconds=1000.0)
    with pytest.raises(SignatureRefused, match=r"generation\.json was changed"):
        load_package(copied, voice_package.key.public)


def test_weights_that_do_not_fit_the_architecture_are_an_input_error(copied):
    edit(copied / "config.json", num_hal_layers=2)
    with pytest.raises(InputError, match=r"do not fit its config\.json"):
        load_generator(unverified(copied))


def test_parts_that_do_not_fit_the_model_are_an_input_error(copied):
    edit(copied / "config.json", text_len=31)
    with pytest.raises(InputError, match="text encoder gives 32 rows of 64, but the model takes 31 of 64"):
        load_generator(unverified(copied))


@pytest.mark.parametrize(("setting", "part"), [("video_channels", "video codec"), ("audio_channels", "audio codec")])
def test_codecs_of_other_latents_are_an_input_error(copied, setting, part):
    channels = getattr(MODEL, setting)
    edit(copied / "config.json", **{setting: channels + 4})
    wider = build_model(replace(MODEL, **{setting: channels + 4}))
    (copied / "model.safetensors").unlink()
    save_file(wider.state_dict(), copied / "model.safetensors")
    with pytest.raises(InputError, match=f"the {part} has {channels} channels, but the model takes {channels + 4}"):
        load_generator(unverified(copied))


def test_settings_of_a_newer_release_are_refused_by_name(copied):
    edit(copied / "config.json", new_trick=1)
    with pytest.raises(InputError, match="new_trick"):
        load_generator(unverified(copied))


def test_settings_of_another_kind_are_refused_by_name(copied):
    edit(copied / "config.json", dim="wide")
    with pytest.raises(InputError, match=r'config\.json: dim is "wide", but must be a whole number'):
        load_generator(unverified(copied))


FITTING = PartSizes(
    video_channels=MODEL.video_channels,
    audio_channels=MODEL.audio_channels,
    text_rows=MODEL.text_len,
    text_width=MODEL.text_dim,
    timbre_width=MODEL.speaker_dim,
)


@pytest.mark.parametrize("unknown", [{}, {"video_channels": None}, {"audio_channels": None}, {"timbre_width": None}])
def test_parts_that_fit_or_whose_sizes_are_unknown(unknown):
    check_fit(Path("package"), MODEL, replace(FITTING, **unknown))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"video_channels": 47, "audio_channels": None}, "video codec has 47 channels, but the model takes 48"),
        ({"audio_channels": 63, "video_channels": None}, "audio codec has 63 channels, but the model takes 64"),
        ({"text_rows": 31}, "gives 31 rows of 64, but the model takes 32 of 64"),
        ({"text_rows": 33}, "gives 33 rows of 64"),
        ({"text_width": 65}, "gives 32 rows of 65"),
        ({"timbre_width": 191}, "gives 191 values, but the model takes 192"),
    ],
)
def test_every_size_is_compared(size, message):
    with pytest.raises(InputError, match=f"^package: .*{message}"):
        check_fit(Path("package"), MODEL, replace(FITTING, **size))


def test_a_model_without_voices_takes_fewer_rows_of_text_and_no_timbre_encoder():
    plain = replace(MODEL, speaker_dim=0)
    check_fit(Path("package"), plain, replace(FITTING, text_rows=31, timbre_width=None))
    with pytest.raises(InputError, match="gives 33 rows"):
        check_fit(Path("package"), plain, replace(FITTING, text_rows=33, timbre_width=None))
    with pytest.raises(InputError, match="leave the timbre encoder out"):
        check_fit(Path("package"), plain, FITTING)


def test_a_package_without_its_settings_says_what_is_missing(copied):
    settings = json.loads((copied / "generation.json").read_text())
    (copied / "generation.json").write_text(json.dumps({"fps": settings["fps"], "sampler": settings["sampler"]}))
    with pytest.raises(InputError, match="lacks audio_shape, video_shape"):
        load_generator(unverified(copied))


def test_a_package_without_timbre_and_without_a_limit(copied):
    shutil.rmtree(copied / "codec" / "timbre")
    edit(copied / "generation.json", max_seconds=None)
    generator = load_generator(unverified(copied))
    assert generator.timbre_encoder is None
    assert generator.max_seconds == 10.0
    assert set(generator.origin.parts) == {"video", "audio", "text"}


def test_negative_prompts_lie_beside_the_weights_of_the_package_or_of_the_release(copied, tmp_path):
    (copied / "negative_prompts.json").rename(tmp_path / "negative_prompts.json")
    assert load_generator(unverified(copied)).negative_prompts is None
    assert load_generator(unverified(copied), tmp_path).negative_prompts == NEGATIVE_PROMPTS
    (tmp_path / "vae.pth").touch()
    assert load_generator(unverified(copied), tmp_path / "vae.pth").negative_prompts == NEGATIVE_PROMPTS


@pytest.mark.parametrize(
    "content", ["nonsense", "[]", '{"video": "a", "audio": "b"}', '{"video": 1, "audio": 2, "joint": 3}']
)
def test_negative_prompts_of_another_form_are_refused(copied, content):
    (copied / "negative_prompts.json").write_text(content)
    with pytest.raises(InputError, match=r"negative_prompts\.json.* video, audio, joint"):
        load_generator(unverified(copied))


def test_sampler_settings_survive_json():
    config = replace(GenerationConfig(steps=7), video=GuidanceScales(3.0, 1.0, 0.0))
    assert sampler_settings(json.loads(json.dumps(asdict(config)))) == config
    with pytest.raises(InputError, match="magic"):
        sampler_settings({"magic": 1})


def test_blocks_are_compiled_or_offloaded_not_both(copied):
    with pytest.raises(InputError, match="--offload or --compile, not both"):
        load_generator(unverified(copied), offload_group=1, compile_blocks=True)


def test_scales_of_a_newer_release_are_refused_by_modality():
    with pytest.raises(InputError, match=r"settings of video .*camera"):
        sampler_settings({"video": {"text": 1.0, "camera": 2.0}})


def test_the_precision_tells_eight_bits_and_the_rest(copied):
    generator = load_generator(unverified(copied), dtype=torch.bfloat16, fp8=True)
    assert generator.origin.precision == "fp8+bfloat16"
