"""CLAP from a folder of the hub's layout: sounds and texts, and folders that are something else."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from nava.evaluation.backends.clap import Clap630kFusion
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import UnmeasurableError
from nava.generation.media import write_wav
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_path
from tests.evaluation.backends.sound_checkpoints import write_clap

pytestmark = pytest.mark.usefixtures("no_network")
RATE = 48_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clap(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="module")
def backend(folder):
    return Clap630kFusion(str(folder), sha256_path(folder))


def noise(path, seed=0, seconds=0.5, gain=1.0):
    samples = gain * 0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))
    write_wav(path, samples.astype(np.float32), RATE)
    return ClipFile(path)


def text(path, words):
    path.write_text(words, encoding="utf-8")
    return ClipFile(path)


def embedding(backend, clip):
    return backend.extract(clip).arrays["embedding_D"]


def test_embeddings_of_sounds_have_length_one_and_repeat(backend, tmp_path):
    one, again, quieter, other = (
        embedding(backend, noise(tmp_path / f"{index}.wav", seed, gain=gain))
        for index, (seed, gain) in enumerate([(0, 1.0), (0, 1.0), (0, 0.5), (1, 1.0)])
    )
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(one, again)
    assert one @ quieter > 0.9999, "the peak is brought to one level"
    assert not np.array_equal(one, other)


def test_a_long_recording_has_one_embedding(backend, tmp_path):
    clip = noise(tmp_path / "long.wav", seconds=11)
    assert np.array_equal(embedding(backend, clip), embedding(backend, clip))


def test_embeddings_of_texts(backend, tmp_path):
    dog, cat, long = (
        embedding(backend, text(tmp_path / f"{name}.txt", words))
        for name, words in (("dog", "a dog barks"), ("cat", "a cat"), ("long", "rain " * 100))
    )
    assert np.linalg.norm(dog) == pytest.approx(1, abs=1e-6)
    assert not np.allclose(dog, cat)
    assert np.array_equal(long, embedding(backend, text(tmp_path / "longer.txt", "rain " * 200))), "77 tokens are read"


def test_padding_changes_no_text(backend, tmp_path):
    """LAION pads to 77 tokens under a mask; here there is no padding."""
    import torch

    tokens = backend._tokenizer("a dog barks")["input_ids"]
    assert (tokens[0], tokens[-1]) == (0, 2), "a text begins and ends with RoBERTa's marks"
    padded = torch.tensor([tokens + [1] * (77 - len(tokens))])
    mask = torch.tensor([[1] * len(tokens) + [0] * (77 - len(tokens))])
    expected = backend._model.get_text_features(input_ids=padded, attention_mask=mask).pooler_output[0].numpy()
    np.testing.assert_allclose(embedding(backend, text(tmp_path / "dog.txt", "a dog barks")), expected, atol=1e-5)


def test_silence_and_empty_texts_have_none(backend, tmp_path):
    with pytest.raises(UnmeasurableError, match="silent: it has no peak"):
        backend.extract(noise(tmp_path / "silent.wav", gain=0.0))
    with pytest.raises(UnmeasurableError, match="the text is empty"):
        backend.extract(text(tmp_path / "empty.txt", " \n"))


def test_wrong_folders_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"model\.safetensors .*laion/clap-htsat-fused"):
        Clap630kFusion(str(tmp_path), "0" * 64)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="has sha256"):
        Clap630kFusion(str(tmp_path), "0" * 64)
    tensors = load_file(folder / "model.safetensors")
    lost = tensors.pop("text_projection.linear1.weight")
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks tensor 'text_projection.linear1.weight'"):
        Clap630kFusion(str(tmp_path), sha256_path(tmp_path))
    renamed = tensors | {"text_projection.linear1.weight": lost, "spare.weight": lost.clone()}
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"unknown tensor 'spare.weight'"):
        Clap630kFusion(str(tmp_path), sha256_path(tmp_path))
    reshaped = tensors | {"text_projection.linear1.weight": lost[:1].clone()}
    save_file(reshaped, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"another shape of tensor 'text_projection.linear1.weight'"):
        Clap630kFusion(str(tmp_path), sha256_path(tmp_path))
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        Clap630kFusion(str(tmp_path), sha256_path(tmp_path))


def test_a_model_without_fusion_is_another_model(tmp_path):
    folder = write_clap(tmp_path, fusion=False)
    assert not json.loads((folder / "config.json").read_text())["audio_config"]["enable_fusion"]
    with pytest.raises(InputError, match="without feature fusion"):
        Clap630kFusion(str(folder), sha256_path(folder))
