"""Clips for the benchmark of guidance: made from fresh prompts, and what is seen and heard in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.data.shards import LatentShards
from nava.evaluation.plan import family_of, noise_seed
from nava.evaluation.tracks import audio_envelope, brightness
from nava.generation.passes import Speakers, VelocityModel
from nava.generation.sampler import VideoShape, sample_latents
from nava.latents.length import VIDEO_FPS
from nava.latents.registry import load_codecs
from nava.latents.waveform import decode_mono

BATCH = 16
Track = NDArray[np.float64]

# Where the generator draws the mouth of a single face, in shares of the picture: rows, columns.
MOUTH = (0.55, 0.87, 0.33, 0.67)
# A moving thing differs so much from the picture without it, in grey levels.
MOVED = 30


def ball_height(video_THWC: NDArray[np.uint8]) -> Track:
    """Per frame, the mean height of what differs from the median picture, 0 below to 1 above; 0.5 if nothing does."""
    grey_THW = video_THWC.astype(np.float32).mean(axis=3)
    moved_THW = np.abs(grey_THW - np.median(grey_THW, axis=0)) > MOVED
    rows_H = 1.0 - np.arange(grey_THW.shape[1]) / (grey_THW.shape[1] - 1)
    counts_T = moved_THW.sum(axis=(1, 2))
    heights_T = (moved_THW.sum(axis=2) * rows_H).sum(axis=1) / np.maximum(counts_T, 1)
    return np.where(counts_T > 0, heights_T, 0.5).astype(np.float64)


def ball_low(video_THWC: NDArray[np.uint8]) -> Track:
    """Per frame, how low the moving thing is: high when it strikes the floor."""
    return -ball_height(video_THWC)


def mouth_dark(video_THWC: NDArray[np.uint8]) -> Track:
    """Per frame, how dark the place of the mouth is: high when it is open."""
    height, width = video_THWC.shape[1:3]
    top, bottom, left, right = (
        round(share * size) for share, size in zip(MOUTH, (height, height, width, width), strict=True)
    )
    return -video_THWC[:, top:bottom, left:right, :2].astype(np.float64).mean(axis=(1, 2, 3))


def smoothed(track_T: Track) -> Track:
    """The mean over five frames: a ball is low for longer than its knock is loud."""
    return np.convolve(np.pad(track_T, 2, mode="edge"), np.ones(5) / 5, mode="valid")


@dataclass(frozen=True)
class Family:
    """A family of clips, and the two tracks whose correlation is its synchrony."""

    name: str
    seen: Callable[[NDArray[np.uint8]], Track]
    heard: Callable[[Track], Track] = lambda track_T: track_T

    def clips(self, shards: LatentShards, count: int) -> list[str]:
        """The first captioned clips of the family by id, of all splits: none of them was trained on."""
        entries = [entry for entry in shards.select(modality="av") if family_of(entry.tags) == self.name]
        return [entry.clip_id for entry in entries if entry.caption.strip()][:count]


FAMILIES = {
    "flash": Family("flash", brightness),
    "impact": Family("impact", ball_low, smoothed),
    "talk": Family("talk", mouth_dark),
}


def scales(align: float) -> GenerationConfig:
    """The demo's sampler with this strength of alignment."""
    both = GuidanceScales(text=1.0, align=align)
    return GenerationConfig(video=both, audio=replace(both))


class Studio:
    """Makes clips of prompts that no model was trained on.

    Args:
        trained_on: shards of the training corpus; its codecs decode what a model makes.
        fresh: shards of another corpus, for its texts and voices.
    """

    def __init__(self, trained_on: Path, fresh: Path) -> None:
        self.fresh = LatentShards(fresh)
        self._codecs, self._own = load_codecs(trained_on / "codec"), load_codecs(fresh / "codec")

    def tracks(
        self, model: VelocityModel, family: Family, ids: Sequence[str], config: GenerationConfig
    ) -> tuple[Track, Track]:
        """What is seen and heard [n, T] of a model's clips of these prompts."""
        seen, heard = [], []
        for video, audio in self._made(model, ids, config, with_video=True):
            assert video is not None
            frames = self._codecs.video.decode(video).numpy()
            sounds = decode_mono(self._codecs.audio, audio).numpy()
            seen += [family.seen(clip) for clip in frames]
            heard += [self._heard(family, sound, frames.shape[1]) for sound in sounds]
        return np.array(seen), np.array(heard)

    def ceiling(self, family: Family, ids: Sequence[str]) -> tuple[Track, Track]:
        """The same of the fresh clips themselves, through their codecs."""
        latents = self.fresh.read(ids)
        assert latents.video_BCTHW is not None
        frames = self._own.video.decode(latents.video_BCTHW).numpy()
        sounds = decode_mono(self._own.audio, latents.audio_BLC).numpy()
        heard = [self._heard(family, sound, frames.shape[1]) for sound in sounds]
        return np.array([family.seen(clip) for clip in frames]), np.array(heard)

    def sounds(self, model: VelocityModel, ids: Sequence[str], config: GenerationConfig, voiced: bool) -> Tensor:
        """Sound alone [n, N] of these prompts, with the voices of the clips or without."""
        made = self._made(model, ids, config, with_video=False, voiced=voiced)
        return torch.cat([decode_mono(self._codecs.audio, audio) for _, audio in made])

    def own_sounds(self, ids: Sequence[str]) -> Tensor:
        """The sounds of the fresh clips, through their codec."""
        return decode_mono(self._own.audio, self.fresh.read(ids, with_video=False).audio_BLC)

    def _heard(self, family: Family, sound: NDArray[np.float32], frames: int) -> Track:
        return family.heard(audio_envelope(sound, self._codecs.audio.sample_rate_hz, VIDEO_FPS, frames))

    @torch.no_grad()
    def _made(
        self,
        model: VelocityModel,
        ids: Sequence[str],
        config: GenerationConfig,
        *,
        with_video: bool,
        voiced: bool = False,
    ) -> list[tuple[Tensor | None, Tensor]]:
        made = []
        for start in range(0, len(ids), BATCH):
            chunk = list(ids[start : start + BATCH])
            entry, latents = self.fresh.entries[chunk[0]], self.fresh.read(chunk, with_video=False)
            shape: VideoShape | None = None
            if with_video:
                assert entry.video_shape is not None
                channels, times, height, width = entry.video_shape
                shape = channels, times, height, width
            speakers = None
            if voiced:
                assert latents.voice_SE is not None
                assert latents.voice_slot_S is not None
                speakers = Speakers(latents.voice_SE, latents.voice_slot_S)
            seeds = [noise_seed(config.seed, clip) for clip in chunk]
            length, width = entry.audio_shape
            video, audio = sample_latents(
                model, latents.text_BND, shape, (length, width), config, seeds, speakers=speakers
            )
            assert audio is not None
            made.append((video, audio))
        return made
