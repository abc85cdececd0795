"""A package from a file of weights: everything must fit, and it loads like any other."""

import json
import shutil
from dataclasses import asdict, replace

import pytest
import torch
import yaml

from nava.artifacts.model_package import load_package
from nava.conditioning.text import HashedWordEncoder
from nava.conditioning.timbre import MelStatisticsEncoder
from nava.config.generation import GenerationConfig
from nava.config.model import MODELS, ModelConfig
from nava.generation.loading import load_generator
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
VOICED = replace(CONFIG, speaker_dim=192)
TYPES = {"video": "wan_video", "audio": "ltx_audio", "text": "umt5", "timbre": "redimnet"}
TEXTS = {"video": "blurred", "audio": "muffled", "joint": "blurred and muffled"}
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
    (codec / part / "config.json").write_text(json.dumps({"type": TYPES[part], "reference": reference, **others}))


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
    assert 'license: "Apache-2.0"' in card
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


def weights_of(config, folder):
    return {"config": config, "weights": write_fresh(config, 3, folder / "other.safetensors", "fp32").path}


@pytest.mark.parametrize("referenced", [None, "video", "audio"])
def test_codecs_of_another_model(tmp_path, parts, referenced):
    """Each part is compared that can be, whether or not the others are at hand."""
    if referenced is not None:
        refer(parts["codec"], referenced, "Apache-2.0")
    if referenced != "audio":
        other = weights_of(replace(CONFIG, audio_channels=8), tmp_path)
        refused(tmp_path, parts, "the audio codec has 64 channels, but the model takes 8", **other)
        other["weights"].unlink()
    other = weights_of(replace(CONFIG, video_channels=4), tmp_path)
    refused(tmp_path, parts, "the video codec has 48 channels, but the model takes 4", **other)


def test_lengths_of_one_codec_at_hand_and_one_that_is_referred_to(parts):
    refer(parts["codec"], "audio", "Apache-2.0")
    assert generation_json(parts["codec"], CONFIG, parts["clip"])["video_shape"] == [48, 13, 4, 4]
    # 49 frames at 24 per second, 25 latents a second.
    assert generation_json(parts["codec"], CONFIG, parts["clip"])["audio_shape"] == [52, 64]
    with pytest.raises(InputError, match="height"):
        generation_json(parts["codec"], CONFIG, clip_settings(CONFIG, height=40))


@pytest.mark.parametrize("part", TYPES)
def test_published_weights_of_an_unknown_type(tmp_path, parts, part):
    refer(parts["codec"], part, "Apache-2.0", type="block_dct")
    refused(tmp_path, parts, f"{part}/config.json has the type 'block_dct'; with published weights it is {TYPES[part]}")


def test_a_damaged_part_is_not_packaged(tmp_path, parts):
    (parts["codec"] / "text" / "config.json").write_text('{"rows": 32, "width": 64}')
    refused(tmp_path, parts, "is not a text encoder description")
    refer(parts["codec"], "text", "Apache-2.0", width="64", rows=32)
    refused(tmp_path, parts, "width is '64', but must be a whole number")


@pytest.mark.parametrize("part", ["video", "audio", "text"])
def test_a_codec_that_is_missing(tmp_path, parts, part):
    shutil.rmtree(parts["codec"] / part)
    refused(tmp_path, parts, f"{part} has no config.json")


@pytest.mark.parametrize(("rows", "width"), [(32, 4096), (512, 64)])
def test_a_text_encoder_of_another_size(tmp_path, parts, rows, width):
    message = f"the text encoder gives {rows} rows of {width}, but the model takes 32 of 64"
    HashedWordEncoder(rows, width).save(parts["codec"] / "text")
    refused(tmp_path, parts, message)
    refer(parts["codec"], "text", "Apache-2.0", rows=rows, width=width)
    refused(tmp_path, parts, message)


def test_fewer_rows_of_text_fit_a_model_without_voices_only(tmp_path, parts):
    HashedWordEncoder(16, 64).save(parts["codec"] / "text")
    message = "the text encoder gives 16 rows of 64, but the model takes 32 of 64"
    refused(tmp_path, parts, message, **weights_of(VOICED, tmp_path))
    made = release_package(tmp_path / "package", **parts)
    load_generator(load_package(made.folder, made.public_key))


def test_a_timbre_encoder_fits_the_models_voices(tmp_path, parts):
    MelStatisticsEncoder().save(parts["codec"] / "timbre")
    refused(tmp_path, parts, "no timbre conditioning")
    narrow = weights_of(replace(CONFIG, speaker_dim=100), tmp_path)
    refused(tmp_path, parts, "the timbre encoder gives 192 values, but the model takes 100", **narrow)
    narrow["weights"].unlink()
    made = release_package(tmp_path / "package", **parts | weights_of(VOICED, tmp_path))
    assert load_generator(load_package(made.folder, made.public_key)).timbre_encoder.width == 192


def test_a_timbre_encoder_that_is_referred_to_fits_too(tmp_path, parts):
    refer(parts["codec"], "timbre", "MIT")
    refused(tmp_path, parts, "no timbre conditioning")
    narrow = weights_of(replace(CONFIG, speaker_dim=100), tmp_path)
    refused(tmp_path, parts, "the timbre encoder gives 192 values, but the model takes 100", **narrow)


def test_mode_release_needs_negative_prompts(tmp_path, parts, made_once):
    release = {"clip": clip_settings(CONFIG, mode="release")}
    refused(tmp_path, parts, "mode release needs negative prompts: give a JSON file", **release)
    shutil.copy(made_once / "nava.safetensors", tmp_path / "nava.safetensors")
    (tmp_path / "negative_prompts.json").write_text(json.dumps(TEXTS))
    release["weights"] = tmp_path / "nava.safetensors"
    made = release_package(tmp_path / "package", **parts | release)
    assert read_json(made.folder / "negative_prompts.json") == TEXTS
    assert load_generator(load_package(made.folder, made.public_key)).negative_prompts == TEXTS
    corrected = release_package(tmp_path / "corrected", **parts | {"weights": release["weights"]})
    assert not (corrected.folder / "negative_prompts.json").exists()


@pytest.mark.parametrize(
    "licence", ["", " ", "MIT\npipeline_tag: other", "MIT\r", "MIT\x00", "MIT\x1b[2J", "MIT\u2028x"]
)
def test_a_licence_is_one_line_of_text(tmp_path, parts, licence):
    refused(tmp_path, parts, "give one line of text without control characters", licence=licence)


@pytest.mark.parametrize("licence", ["a: b #c", '"quoted" \\ {name}', "- x", "yes", "Lizenz für alle"])
def test_any_line_of_text_is_a_licence_in_the_card(tmp_path, parts, licence):
    made = release_package(tmp_path / "package", **parts, licence=licence)
    head = (made.folder / "README.md").read_text().split("---")[1]
    assert yaml.safe_load(head) == {
        "license": licence,
        "pipeline_tag": "text-to-video",
        "tags": ["audio-video", "flow-matching", "nava"],
    }


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
    path.write_text(json.dumps(TEXTS))
    made = release_package(tmp_path / "with", **parts, negative_prompts=path)
    assert read_json(made.folder / "negative_prompts.json") == TEXTS
    for wrong in ("{", "[]", '{"video": "a"}', json.dumps(TEXTS | {"joint": 3})):
        path.write_text(wrong)
        refused(tmp_path, parts, r"negative\.json", negative_prompts=path)
    refused(tmp_path, parts, "cannot be read", negative_prompts=tmp_path / "nowhere.json")
