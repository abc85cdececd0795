"""A package whose codecs and encoders are those of the release, at small width: it refers to their files by hash."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file

from nava.artifacts.model_package import assemble_package
from nava.conditioning.redimnet import RedimnetEncoder
from nava.conditioning.umt5 import Umt5Encoder
from nava.config.generation import GenerationConfig
from nava.config.latents import AudioCodecConfig, VideoCodecConfig
from nava.config.model import ModelConfig
from nava.latents.ltx_audio import LtxAudioCodec
from nava.latents.registry import Codecs, save_codecs
from nava.latents.wan_video import WanVideoCodec
from nava.model.architecture import build_model
from tests.conditioning.small_umt5 import WIDTH, write_checkpoint, write_tokenizer
from tests.conditioning.test_redimnet import Statistics, torchscript
from tests.generation.voice_package import NEGATIVE_PROMPTS
from tests.latents.original_layouts import write_small_weights

ROWS, SIZE, FRAMES = 64, 32, 5


def write_published_weights(folder: Path) -> Path:
    """The files that a user copies from the hubs, and the negative prompts beside them."""
    write_small_weights(folder)
    write_checkpoint(folder)
    write_tokenizer(folder)
    torchscript(folder, Statistics())
    (folder / "negative_prompts.json").write_text(json.dumps(NEGATIVE_PROMPTS))
    return folder


def write_published_package(folder: Path, weights: Path) -> Path:
    """A package without a signature that needs `weights` to generate."""
    codecs = Codecs(
        WanVideoCodec.build(VideoCodecConfig(type="wan_video", weights=str(weights))),
        LtxAudioCodec.build(AudioCodecConfig(type="ltx_audio", weights=str(weights))),
    )
    parts = folder / "codec"
    save_codecs(codecs, parts)
    Umt5Encoder.open(weights, rows=ROWS).save(parts / "text")
    RedimnetEncoder.open(weights).save(parts / "timbre")
    config = ModelConfig(
        dim=24,
        ffn_dim=48,
        num_heads=2,
        num_hal_layers=1,
        num_ufl_layers=1,
        audio_stem_hidden=24,
        audio_channels=codecs.audio.channels,
        text_len=ROWS,
        text_dim=WIDTH,
        speaker_dim=192,
        zero_init_heads=False,
    )
    save_file(build_model(config, seed=2).state_dict(), folder / "weights.safetensors")
    package = folder / "package"
    package.mkdir()
    assemble_package(
        package,
        weights=folder / "weights.safetensors",
        config=asdict(config),
        codec=parts,
        generation={
            "fps": 24.0,
            "video_shape": list(codecs.video.latent_shape(FRAMES, SIZE, SIZE)),
            "audio_shape": [6, codecs.audio.channels],
            "sampler": asdict(GenerationConfig(steps=2)),
        },
        card="# small",
        model_name="nava-small",
        licence="Apache-2.0",
        sources={},
    )
    return package
