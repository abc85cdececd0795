"""The learned embedding, on random weights of the layout that the hub has."""

import json
import shutil

import fsspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    XCLIPConfig,
    XCLIPModel,
    XCLIPTextConfig,
    XCLIPVisionConfig,
)

from nava.config.duplicates import DuplicateConfig
from nava.data.duplicates.embedding import make_embedding
from nava.data.duplicates.signature import picture_cube
from nava.data.duplicates.video_clip import CONFIG_FILE, PREPROCESSOR_FILE, WEIGHTS_FILE, VideoClipEmbedding
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file

TEXT = {
    "vocab_size": 60,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 8,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def save_random(model_name, folder):
    torch.manual_seed(0)
    if model_name == "xclip":
        video = {"mit_hidden_size": 24, "mit_intermediate_size": 48, "mit_num_attention_heads": 2, "num_frames": 4}
        text, vision = XCLIPTextConfig(**TEXT), XCLIPVisionConfig(**VISION, **video)
        config = XCLIPConfig(text_config=text, vision_config=vision, projection_dim=24, prompt_num_attention_heads=2)
        XCLIPModel(config).save_pretrained(folder)
    else:
        text, vision = CLIPTextConfig(**TEXT), CLIPVisionConfig(**VISION)
        CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=20)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["xclip", "clip"])
def weights(request, tmp_path_factory):
    return save_random(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def copied(weights, tmp_path):
    return shutil.copytree(weights, tmp_path / "weights")


def frames_of(seed, count=30, size=(48, 80)):
    return np.random.default_rng(seed).integers(0, 255, (count, *size, 3), np.uint8)


def embed(location, frames, cache=""):
    embedding = VideoClipEmbedding(str(location), cache)
    embedding.setup()
    return embedding.embed(frames, picture_cube(frames))


def test_a_clip_becomes_a_unit_vector_of_the_projection(weights):
    vector = embed(weights, frames_of(0))
    assert vector.dtype == np.float32
    assert vector.shape in {(24,), (20,)}
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_array_equal(vector, embed(weights, frames_of(0)))
    assert not np.array_equal(vector, embed(weights, frames_of(1)))


def test_the_vector_is_that_of_the_library(weights):
    frames = frames_of(0, size=(32, 32))
    model_type = json.loads((weights / CONFIG_FILE).read_text())["model_type"]
    count = 4 if model_type == "xclip" else 8
    picks = np.linspace(0, 29, count).round().astype(int)
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    pixels = torch.from_numpy(((frames[picks] / 255 - mean) / std).transpose(0, 3, 1, 2)).float()
    with torch.inference_mode():
        if model_type == "xclip":
            expected = XCLIPModel.from_pretrained(weights).eval().get_video_features(pixels[None]).pooler_output[0]
        else:
            features = CLIPModel.from_pretrained(weights).eval().get_image_features(pixels).pooler_output
            expected = torch.nn.functional.normalize(features, dim=1).mean(dim=0)
    expected = (expected / expected.norm()).numpy()
    np.testing.assert_allclose(embed(weights, frames), expected, atol=2e-3)


def test_the_backend_names_the_weights_and_says_that_it_is_unproven(weights):
    embedding = make_embedding(DuplicateConfig(embedding="video_clip", weights=str(weights)))
    embedding.setup()
    assert embedding.backend == f"video_clip/1:{sha256_file(weights / WEIGHTS_FILE)[:16]} (unproven)"
    assert make_embedding(DuplicateConfig()).backend == "dct3d/2"


def test_what_lies_outside_the_middle_square_is_not_seen(weights):
    frames = frames_of(0, size=(32, 64))
    changed = frames.copy()
    changed[:, :, :10] = 0
    np.testing.assert_array_equal(embed(weights, frames), embed(weights, changed))
    changed[:, :, 30:34] = 0
    assert not np.array_equal(embed(weights, frames), embed(weights, changed))


def test_a_preprocessor_says_how_pictures_are_normalised(copied):
    plain = embed(copied, frames_of(0))
    (copied / PREPROCESSOR_FILE).write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.1] * 3}))
    assert not np.allclose(embed(copied, frames_of(0)), plain, atol=1e-3)


def test_a_clip_of_one_frame_is_embedded(weights):
    assert np.isfinite(embed(weights, frames_of(0, count=1))).all()


def test_weights_in_a_bucket_are_fetched(weights, tmp_path):
    address = f"memory://bucket-of-weights/{weights.name}"
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        with fsspec.open(f"{address}/{name}", "wb") as file:
            file.write((weights / name).read_bytes())
    vector = embed(address, frames_of(0), str(tmp_path / "cache"))
    np.testing.assert_array_equal(vector, embed(weights, frames_of(0)))
    with pytest.raises(InputError, match="weights_cache must name a folder"):
        embed(address, frames_of(0))
    with pytest.raises(InputError, match=r"elsewhere/config\.json is missing"):
        embed("memory://bucket-of-weights/elsewhere", frames_of(0), str(tmp_path / "cache"))


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named_with_what_to_do(copied, name):
    (copied / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing: .*X-CLIP or CLIP"):
        VideoClipEmbedding(str(copied)).setup()


def test_no_place_for_weights_is_said_plainly():
    with pytest.raises(InputError, match=r"video_clip needs curation\.duplicates\.weights"):
        VideoClipEmbedding("").setup()


def test_another_model_is_refused(copied):
    (copied / CONFIG_FILE).write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match="model of type 'bert'"):
        VideoClipEmbedding(str(copied)).setup()
    (copied / CONFIG_FILE).write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        VideoClipEmbedding(str(copied)).setup()


def test_missing_tensors_are_not_made_up(copied):
    tensors = load_file(copied / WEIGHTS_FILE)
    removed = "vision_model.encoder.layers.1.mlp.fc1.weight"
    del tensors[removed]
    save_file(tensors, copied / WEIGHTS_FILE, metadata={"format": "pt"})
    with pytest.raises(InputError, match=f"lacks tensor '{removed}'"):
        VideoClipEmbedding(str(copied)).setup()


def test_a_cut_file_is_refused(copied):
    (copied / WEIGHTS_FILE).write_bytes((copied / WEIGHTS_FILE).read_bytes()[:-100])
    with pytest.raises(InputError, match=r"does not hold the model of config\.json"):
        VideoClipEmbedding(str(copied)).setup()
