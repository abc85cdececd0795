"""How many parameters a model has, by part, and which of them are trained."""

from __future__ import annotations

from dataclasses import dataclass

from nava.config.lora import LoraConfig
from nava.config.model import ModelConfig
from nava.model.architecture import build_model
from nava.training.adapters import adapted_layers

_PARTS = {
    "double_blocks": "alignment layers",
    "single_blocks": "fusion layers",
    "double_final_blocks": "final alignment layers",
    "patch_embedding_audio": "audio stem",
}
_OTHER = "embeddings and heads"


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters.

    Attributes:
        parts: of the model, by part.
        trained: those that the optimizer updates: all of the model, or the adapters alone.
        adapters: of the low-rank adapters, which come on top of the model's.
    """

    parts: dict[str, int]
    trained: int
    adapters: int = 0

    @property
    def model(self) -> int:
        """Of the model without adapters."""
        return sum(self.parts.values())

    @property
    def total(self) -> int:
        """All that lie in memory."""
        return self.model + self.adapters


def count_parameters(model: ModelConfig, lora: LoraConfig) -> Parameters:
    """Count them on a model without values.

    Raises:
        InputError: the configuration describes no model, or no layer is a target of the adapters.
    """
    built = build_model(model, device="meta")
    parts: dict[str, int] = {}
    for name, parameter in built.named_parameters():
        part = _PARTS.get(name.partition(".")[0], _OTHER)
        parts[part] = parts.get(part, 0) + parameter.numel()
    if not lora.rank:
        return Parameters(parts, trained=sum(parts.values()))
    layers = adapted_layers(built, lora).values()
    adapters = sum(lora.rank * (layer.in_features + layer.out_features) for layer in layers)
    return Parameters(parts, adapters, adapters)
