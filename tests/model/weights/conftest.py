"""A model of every kind of layer in a few thousand parameters, and its weights in files."""

import pytest
from safetensors.torch import save_file

from nava.config.model import ModelConfig
from nava.model.backbone import NavaTransformer


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    return ModelConfig(
        dim=24,
        ffn_dim=48,
        freq_dim=16,
        num_heads=2,
        num_hal_layers=1,
        num_ufl_layers=2,
        num_final_hal_layers=1,
        video_channels=4,
        audio_channels=6,
        text_len=8,
        text_dim=16,
        audio_stem_hidden=16,
        speaker_dim=8,
        zero_init_heads=False,
        temporal_bias=0.0,
    )


@pytest.fixture(scope="session")
def model(config) -> NavaTransformer:
    """With values in every tensor, so that a mix-up of two zero ones would show."""
    import torch

    made = NavaTransformer(config, seed=3).requires_grad_(False)
    generator = torch.Generator().manual_seed(4)
    for parameter in made.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return made


@pytest.fixture
def released_file(tmp_path, model):
    """The model as NAVA.safetensors holds it, written by the library."""
    path = tmp_path / "NAVA.safetensors"
    save_file({"backbone." + name: tensor for name, tensor in model.state_dict().items()}, path)
    return path
