"""A signed package of a tiny untrained model with fitted codecs: everything the real one has, in a few hundred kB."""

from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from nava.artifacts.model_package import sign_package, write_package
from nava.artifacts.signature import SigningKey, ensure_signing_key
from nava.conditioning.text import HashedWordEncoder
from nava.config.generation import GenerationConfig
from nava.config.latents import AudioCodecConfig, VideoCodecConfig
from nava.config.model import ModelConfig
from nava.latents.registry import Codecs, build_audio_codec, build_video_codec, save_codecs
from nava.model.backbone import NavaTransformer
from nava.runtime.storage import write_json

FRAMES, SIZE, SAMPLES = 9, 32, 8_320
MODEL = ModelConfig(dim=24, ffn_dim=48, num_heads=2, num_hal_layers=1, num_ufl_layers=1, audio_stem_hidden=24)


def write_checkpoint(folder: Path) -> Path:
    """Weights and architecture as training leaves them."""
    folder.mkdir(parents=True)
    model = NavaTransformer(MODEL, seed=3)
    save_file(model.state_dict(), folder / "model.safetensors")
    write_json(folder / "model_config.json", asdict(MODEL))
    return folder


def write_codecs(folder: Path) -> Codecs:
    """A video codec that needs no fit, an audio codec fitted on noise, and the text encoder."""
    noise = torch.randn(16, SAMPLES, generator=torch.Generator().manual_seed(0)) * 0.1
    video = build_video_codec(VideoCodecConfig(type="block_dct"), list, 0, 0)
    codecs = Codecs(video, build_audio_codec(AudioCodecConfig(), lambda: [noise]))
    save_codecs(codecs, folder)
    HashedWordEncoder().save(folder / "text")
    return codecs


def generation_settings(codecs: Codecs) -> dict:
    return {
        "fps": 24.0,
        "video_shape": list(codecs.video.latent_shape(FRAMES, SIZE, SIZE)),
        "audio_shape": list(codecs.audio.latent_shape(SAMPLES)),
        "sampler": asdict(GenerationConfig(steps=2)),
    }


def write_tiny_package(root: Path) -> tuple[Path, str, SigningKey]:
    """The package's folder, its sha256, and the key it is signed with."""
    checkpoint = write_checkpoint(root / "checkpoint")
    codecs = write_codecs(root / "codec")
    folder = root / "package"
    folder.mkdir()
    sha256 = write_package(
        folder,
        checkpoint=checkpoint,
        codec=root / "codec",
        generation=generation_settings(codecs),
        card="# tiny",
        model_name="nava",
        licence="Apache-2.0",
        sources={"checkpoint": "c" * 64},
    )
    key = ensure_signing_key(root / "keys")
    sign_package(folder, key)
    return folder, sha256, key
