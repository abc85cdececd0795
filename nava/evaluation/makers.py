"""Where the clips of each variant come from: a model, the codecs alone, or the corpus itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from nava.config.generation import GenerationConfig
from nava.data.clip_encoder import Corpus
from nava.data.shards import LatentShards
from nava.evaluation.plan import Request
from nava.generation.pipeline import GeneratedClip, Generator
from nava.generation.request import Request as ClipRequest
from nava.latents.length import VIDEO_FPS
from nava.latents.registry import Codecs
from nava.latents.waveform import decode_mono


def without_alignment(config: GenerationConfig) -> GenerationConfig:
    """The same settings with alignment guidance off."""
    return replace(config, video=replace(config.video, align=0.0), audio=replace(config.audio, align=0.0))


@dataclass(frozen=True)
class ModelClips:
    """Clips sampled by a model for the prompts, from the noise of the requests' seeds."""

    generator: Generator
    config: GenerationConfig

    def __call__(self, requests: Sequence[Request]) -> list[GeneratedClip]:
        """Generate."""
        # Whole latents, as the clips that these are compared with are decoded.
        wanted = [
            ClipRequest(request.prompt, request.seed, sampler=self.config, fit_sound=False) for request in requests
        ]
        return list(self.generator.generate(wanted))


@dataclass(frozen=True)
class CodecClips:
    """The held-out clips after encoding and decoding: what a perfect model could reach."""

    shards: LatentShards
    codecs: Codecs

    def __call__(self, requests: Sequence[Request]) -> list[GeneratedClip]:
        """Decode the clips' latents."""
        ids = [request.clip_id for request in requests]
        clips = zip(requests, self.frames(ids), self.samples(ids))
        return [_clip(request, frames, samples, self.codecs) for request, frames, samples in clips]

    @torch.no_grad()
    def frames(self, ids: Sequence[str]) -> np.ndarray:
        """uint8 [n, T, H, W, 3]."""
        video_BCTHW = self.shards.read(ids).video_BCTHW
        assert video_BCTHW is not None
        return self.codecs.video.decode(video_BCTHW).numpy()

    @torch.no_grad()
    def samples(self, ids: Sequence[str]) -> np.ndarray:
        """float32 [n, N]."""
        return decode_mono(self.codecs.audio, self.shards.read(ids).audio_BLC).numpy()


@dataclass(frozen=True)
class RealClips:
    """The held-out clips as they are in the corpus."""

    corpus: Corpus
    codecs: Codecs

    def __call__(self, requests: Sequence[Request]) -> list[GeneratedClip]:
        """Read the clips' media."""
        by_id = {str(row["clip_id"]): row for row in self.corpus.clips}
        rows = [by_id[request.clip_id] for request in requests]
        sounds = self.corpus.sounds(rows, self.codecs.audio.sample_rate_hz)
        clips = zip(requests, self.corpus.videos(rows), sounds)
        return [_clip(request, video.numpy(), sound.numpy(), self.codecs) for request, video, sound in clips]


def _clip(request: Request, frames: np.ndarray, samples: np.ndarray, codecs: Codecs) -> GeneratedClip:
    return GeneratedClip(request.prompt, request.seed, frames, VIDEO_FPS, samples, codecs.audio.sample_rate_hz)
