"""Flash clips and the codecs fitted on them, drawn once for the folder."""

from dataclasses import dataclass

import pytest
from torch import Tensor

from nava.config.latents import AudioCodecConfig, VideoCodecConfig
from nava.latents.block_pca import BlockPcaCodec
from nava.latents.mel_pca import MelPcaCodec
from tests.latents.flash_clips import draw_flashes

FIT_CLIPS = 48
HELD_OUT_CLIPS = 8


@dataclass(frozen=True)
class FlashSet:
    fit_video: Tensor
    fit_samples: Tensor
    held_out_video: Tensor
    held_out_samples: Tensor


@pytest.fixture(scope="session")
def flashes() -> FlashSet:
    video, samples = draw_flashes(FIT_CLIPS + HELD_OUT_CLIPS)
    return FlashSet(video[:FIT_CLIPS], samples[:FIT_CLIPS], video[FIT_CLIPS:], samples[FIT_CLIPS:])


@pytest.fixture(scope="session")
def video_config() -> VideoCodecConfig:
    return VideoCodecConfig(fit_blocks=2000, subspace_iterations=4)


@pytest.fixture(scope="session")
def block_pca(flashes: FlashSet, video_config: VideoCodecConfig) -> BlockPcaCodec:
    return BlockPcaCodec.fit(flashes.fit_video.split(16), FIT_CLIPS, video_config, seed=0)


@pytest.fixture(scope="session")
def mel_pca(flashes: FlashSet) -> MelPcaCodec:
    return MelPcaCodec.fit(flashes.fit_samples.split(16), AudioCodecConfig())
