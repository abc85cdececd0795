import numpy as np
import pytest
import torch

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.config.model import ModelConfig
from nava.generation.media import read_mp4
from nava.generation.pipeline import Generator
from nava.model.backbone import NavaTransformer
from nava.runtime.errors import InputError

OFF = GuidanceScales(0.0, 0.0, 0.0)
CONFIG = GenerationConfig(steps=2, batch_size=2, video=OFF, audio=OFF)


class Blocks:
    """A video codec that shows the first three channels, 16 pixels and 4 frames for each latent."""

    def decode(self, latent_BCTHW):
        frames = latent_BCTHW[:, :3].repeat_interleave(16, 3).repeat_interleave(16, 4).repeat_interleave(4, 2)
        return (frames * 40 + 128).clamp(0, 255).byte().movedim(1, -1)


class Steps:
    """An audio codec that holds each latent's first channel for 640 samples."""

    sample_rate_hz = 16_000

    def decode(self, latent_BLC):
        return latent_BLC[..., 0].tanh().repeat_interleave(640, dim=1)


class Lengths:
    """A text encoder that knows how long the prompt is, and which batches it was given."""

    def __init__(self):
        self.batches = []

    def encode(self, texts):
        self.batches.append(texts)
        return torch.tensor([[[float(len(text))] * 7] for text in texts])


@pytest.fixture
def generator():
    settings = {"dim": 24, "ffn_dim": 48, "num_heads": 2, "num_hal_layers": 1, "num_ufl_layers": 1}
    config = ModelConfig(**settings, video_channels=3, audio_channels=5, text_len=6, text_dim=7, audio_stem_hidden=16)
    model = NavaTransformer(config).eval()
    with torch.no_grad():
        for head in (model.head.head, model.head_audio.head):
            head.weight.normal_(std=0.2, generator=torch.Generator().manual_seed(0))
    return Generator(model, Lengths(), Blocks(), Steps(), (3, 3, 4, 4), (9, 5))


def test_clips_in_order_and_in_batches(generator):
    prompts = ["a bar", "a ball bounces", "rain"]
    clips = generator.generate(prompts, [7, 8, 9], CONFIG)
    assert [(clip.prompt, clip.seed) for clip in clips] == list(zip(prompts, [7, 8, 9]))
    assert generator.text_encoder.batches == [prompts[:2], prompts[2:]]
    for clip in clips:
        assert clip.frames.shape == (12, 64, 64, 3)
        assert clip.frames.dtype == np.uint8
        assert clip.samples.shape == (9 * 640,)
        assert clip.samples.dtype == np.float32
        assert (clip.fps, clip.sample_rate) == (24.0, 16_000)


def test_same_prompt_and_seed_give_the_same_clip_in_another_batch(generator):
    first = generator.generate(["a bar", "rain"], [7, 8], CONFIG)[1]
    second = generator.generate(["rain"], [8], CONFIG)[0]
    assert np.abs(first.frames.astype(int) - second.frames).max() <= 1
    np.testing.assert_allclose(first.samples, second.samples, atol=1e-4)


def test_prompt_and_seed_change_the_clip(generator):
    clips = generator.generate(["a bar", "a bar", "a different bar"], [7, 8, 7], CONFIG)
    assert not np.allclose(clips[0].samples, clips[1].samples, atol=1e-2)
    assert not np.allclose(clips[0].samples, clips[2].samples, atol=1e-4)


def test_clips_come_one_batch_at_a_time(generator):
    stream = generator.stream(["a", "b", "c"], [1, 2, 3], CONFIG)
    assert next(stream).prompt == "a"
    assert generator.text_encoder.batches == [["a", "b"]]
    stream.close()


@pytest.mark.parametrize("shapes", [((3, 3, 4, 4), None), (None, (9, 5))])
def test_one_modality(generator, shapes, tmp_path):
    alone = Generator(
        generator.model, generator.text_encoder, generator.video_codec, generator.audio_codec, shapes[0], shapes[1]
    )
    clip = alone.generate(["rain"], [1], CONFIG)[0]
    assert (clip.frames is None) is (shapes[0] is None)
    assert (clip.samples is None) is (shapes[1] is None)
    clip.write(tmp_path / "clip.mp4")
    media = read_mp4(tmp_path / "clip.mp4")
    assert (len(media.frames) > 0, len(media.samples) > 0) == (shapes[0] is not None, shapes[1] is not None)


def test_written_clip_plays(generator, tmp_path):
    clip = generator.generate(["a bar"], [7], CONFIG)[0]
    clip.write(tmp_path / "clips" / "clip.mp4", upscale=2)
    media = read_mp4(tmp_path / "clips" / "clip.mp4")
    assert media.frames.shape == (12, 128, 128, 3)
    assert len(media.samples) == 9 * 640


@pytest.mark.parametrize(
    ("prompts", "seeds", "message"),
    [(["a"], [1, 2], "1 prompts but 2 seeds"), (["a", "  "], [1, 2], "prompt 2 is empty")],
)
def test_bad_requests(generator, prompts, seeds, message):
    with pytest.raises(InputError, match=message):
        generator.generate(prompts, seeds, CONFIG)
    assert generator.text_encoder.batches == []
