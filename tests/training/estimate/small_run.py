"""A small model, and settings of a run of it, for the tests of the estimate."""

from dataclasses import replace
from typing import Any

from nava.config.cluster import ClusterConfig
from nava.config.curation import ClipConfig
from nava.config.latents import LatentsConfig
from nava.config.loader import LoaderConfig
from nava.config.model import ModelConfig, release_config
from nava.config.training import TrainingConfig
from nava.training.estimate.settings import RunSettings

SMALL = ModelConfig(dim=64, ffn_dim=192, num_heads=4, num_hal_layers=1, num_ufl_layers=2, audio_stem_hidden=64)
CLIP = ClipConfig(buckets=["128x64"], frame_counts=[17])


def small_run(model: ModelConfig = SMALL, cluster: ClusterConfig | None = None, **training: Any) -> RunSettings:
    """One process, fp32, ZeRO 1, unless told otherwise."""
    settings = replace(TrainingConfig(), **({"micro_batch_size": 1} | training))
    return RunSettings(model, settings, LoaderConfig(), LatentsConfig(), CLIP, cluster or ClusterConfig())


def large_run(cluster: ClusterConfig | None = None, **training: Any) -> RunSettings:
    """The released model in bfloat16, on clips of 5 s of 1280x704."""
    chosen = {"precision": "bf16", "activation_checkpointing": True, "micro_batches_per_step": 16} | training
    clip = ClipConfig(buckets=["1280x704"], frame_counts=[121])
    return replace(small_run(release_config(), cluster, **chosen), clip=clip)
