"""Settings of the loader: how clips are put into micro-batches, and how they are brought to the training process."""

from dataclasses import dataclass, field

from nava.config.checks import require, require_at_least

NOT_IDENTITY = {"identity": False}


@dataclass
class LoaderConfig:
    """The order of micro-batches is a function of the seed and of what is here, never of the number of ranks."""

    # A micro-batch holds as many clips as fit into so many video and audio tokens; 0: training.micro_batch_size clips.
    max_tokens: int = 0
    # So many micro-batches in a row have one task and nearly equal cost: set it to the number of ranks, or to the
    # largest there will be. Other numbers work too, less evenly.
    run_length: int = 1
    # Micro-batches that are read ahead by threads; 0 reads each when it is needed.
    prefetch: int = field(default=2, metadata=NOT_IDENTITY)
    # Shards of a bucket are kept in this folder, least recently used ones go first; empty is `~/.cache/nava/shards`.
    cache_folder: str = field(default="", metadata=NOT_IDENTITY)
    cache_mb: int = field(default=50_000, metadata=NOT_IDENTITY)

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require(self.max_tokens >= 0, "loader.max_tokens", self.max_tokens, "0 for no budget, or a number of tokens")
        require_at_least(self, "loader", ("run_length", "cache_mb"), 1)
        require_at_least(self, "loader", ("prefetch",), 0)
