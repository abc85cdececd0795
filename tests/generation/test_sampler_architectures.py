"""The one sampler serves every architecture: passes batched or one by one, with timbre, with a first frame."""

import pytest
import torch

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.config.model import ARCHITECTURES, ModelConfig
from nava.generation.sampler import Speakers, sample_latents
from nava.model.architecture import build_model

VIDEO, AUDIO = (3, 2, 4, 4), (9, 5)
ALL = GuidanceScales(1.0, 2.0, 1.0)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request):
    settings = {"dim": 24, "ffn_dim": 48, "num_heads": 2, "num_hal_layers": 1, "num_ufl_layers": 1, "speaker_dim": 10}
    settings |= {"num_tower_layers": 1, "num_trimodal_layers": 2, "architecture": request.param}
    config = ModelConfig(**settings, video_channels=3, audio_channels=5, text_len=6, text_dim=7, audio_stem_hidden=16)
    built = build_model(config)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for head in (built.head.head, built.head_audio.head):
            head.weight.normal_(std=0.2, generator=generator)
    return built.eval()


def conditions():
    generator = torch.Generator().manual_seed(0)
    return {
        "text_BND": torch.randn(2, 6, 7, generator=generator),
        "negative_text_BND": torch.randn(1, 6, 7, generator=generator),
        "speakers": Speakers(torch.randn(2, 10, generator=generator), torch.tensor([1, 6 + 3])),
    }


def sample(model, video=VIDEO, audio=AUDIO, first_frame=None, guidance=ALL, **changes):
    config = GenerationConfig(steps=3, video=guidance, audio=guidance, **changes)
    given = conditions()
    text_BND = given.pop("text_BND")
    return sample_latents(model, text_BND, video, audio, config, [5, 6], first_frame_BCHW=first_frame, **given)


@pytest.mark.parametrize("mode", ["release", "corrected"])
def test_batched_passes_give_what_single_ones_do(model, mode):
    together, apart = (sample(model, mode=mode, batch_passes=batched) for batched in ("always", "never"))
    for first, second in zip(together, apart):
        assert first.isfinite().all()
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_a_first_frame_is_kept(model):
    frame = torch.full((2, 3, 4, 4), 0.5)
    video, audio = sample(model, first_frame=frame)
    assert torch.equal(video[:, :, 0], frame)
    assert not torch.allclose(audio, sample(model)[1], atol=1e-3)


@pytest.mark.parametrize(("video", "audio"), [(VIDEO, None), (None, AUDIO)])
def test_one_modality_alone(model, video, audio):
    made = sample(model, video=video, audio=audio)
    assert [None if x is None else tuple(x.shape) for x in made] == [
        None if shape is None else (2, *shape) for shape in (video, audio)
    ]


def test_alignment_guidance_moves_both_modalities(model):
    scales = [GuidanceScales(1.0, align, 0.0) for align in (2.0, 0.0)]
    with_it, without = (sample(model, guidance=scale) for scale in scales)
    for first, second in zip(with_it, without):
        assert not torch.allclose(first, second, atol=1e-3)
