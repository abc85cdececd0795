"""Settings of the encode step; the defaults are those of the ``demo`` recipe."""

from dataclasses import dataclass, field

from nava.config.checks import require_at_least, require_one_of

LATENT_DTYPES = ("float32", "bfloat16")
ENCODED_TEXTS = ("prompt", "caption")
NOT_IDENTITY = {"identity": False}


@dataclass
class EncodingConfig:
    """How clips become latent shards."""

    # One shard is the unit of work: a killed worker loses at most the shard it was writing.
    clips_per_shard: int = 128
    # Shards of large clips hold fewer of them.
    shard_mb: int = 256
    dtype: str = "float32"
    # The manifest's column that the text encoder reads; a clip without a prompt is described by its caption.
    text: str = "caption"
    # Processes that encode, each with encoders of its own; 1 encodes in the step's own process.
    workers: int = field(default=1, metadata=NOT_IDENTITY)
    # Matrix products round differently with another number of threads, so it is fixed, not taken from the machine.
    threads: int = 1
    decode_workers: int = field(default=2, metadata=NOT_IDENTITY)
    # How long a shard may take before its worker is ended and it is tried again elsewhere.
    shard_timeout_s: float = field(default=7200.0, metadata=NOT_IDENTITY)
    # A worker may die for want of memory or by a spot node's end: a shard is blamed after so many workers.
    attempts: int = field(default=3, metadata=NOT_IDENTITY)
    # Held-out clips that are decoded again to measure how well the codecs reconstruct.
    reconstruction_clips: int = 24

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_one_of(self, "encoding", "dtype", LATENT_DTYPES)
        require_one_of(self, "encoding", "text", ENCODED_TEXTS)
        counts = ("clips_per_shard", "shard_mb", "workers", "threads", "decode_workers", "shard_timeout_s", "attempts")
        require_at_least(self, "encoding", counts, 1)
        require_at_least(self, "encoding", ("reconstruction_clips",), 0)
