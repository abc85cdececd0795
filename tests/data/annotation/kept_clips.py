"""Clips on disk as curation leaves them, and configurations that send them to the contract stub."""

import wave
from pathlib import Path

import numpy as np

from nava.artifacts.source_manifest import Source
from nava.config.annotation import AnnotationConfig, EndpointConfig, GroundingConfig
from nava.data.curation.stage import Clip, SourceTask
from nava.runtime.hashing import sha256_file
from tests.data.annotation.contract_stub import KEY
from tests.data.curation.conftest import RATE_HZ, draw_flash, write_media

KEY_VARIABLE = "NAVA_STUB_KEY"
DURATION_S = 49 / 24


def write_clip(
    folder: Path, clip_id="clip", has_picture=True, frames_THWC=None, audio=None, colour=(60, 100, 245), **row
):
    """A clip of 49 frames and its sound; further columns as given."""
    drawn, sound = draw_flash(seconds=2.1, tone_hz=300, side="right", colour=colour)
    frames_THWC = drawn[:49] if frames_THWC is None else frames_THWC
    audio = np.pad(sound if audio is None else audio, (0, 33_280))[:33_280]
    media = folder / "media"
    media.mkdir(parents=True, exist_ok=True)
    path = media / f"{clip_id}.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
        file.writeframes((np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes())
    columns = {
        "clip_id": clip_id,
        "modality": "av" if has_picture else "audio",
        "audio_path": f"media/{clip_id}.wav",
        "audio_sha256": sha256_file(path),
        "audio_sr": RATE_HZ,
        "duration_s": DURATION_S,
        "speech": [],
        "asr_backend": "none",
        "speakers": 0,
    }
    if has_picture:
        write_media(media / f"{clip_id}.mp4", frames_THWC, audio)
        columns |= {"video_path": f"media/{clip_id}.mp4", "fps": 24.0, "n_frames": 49}
        columns["video_sha256"] = sha256_file(media / f"{clip_id}.mp4")
    return Clip(columns | row)


def task_of(folder: Path, *clips: Clip) -> SourceTask:
    """A source with these clips."""
    return SourceTask(Source("src-1", "a.mp4", "0" * 64, 1, None, "", ""), str(folder), folder, clips=list(clips))


def utterance(text, t0_s=0.2, t1_s=0.9, speaker="Ada"):
    """An entry of the column `speech`."""
    return {"speaker": speaker, "t0_s": t0_s, "t1_s": t1_s, "text": text}


def grounded(text, t0_s=0.2, t1_s=0.9, speaker="woman", **attributes):
    """An entry of a grounded answer."""
    stated = dict.fromkeys(("voice", "emotion", "rate", "position"), "") | attributes
    return {"speaker": speaker, "t0_s": t0_s, "t1_s": t1_s, "text": text, **stated}


PICTURE = {
    "visual": "A woman at a desk.",
    "temporal": "She looks up.",
    "camera": "A static medium shot.",
}
SOUND = {"audio": "Rain on glass."}
REWRITTEN = {**PICTURE, "visual": "A woman at a desk by a window in the rain.", "audio": "Rain taps on the window."}
ANSWERS = {
    "picture_caption": PICTURE,
    "sound_caption": SOUND,
    "stub-rewriter": REWRITTEN,
    "stub-grounding": {**PICTURE, **SOUND, "speech": []},
    "visual_tags": {"tags": ["interview", "documentary"]},
}


def stub_config(stub, monkeypatch, folder: Path, grounding=None, **changes) -> AnnotationConfig:
    """A configuration whose endpoints are all the stub."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)

    def endpoint(provider, model, **more):
        url = f"{stub.url}/v1" if provider == "openai" else stub.url
        prices = {"input_price_usd": 1.0, "output_price_usd": 10.0}
        return EndpointConfig(provider, model, base_url=url, api_key_variable=KEY_VARIABLE, **prices, **more)

    values = {
        "captioner": "endpoints",
        "picture": endpoint("openai", "stub-vision"),
        "sound": endpoint("openai", "stub-sound"),
        "rewriter": endpoint("gemini", "stub-rewriter"),
        "tagger": endpoint("openai", "stub-vision"),
        "grounding": GroundingConfig(**(grounding or {}), endpoint=endpoint("gemini", "stub-grounding")),
        "cache_dir": str(folder / "cache"),
    }
    config = AnnotationConfig(**values | changes)
    config.check()
    return config
