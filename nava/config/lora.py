"""Settings of low-rank adapters: small matrices that are trained in place of the weights they are added to."""

from dataclasses import dataclass, field

from nava.config.checks import require, require_at_least, require_positive


@dataclass
class LoraConfig:
    """Which linear layers of the blocks get adapters, and how large; rank 0 trains all weights instead."""

    rank: int = 0
    # The product of the two matrices is scaled by alpha / rank.
    alpha: float = 16.0
    dropout: float = 0.0
    # Last parts of the names of linear layers: attention's queries, keys, values and outputs.
    targets: list[str] = field(default_factory=lambda: ["q", "k", "v", "o"])

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_at_least(self, "training.lora", ("rank",), 0)
        require_positive(self, "training.lora", ("alpha",))
        require(0 <= self.dropout < 1, "training.lora.dropout", self.dropout, "from 0 to below 1")
        require(bool(self.targets), "training.lora.targets", self.targets, "one or more names of linear layers")
