"""How many parameters a model has, by part, and which of them are trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from nava.config.lora import LoraConfig
from nava.config.model import ModelConfig
from nava.model.architecture import build_model
from nava.runtime.errors import InputError

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
    layers = _adapted_layers(built, lora)
    adapters = sum(lora.rank * (layer.in_features + layer.out_features) for layer in layers)
    if not adapters:
        raise InputError(f"training.lora.targets is {lora.targets}: no linear layer of a block has such a name")
    return Parameters(parts, adapters, adapters)


def _adapted_layers(model: nn.Module, lora: LoraConfig) -> Iterator[nn.Linear]:
    """Linear layers of the blocks whose name's last part is a target."""
    for name, module in model.named_modules():
        in_block = name.partition(".")[0].endswith("_blocks")
        if isinstance(module, nn.Linear) and in_block and name.rpartition(".")[2] in lora.targets:
            yield module
