"""A package from a file of weights: everything must fit, and it loads like any other."""

import json
import shutil
from dataclasses import asdict, replace

import pytest
import torch

from nava.artifacts.model_package import load_package
from nava.config.generation import GenerationConfig
from nava.config.model import MODELS, ModelConfig
from nava.model.keys import meta_model
from nava.model.weights.export import convert_weights
from nava.model.weights.fresh import write_fresh
from nava.model.weights.load import load_weights
from nava.registry.release_package import (
    clip_settings,
    default_clip,
    generation_json,
    release_package,
)
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json
from tests.serving.tiny_package import write_codecs

CONFIG = ModelConfig(dim=24, ffn_dim=48, num_heads=2, num_hal_layers=1, num_ufl_layers=1, audio_stem_hidden=24)
REFERENCE = {"sha256": "a" * 64, "size_bytes": 5, "repository": "Lightricks/LTX-2.3"}


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    write_codecs(folder / "codec")
    write_fresh(CONFIG, 3, folder / "nava.safetensors", "fp32")
    return folder


@pytest.fixture
def parts(tmp_path, made_once):
    """Arguments that fit; the codec folder may be changed."""
    shutil.copytree(made_once / "codec", tmp_path / "codec")
    return {
        "weights": made_once / "nava.safetensors",
        "config": CONFIG,
        "codec": tmp_path / "codec",
        "clip": default_clip(CONFIG),
        "key_dir": tmp_path / "keys",
    }


def refer(codec, part, licence, **others):
    reference = REFERENCE | {"file": f"{part}.pth", "licence": licence}
    (codec / part).mkdir(exist_ok=True)
    (codec / part / "config.json").write_text(json.dumps({"type": "published", "reference": reference, **others}))


def refused(tmp_path, parts, message, **changes):
    with pytest.raises(InputError, match=message) as error:
        release_package(tmp_path / "package", **parts | changes)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "package").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".package")]


def test_the_package_loads_and_its_weights_are_the_files(tmp_path, parts):
    made = release_package(tmp_path / "package", **parts)
    package = load_package(made.folder, made.public_key, made.sha256)
    assert package.weights.samefile(parts["weights"])
    assert ModelConfig(**read_json(package.model_config) | {"patch_size": (1, 2, 2)}) == CONFIG
    model = meta_model(CONFIG)
    assert load_weights(model, package.weights).tensors == len(model.state_dict())
    settings = read_json(package.generation)
    assert settings["video_shape"] == [48, 13, 4, 4]
    assert settings["audio_shape"] == [52, 64]
    assert settings["max_seconds"] == 2.1
    assert settings["sampler"] == asdict(GenerationConfig()) | {
        "video": asdict(GenerationConfig().video),
        "audio": asdict(GenerationConfig().audio),
    }
    card = (made.folder / "README.md").read_text()
    assert "Nothing was measured" in card
    assert "license: Apache-2.0" in card
    assert "align-then-fuse transformer" in card
    assert "does not contain these files" not in card


def test_the_same_parts_give_the_same_address(tmp_path, parts):
    one = release_package(tmp_path / "one", **parts)
    other = release_package(tmp_path / "two", **parts | {"key_dir": tmp_path / "other keys"})
    assert one.sha256 == other.sha256


@pytest.mark.parametrize("form", ["bf16", "fp8"])
def test_weights_in_shards_and_narrower_forms(tmp_path, parts, form):
    index = convert_weights(parts["weights"], tmp_path / "w" / "m.safetensors", form, max_shard_bytes=50_000).path
    made = release_package(tmp_path / "package", **parts | {"weights": index.parent})
    package = load_package(made.folder, made.public_key, made.sha256)
    assert package.weights.name == "model.safetensors.index.json"
    load_weights(meta_model(CONFIG), package.weights)


def test_published_codecs_are_referred_to_and_their_licences_are_on_the_card(tmp_path, parts):
    refer(parts["codec"], "video", "Apache-2.0")
    refer(parts["codec"], "audio", "LTX-2 Community License")
    shutil.rmtree(parts["codec"] / "text")
    refer(parts["codec"], "text", "Apache-2.0", width=64, rows=32)
    clip = clip_settings(CONFIG, frames=145, height=704, width=1280, max_seconds=10)
    made = release_package(tmp_path / "package", **parts | {"clip": clip})
    settings = read_json(made.folder / "generation.json")
    # The lengths and sizes of the release: 37 latent frames of 44 x 80, 152 audio latents.
    assert settings["video_shape"] == [48, 37, 44, 80]
    assert settings["audio_shape"] == [152, 64]
    card = (made.folder / "README.md").read_text()
    assert "| audio | audio.pth | Lightricks/LTX-2.3 | LTX-2 Community License |" in card
    assert "- LTX-2 Community License (Lightricks): not an open-source licence" in card


def test_the_release_has_its_own_clip_and_sampler():
    clip = default_clip(MODELS["nava_6b"]())
    assert (clip.frames, clip.height, clip.width, clip.max_seconds) == (145, 704, 1280, 10)
    sampler = clip.sampler
    assert (sampler.steps, sampler.shift, sampler.mode) == (50, 5, "corrected")
    assert (sampler.video.text, sampler.video.align) == (3, 3)
    assert (sampler.audio.text, sampler.audio.align, sampler.audio.timbre) == (2, 2, 3)


def test_settings_that_are_given_take_the_place_of_the_defaults():
    clip = clip_settings(CONFIG, frames=97, height=32, mode="release", steps=7)
    assert (clip.frames, clip.height, clip.width) == (97, 32, 64)
    assert clip.max_seconds == 4.1
    assert (clip.sampler.mode, clip.sampler.steps) == ("release", 7)
    assert clip_settings(CONFIG, max_seconds=1.5).max_seconds == 1.5
    with pytest.raises(InputError, match="mode"):
        clip_settings(CONFIG, mode="loud")


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ({"frames": 50}, r"4n \+ 1"),
        ({"height": 40}, "height"),
        ({"max_seconds": 1.0}, "49 frames at 24 per second are longer than 1 s"),
    ],
)
def test_clips_that_cannot_be(tmp_path, parts, clip, message):
    refused(tmp_path, parts, message, clip=clip_settings(CONFIG, **clip))


def test_sizes_are_checked_without_the_published_codec(parts):
    refer(parts["codec"], "video", "Apache-2.0")
    with pytest.raises(InputError, match="multiples of 16"):
        generation_json(parts["codec"], CONFIG, clip_settings(CONFIG, width=40))


def test_weights_of_another_model(tmp_path, parts):
    refused(tmp_path, parts, r"nava\.safetensors lacks 'single_blocks\.1", config=replace(CONFIG, num_ufl_layers=2))
    refused(tmp_path, parts, r"'backbone\.\S+' has shape", config=replace(CONFIG, text_dim=32))


def test_codecs_of_another_model(tmp_path, parts):
    with pytest.raises(InputError, match="the audio codec has 64 channels, but the model has 8"):
        generation_json(parts["codec"], replace(CONFIG, audio_channels=8), parts["clip"])
    with pytest.raises(InputError, match="the video codec has 48 channels, but the model has 4"):
        generation_json(parts["codec"], replace(CONFIG, video_channels=4), parts["clip"])


@pytest.mark.parametrize("part", ["video", "audio", "text"])
def test_a_codec_that_is_missing(tmp_path, parts, part):
    shutil.rmtree(parts["codec"] / part)
    refused(tmp_path, parts, f"{part} has no config.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [({"width": 4096, "rows": 32}, "rows of 4096, the model takes 64"), ({"width": 64, "rows": 512}, "gives 512 rows")],
)
def test_a_text_encoder_of_another_size(tmp_path, parts, text, message):
    (parts["codec"] / "text" / "config.json").write_text(json.dumps(text))
    refused(tmp_path, parts, message)


def test_a_timbre_encoder_needs_a_model_with_timbre(tmp_path, parts):
    (parts["codec"] / "timbre").mkdir()
    (parts["codec"] / "timbre" / "config.json").write_text("{}")
    refused(tmp_path, parts, "no timbre conditioning")


def test_torch_files_are_not_packaged(tmp_path, parts):
    torch.save({"state_dict": {"a": torch.ones(1)}}, tmp_path / "NAVA.ckpt")
    refused(tmp_path, parts, "nava model convert", weights=tmp_path / "NAVA.ckpt")


def test_an_existing_folder_is_left_alone(tmp_path, parts):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "mine").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        release_package(tmp_path / "package", **parts)
    assert (tmp_path / "package" / "mine").read_text() == "mine"


def test_negative_prompts_come_along_whole(tmp_path, parts):
    path = tmp_path / "negative.json"
    texts = {"video": "blurred", "audio": "muffled", "joint": "blurred and muffled"}
    path.write_text(json.dumps(texts))
    made = release_package(tmp_path / "with", **parts, negative_prompts=path)
    assert read_json(made.folder / "negative_prompts.json") == texts
    for wrong in ("{", "[]", '{"video": "a"}', json.dumps(texts | {"joint": 3})):
        path.write_text(wrong)
        refused(tmp_path, parts, r"negative\.json", negative_prompts=path)
    refused(tmp_path, parts, "cannot be read", negative_prompts=tmp_path / "nowhere.json")
