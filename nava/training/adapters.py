"""Low-rank adapters: small trained matrices beside frozen linear layers, added to their weights when training is done.

A layer's weight W computes as W + (alpha / rank) x B A. `peft` puts A and B into the model; what training leaves behind
are files in peft's own layout, and merged weights that are a model like any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nava.config.lora import LoraConfig
from nava.runtime.errors import InputError
from nava.runtime.seeding import derived_seed
from nava.runtime.storage import read_json, write_json

ADAPTER_FILE = "adapter_model.safetensors"
ADAPTER_CONFIG_FILE = "adapter_config.json"
# Names of peft: of the adapters in a model, and before those of layers in its files.
_NAME, _PREFIX = "default", "base_model.model."
_DOWN, _UP = "lora_A", "lora_B"


def adapted_layers(model: nn.Module, config: LoraConfig) -> dict[str, nn.Linear]:
    """Linear layers of the blocks whose name's last part is a target, by name.

    Raises:
        InputError: there is none.
    """
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and name.partition(".")[0].endswith("blocks")
        and name.rpartition(".")[2] in config.targets
    }
    if not found:
        raise InputError(f"training.lora.targets is {config.targets}: no linear layer of a block has such a name")
    return found


def add_adapters(model: nn.Module, config: LoraConfig, seed: int) -> None:
    """Freeze a model and give its layers adapters to train, in place; it computes what it did until they are trained.

    Args:
        model: with its start weights.
        config: rank above 0.
        seed: of the matrices A; B is zero.

    Raises:
        InputError: no layer is a target.
    """
    layers = adapted_layers(model, config)
    from peft import inject_adapter_in_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "adapters"))
        inject_adapter_in_model(_peft_config(config, sorted(layers)), model, _NAME)


def _peft_config(config: LoraConfig, layers: list[str]) -> Any:
    from peft import LoraConfig as PeftLora

    return PeftLora(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=layers,
        bias="none",
    )


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """Identity of a model's weights: names, shapes and float32 values, however they are stored."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(f"{name}{tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().float().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Adapter:
    """Trained adapters, and the weights they belong to.

    Attributes:
        config: rank, alpha and targets.
        tensors: A [rank, in] and B [out, rank] by the layer's name: `{layer}.lora_A.weight`, `{layer}.lora_B.weight`.
        base_sha256: `weights_sha256` of the model without them.
    """

    config: LoraConfig
    tensors: Mapping[str, Tensor]
    base_sha256: str

    @classmethod
    def of_parameters(cls, config: LoraConfig, parameters: Mapping[str, Tensor], base_sha256: str) -> Adapter:
        """From the trained parameters of a model that `add_adapters` was called for, by their names in it."""
        ending = f".{_NAME}.weight"
        tensors = {f"{name.removesuffix(ending)}.weight": value for name, value in parameters.items()}
        return cls(config, tensors, base_sha256)

    @classmethod
    def read(cls, folder: Path) -> Adapter:
        """From a folder that `write` wrote.

        Raises:
            InputError: it holds no such adapter.
        """
        try:
            values = read_json(folder / ADAPTER_CONFIG_FILE)
            targets = sorted({layer.rpartition(".")[2] for layer in values["target_modules"]})
            config = LoraConfig(values["r"], values["lora_alpha"], values["lora_dropout"], targets)
            stored, base = load_file(folder / ADAPTER_FILE), values["revision"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder} holds no adapter of a training stage ({error!r})") from error
        return cls(config, {name.removeprefix(_PREFIX): value for name, value in stored.items()}, base)

    def write(self, folder: Path) -> None:
        """As peft's adapter_model.safetensors and adapter_config.json, where `revision` is the base's hash."""
        values = _peft_config(self.config, self.layers).to_dict()
        values |= {"target_modules": self.layers, "peft_type": "LORA", "inference_mode": True}
        values |= {"revision": self.base_sha256}
        folder.mkdir(parents=True, exist_ok=True)
        save_file({_PREFIX + name: value.contiguous() for name, value in self.tensors.items()}, folder / ADAPTER_FILE)
        write_json(folder / ADAPTER_CONFIG_FILE, values)

    @property
    def layers(self) -> list[str]:
        """Names of the adapted layers."""
        return sorted(name.removesuffix(f".{_DOWN}.weight") for name in self.tensors if f".{_DOWN}." in name)

    def merged(self, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The base's weights with the adapters added, under the same names.

        Raises:
            InputError: the adapters were trained on other weights.
        """
        self._require_base(base)
        return self._shifted(base, 1.0)

    def unmerged(self, merged: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The base's weights again, but for rounding: what was added is taken away."""
        return self._shifted(merged, -1.0)

    @torch.no_grad()
    def _shifted(self, weights: Mapping[str, Tensor], sign: float) -> dict[str, Tensor]:
        scale, changed = sign * self.config.alpha / self.config.rank, dict(weights)
        for layer in self.layers:
            down, up = self.tensors[f"{layer}.{_DOWN}.weight"], self.tensors[f"{layer}.{_UP}.weight"]
            weight = weights[f"{layer}.weight"]
            delta = (up.float() @ down.float()) * scale
            changed[f"{layer}.weight"] = (weight.float() + delta.to(weight.device)).to(weight.dtype)
        return changed

    def attach(self, model: nn.Module) -> None:
        """Put the adapters into a model beside its weights, in place, as training has them.

        Raises:
            InputError: the model's weights are not those the adapters were trained on.
        """
        self._require_base(model.state_dict())
        add_adapters(model, self.config, seed=0)
        named = dict(model.named_parameters())
        with torch.no_grad():
            for name, value in self.tensors.items():
                named[f"{name.removesuffix('.weight')}.{_NAME}.weight"].copy_(value)

    def _require_base(self, weights: Mapping[str, Tensor]) -> None:
        found = weights_sha256(weights)
        if found != self.base_sha256:
            raise InputError(
                f"the adapter was trained on weights with sha256 {self.base_sha256}, these have {found}; "
                "use the model it was trained on"
            )
