"""What a clip costs to train on: the model that ranks are balanced by."""

from dataclasses import dataclass

from nava.config.model import ModelConfig


@dataclass(frozen=True)
class CostModel:
    """Cost of a sequence of L tokens: L + L**2 / balance, in the matrix products of one token.

    Attributes:
        balance: the length at which self-attention costs as much as all matrix products.
    """

    balance: float

    @classmethod
    def of(cls, model: ModelConfig) -> "CostModel":
        """From a block's operations per token.

        Matrix products: four projections of the self-attention and two of the cross-attention (its keys and values are
        those of the text, whose length is fixed), 12 dim**2; two of the feed-forward layer, 4 dim ffn. Attention:
        scores and values, 4 dim for every token it looks at.
        """
        return cls((12 * model.dim**2 + 4 * model.dim * model.ffn_dim) / (4 * model.dim))

    def clip(self, tokens: int) -> float:
        """Cost of one clip."""
        return tokens + tokens**2 / self.balance
