"""A signed package of a tiny untrained model with timbre conditioning: all tasks at 32 x 32 pixels, in one call."""

import json
import wave
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from nava.artifacts.model_package import assemble_package, sign_package
from nava.artifacts.signature import SigningKey, ensure_signing_key
from nava.conditioning.text import HashedWordEncoder
from nava.conditioning.timbre import MelStatisticsEncoder
from nava.config.generation import GenerationConfig, GuidanceScales
from nava.config.latents import AudioCodecConfig, VideoCodecConfig
from nava.config.model import ModelConfig
from nava.latents.registry import Codecs, build_audio_codec, build_video_codec, save_codecs
from nava.model.backbone import NavaTransformer

FPS, RATE, SIZE, OWN_FRAMES = 24, 16_000, 32, 9
MODEL = ModelConfig(
    dim=24, ffn_dim=48, num_heads=2, num_hal_layers=1, num_ufl_layers=1, audio_stem_hidden=24, speaker_dim=192
)
SAMPLER = GenerationConfig(steps=2, batch_size=2, audio=GuidanceScales(1.0, 2.0, 1.0))
NEGATIVE_PROMPTS = {"video": "still picture", "audio": "hum", "joint": "still picture, hum"}
PROMPT = "A woman waves. <S>Hello there.<E> It rains."
DIALOGUE = "<S>Hello there.<E> <S>Good morning.<E>"


@dataclass(frozen=True)
class VoicePackage:
    folder: Path
    sha256: str
    key: SigningKey


def write_voice_package(root: Path) -> VoicePackage:
    """Weights, codecs, encoders and negative prompts, signed."""
    save_file(_weights(), root / "weights.safetensors")
    codecs = _codecs()
    save_codecs(codecs, root / "codec")
    HashedWordEncoder().save(root / "codec" / "text")
    MelStatisticsEncoder().save(root / "codec" / "timbre")
    folder = root / "package"
    folder.mkdir()
    sha256 = assemble_package(
        folder,
        weights=root / "weights.safetensors",
        config=asdict(MODEL),
        codec=root / "codec",
        generation={
            "fps": float(FPS),
            "video_shape": list(codecs.video.latent_shape(OWN_FRAMES, SIZE, SIZE)),
            "audio_shape": list(codecs.audio.latent_shape(round(OWN_FRAMES / FPS * RATE))),
            "sampler": asdict(SAMPLER),
            "max_seconds": 3.0,
        },
        card="# tiny",
        model_name="nava-tiny",
        licence="Apache-2.0",
        sources={"checkpoint": "c" * 64},
        negative_prompts=NEGATIVE_PROMPTS,
    )
    key = ensure_signing_key(root / "keys")
    sign_package(folder, key)
    return VoicePackage(folder, sha256, key)


def write_voice(path: Path, seconds: float = 1.2, hertz: float = 150.0) -> Path:
    """A reference voice: a WAV file with overtones of a pitch."""
    time = np.arange(round(seconds * RATE)) / RATE
    samples = sum(np.sin(2 * np.pi * hertz * n * time) / n for n in range(1, 6)) * 0.2
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32_767).astype(np.int16).tobytes())
    return path


def write_image(path: Path, colour: tuple[int, int, int] = (200, 40, 40), size: tuple[int, int] = (48, 40)) -> Path:
    """A picture of one colour."""
    Image.new("RGB", size, colour).save(path)
    return path


def write_requests(path: Path, lines: list[dict | str]) -> Path:
    """A JSONL file; text goes in as it is."""
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def _weights() -> dict[str, torch.Tensor]:
    """Weights with which every condition makes a difference: a new model's heads are zero."""
    model = NavaTransformer(MODEL, seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for head in (model.head.head, model.head_audio.head):
            head.weight.normal_(std=0.2, generator=generator)
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


def _codecs() -> Codecs:
    noise = torch.randn(16, 8_320, generator=torch.Generator().manual_seed(0)) * 0.1
    video = build_video_codec(VideoCodecConfig(type="block_dct"), list, 0, 0)
    return Codecs(video, build_audio_codec(AudioCodecConfig(), lambda: [noise]))
