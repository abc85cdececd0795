"""Settings of the encode step; the defaults are those of the ``demo`` recipe."""

from dataclasses import dataclass, field


@dataclass
class EncodingConfig:
    """How clips become latent shards."""

    # One shard is the unit of work: a killed step loses at most the shard it was writing.
    clips_per_shard: int = 128
    clips_per_batch: int = 16
    # Matrix products round differently with another number of threads, so it is fixed, not taken from the machine.
    threads: int = 1
    decode_workers: int = field(default=2, metadata={"identity": False})
    # Held-out clips that are decoded again to measure how well the codecs reconstruct.
    reconstruction_clips: int = 24
