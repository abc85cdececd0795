"""A corpus of drawn clips with its latents and a checkpoint, small enough for a test of the whole evaluation."""

import wave
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from nava.artifacts.latent_shard import write_index
from nava.config.conditioning import ConditioningConfig
from nava.config.encoding import EncodingConfig
from nava.config.latents import AudioCodecConfig, LatentsConfig, VideoCodecConfig
from nava.config.model import ModelConfig
from nava.data.clip_encoder import Corpus, fitted_encoders
from nava.data.shard_encoder import encode_shard, plan_corpus
from nava.generation.media import write_mp4
from nava.model.backbone import NavaTransformer
from nava.runtime.storage import write_json
from nava.training.stage import MODEL_CONFIG_FILE, MODEL_FILE
from tests.evaluation.drawn_clips import FPS, FRAMES, RATE, SAMPLES, flash_clip, heldout

SIZE = 32
MODEL = ModelConfig(
    dim=16,
    ffn_dim=32,
    freq_dim=16,
    num_heads=2,
    num_hal_layers=1,
    num_ufl_layers=1,
    audio_stem_hidden=16,
    video_channels=12,
)
LATENTS = LatentsConfig(
    VideoCodecConfig(type="block_dct", channels=12),
    AudioCodecConfig(nnls_iterations=5, griffin_lim_iterations=2),
)


@dataclass(frozen=True)
class TinyCorpus:
    """Folders of the latents and of a checkpoint, and the media."""

    shards: Path
    checkpoint: Path
    media: Corpus


def write_tiny_corpus(folder: Path, heldout_flash=6, heldout_talk=0, train_flash=12, audio_only=0) -> TinyCorpus:
    """Clips of the given families; what is called talk here is drawn like a flash."""
    (folder / "media").mkdir(parents=True)
    rows = []
    for family, count, split in (
        ("flash", heldout_flash, "heldout"),
        ("talk", heldout_talk, "heldout"),
        ("flash", train_flash, "train"),
    ):
        for number, clip in enumerate(heldout(family, count)):
            rows.append(_row(folder, f"{split}-{clip.clip_id}", clip, number + 100 * (split == "train"), split))
    for number, clip in enumerate(heldout("tones", audio_only)):
        row = _row(folder, clip.clip_id, clip, number, "train")
        rows.append(row | {"modality": "audio", "video_path": None})
    corpus = Corpus(folder, rows, decode_workers=1)
    shards, config = folder / "shards", EncodingConfig(clips_per_shard=32)
    encoders = fitted_encoders(shards, corpus, LATENTS, ConditioningConfig(), seed=0)
    plans = plan_corpus(corpus, encoders, config)
    write_index(shards, [entry for plan in plans for entry in encode_shard(shards, plan, corpus, encoders, config)])
    return TinyCorpus(shards, _write_checkpoint(folder / "checkpoint"), corpus)


def _row(folder, clip_id, clip, seed, split):
    words = dict(tag.split(":") for tag in clip.tags[1:])
    drawn = flash_clip(seed, words["colour"], words["pitch"], size=SIZE)
    write_mp4(folder / "media" / f"{clip_id}.mp4", drawn.frames, FPS, None, RATE, crf=10)
    with wave.open(str(folder / "media" / f"{clip_id}.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((drawn.samples.clip(-1, 1) * 32_767).astype("<i2").tobytes())
    return {
        "clip_id": clip_id,
        "modality": "av",
        "src_path": f"{clip_id}.mp4",
        "video_path": f"media/{clip_id}.mp4",
        "audio_path": f"media/{clip_id}.wav",
        "n_frames": FRAMES,
        "height": SIZE,
        "width": SIZE,
        "n_samples_16k": SAMPLES,
        "split": split,
        "caption": clip.caption,
        "tags": list(clip.tags),
    }


def _write_checkpoint(folder: Path) -> Path:
    """A model that was not trained but whose heads are not zero, so that guidance and prompts make a difference."""
    folder.mkdir()
    model = NavaTransformer(MODEL, seed=1)
    rng = np.random.default_rng(0)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for name in ("head.head.weight", "head_audio.head.weight"):
        state[name] += 0.3 * type(state[name])(rng.normal(size=state[name].shape).astype(np.float32))
    save_file(state, folder / MODEL_FILE)
    write_json(folder / MODEL_CONFIG_FILE, asdict(MODEL))
    return folder
