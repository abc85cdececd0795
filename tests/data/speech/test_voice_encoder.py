import numpy as np
import pytest
import torch

from nava.config.speech import SpeakerConfig
from nava.data.speech import voice_encoder
from nava.data.speech.voice_encoder import ResemblyzerVoices, build_voice_encoder
from nava.runtime.errors import InputError
from tests.conditioning.onnx_bytes import statistics_model
from tests.data.speech.sounds import spoken


def stretches(voice, count=3, n_samples=8_000):
    sentence = spoken(voice, 0)
    return np.stack([sentence[start : start + n_samples] for start in range(1_600, 1_600 + count * 4_000, 4_000)])


@pytest.fixture
def resemblyzer_file(tmp_path):
    """Random weights under the names of the published file, which also keeps the training's own."""
    torch.manual_seed(3)
    state = ResemblyzerVoices().state_dict() | {"similarity_weight": torch.ones(1), "similarity_bias": torch.ones(1)}
    path = tmp_path / "pretrained.pt"
    torch.save({"step": 1, "model_state": state, "optimizer_state": {}}, path)
    return path


def test_the_embedded_encoder_tells_a_woman_from_a_man():
    encoder = build_voice_encoder(SpeakerConfig())
    vectors = encoder.encode(torch.from_numpy(np.concatenate([stretches(0), stretches(1)])))
    likeness = vectors @ vectors.T
    assert torch.allclose(likeness.diagonal(), torch.ones(6), atol=1e-5)
    assert likeness[:3, :3].mean() > likeness[:3, 3:].mean() + 0.3


def test_loudness_does_not_count():
    encoder = build_voice_encoder(SpeakerConfig())
    loud = torch.from_numpy(stretches(2, 1))
    assert torch.allclose(encoder.encode(loud), encoder.encode(loud * 0.02), atol=1e-4)


def test_resemblyzer_runs_from_a_file_of_the_published_layout(resemblyzer_file):
    encoder = build_voice_encoder(SpeakerConfig("resemblyzer", weights=str(resemblyzer_file)))
    vectors = encoder.encode(torch.from_numpy(stretches(0)))
    assert vectors.shape == (3, 256)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)
    assert (vectors >= 0).all()
    assert encoder.max_distance == 0.32
    alone = torch.cat([encoder.encode(one[None]) for one in torch.from_numpy(stretches(0))])
    assert torch.allclose(vectors, alone, atol=1e-5)


def test_resemblyzer_of_the_installed_package_is_found(resemblyzer_file, monkeypatch):
    monkeypatch.setattr(voice_encoder, "_installed", lambda: resemblyzer_file.parent)
    assert build_voice_encoder(SpeakerConfig("resemblyzer")).name == "resemblyzer"


def test_missing_weights_are_named_with_the_way_to_get_them(tmp_path):
    with pytest.raises(InputError, match=r"pretrained.pt .* Resemblyzer==0.1.4"):
        build_voice_encoder(SpeakerConfig("resemblyzer", weights=str(tmp_path)))


@pytest.mark.parametrize("content", [b"", b"not torch", None])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "pretrained.pt"
    if content is None:
        torch.save({"model_state": {"linear.weight": torch.zeros(2, 2)}}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="does not hold Resemblyzer's weights"):
        build_voice_encoder(SpeakerConfig("resemblyzer", weights=str(path)))


def test_redimnet_takes_short_stretches(tmp_path):
    path = tmp_path / "redimnet_m_ft_mix.onnx"
    matrix = np.random.default_rng(0).normal(size=(2, 192))
    path.write_bytes(statistics_model(matrix.tolist()))
    encoder = build_voice_encoder(SpeakerConfig("redimnet", weights=str(path), max_distance=0.6))
    vectors = encoder.encode(torch.from_numpy(stretches(0)))
    assert vectors.shape == (3, 192)
    assert encoder.max_distance == 0.6
