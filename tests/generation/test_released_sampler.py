"""Whole sampling runs of the released code (nava-dit goldens) against the sampler here, in the release's mode."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn.functional import pad

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.config.model import ModelConfig
from nava.generation import sampler
from nava.model.backbone import NavaTransformer

safetensors = pytest.importorskip("safetensors.torch")

GOLDENS = Path(__file__).parents[3] / "shared" / "goldens" / "nava-dit"
pytestmark = pytest.mark.skipif(not GOLDENS.is_dir(), reason="the released model's golden files are not here")

TINY = {"dim": 64, "ffn_dim": 160, "freq_dim": 32, "video_channels": 12, "audio_channels": 16, "text_len": 20}
TINY |= {"text_dim": 24, "audio_stem_hidden": None, "speaker_dim": 192, "zero_init_heads": False, "temporal_bias": 0.0}
CASES = {
    "j1_sample_t2av_align": (3.0, 3.0, 2.0, 2.0, 0.0),
    "j2_sample_t2av_align_timbre": (3.0, 3.0, 2.0, 2.0, 3.0),
    "j3_sample_ti2av_align_timbre": (3.0, 3.0, 2.0, 2.0, 3.0),
    "j4_sample_t2a_timbre": (0.0, 0.0, 2.0, 0.0, 3.0),
    "j5_sample_t2av_plain_cfg": (3.0, 0.0, 2.0, 0.0, 0.0),
    "j6_sample_t2av_odd_grid": (3.0, 3.0, 2.0, 2.0, 0.0),
    "j7_sample_t2v": (3.0, 0.0, 0.0, 0.0, 0.0),
}


@pytest.fixture(scope="module")
def model():
    built = NavaTransformer(ModelConfig(**TINY))
    built.load_state_dict(safetensors.load_file(GOLDENS / "weights.safetensors"), strict=True)
    return built.eval()


def text(rows_ND):
    return pad(rows_ND, (0, 0, 0, TINY["text_len"] - len(rows_ND)))[None]


@pytest.mark.parametrize("batch_passes", ["never", "always"])
@pytest.mark.parametrize("case", CASES)
def test_run_equals_the_released_code(case, model, batch_passes):
    tensors = safetensors.load_file(GOLDENS / f"{case}.safetensors")
    meta = json.loads((GOLDENS / "manifest.json").read_text())["files"][f"{case}.safetensors"]["meta"]
    grid, video, audio = meta["grid"], tensors.get("in.noise_vid"), tensors.get("in.noise_audio")
    if video is not None:
        video = video.T.unflatten(1, grid)
    speakers = None
    if meta["spk_pos"]:
        speakers = sampler.Speakers(tensors["in.spk_embs"], torch.tensor(meta["spk_pos"][0]))
    video_text, video_align, audio_text, audio_align, timbre = CASES[case]
    config = GenerationConfig(
        mode="release",
        batch_passes=batch_passes,
        steps=4,
        shift=5.0,
        guidance_base="conditional" if video_align or timbre else "unconditional",
        video=GuidanceScales(video_text, video_align, 0.0),
        audio=GuidanceScales(audio_text, audio_align, timbre),
    )
    first = tensors.get("in.first_frame.0")
    video_out, audio_out = sampler.sample_latents(
        model,
        text(tensors["in.ctx_pos.0"]),
        None if video is None else tuple(video.shape),
        None if audio is None else tuple(audio.shape),
        config,
        [0],
        negative_text_BND=text(tensors["in.ctx_neg_audio.0" if video is None else "in.ctx_neg_vid.0"]),
        speakers=speakers,
        first_frame_BCHW=None if first is None else first.movedim(-1, 1),
        initial_noise=sampler.Latents(*(None if x is None else x[None] for x in (video, audio))),
    )
    for out, expected in ((video_out, tensors.get("out.vid")), (audio_out, tensors.get("out.audio"))):
        if expected is None:
            assert out is None
        else:
            expected = expected.T.unflatten(1, grid) if out.dim() == 5 else expected
            assert (out[0] - expected).abs().max() <= 1e-4 * expected.abs().max()
