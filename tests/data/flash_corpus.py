"""Writes a small corpus as curation leaves it: clips.parquet beside media/<id>.mp4 and media/<id>.wav."""

import wave
from pathlib import Path

import av
import numpy as np

from nava.artifacts.clip_manifest import write_clips
from tests.latents.flash_clips import FlashClip, draw_flash


def write_flash_corpus(
    folder: Path, train: int = 20, held_out: int = 4, audio_only: int = 6, frames: int = 49, size: int = 64
) -> Path:
    """``train`` and ``held_out`` paired clips, ``audio_only`` training clips of sound, and one that was dropped."""
    (folder / "media").mkdir(parents=True)
    rows = [_row(folder, index, "av", "train", frames, size) for index in range(train)]
    rows += [_row(folder, 1000 + index, "av", "heldout", frames, size) for index in range(held_out)]
    rows += [_row(folder, 2000 + index, "audio", "train", frames, size) for index in range(audio_only)]
    dropped = {"clip_id": "dropped", "modality": "av", "status": "dropped", "drop_reason": "silent", "stage": "filters"}
    rows.append(dropped | _source("dropped"))
    write_clips(folder, rows)
    return folder


def write_wav(path: Path, samples: np.ndarray, sample_rate_hz: int = 16_000, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes((samples.clip(-1, 1) * 32_767).round().astype("<i2").tobytes())


def write_silent_mp4(path: Path, video_THWC: np.ndarray) -> None:
    """H.264 as curation writes it, without the sound track that the encoder does not read."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "12", "preset": "veryfast", "threads": "1"})
        stream.height, stream.width = video_THWC.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame_HWC in video_THWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")))
        container.mux(stream.encode())


def _row(folder: Path, seed: int, modality: str, split: str, frames: int, size: int) -> dict[str, object]:
    clip = draw_flash(seed, frames=frames, size=size)
    clip_id = f"{modality}{seed:04d}"
    write_wav(folder / "media" / f"{clip_id}.wav", clip.samples_N.numpy())
    row = {
        "clip_id": clip_id,
        "modality": modality,
        "audio_path": f"media/{clip_id}.wav",
        "audio_sr": 16_000,
        "audio_channels": 1,
        "n_samples_16k": len(clip.samples_N),
        "split": split,
        "status": "kept",
        "stage": "caption",
        "caption": clip.caption,
        "tags": ["flash"] if modality == "av" else ["tone"],
    }
    return row | _source(clip_id) | (_picture(folder, clip_id, clip) if modality == "av" else {})


def _picture(folder: Path, clip_id: str, clip: FlashClip) -> dict[str, object]:
    video_THWC = clip.video_THWC.numpy()
    write_silent_mp4(folder / "media" / f"{clip_id}.mp4", video_THWC)
    frames, height, width, _ = video_THWC.shape
    path = f"media/{clip_id}.mp4"
    return {"video_path": path, "n_frames": frames, "height": height, "width": width, "fps": 24.0}


def _source(name: str) -> dict[str, object]:
    return {"src_id": f"src-{name}", "src_sha256": "0" * 64, "src_path": f"{name}.mp4"}
