"""Linear maps whose weight is stored in eight bits: e4m3 values and one scale per output row, as in the released file.

A weight row is divided by max|row| / 448 (448 is the largest e4m3 value) and rounded; the scale is kept in bfloat16
beside it as `weight_scale`. Only the attention and feed-forward maps of the blocks are stored so; they hold 90 % of
the model. Inference only: the stored weights take no gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

FP8 = torch.float8_e4m3fn
_LARGEST = torch.finfo(FP8).max
# Parts of a block whose linear maps are stored in eight bits.
_ELIGIBLE = frozenset({"self_attn", "cross_attn", "cross_modal_attn", "ffn", "ffn_audio"})
# First CUDA devices with e4m3 matrix products; their operands must be multiples of 16 wide.
_CAPABILITY = (8, 9)
_MULTIPLE = 16

Kernel = Literal["dequantise", "scaled_mm"]


def quantise_weight(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """Round a weight [out, in] to e4m3; returns it and the scale of each output row, bfloat16 [out]."""
    scale_O = (weight_OI.abs().amax(dim=1).float() / _LARGEST).to(torch.bfloat16)
    scale_O = torch.where(scale_O == 0, torch.ones_like(scale_O), scale_O)
    # A scale rounded down would put the row's largest value beyond the range: clamp it.
    scaled_OI = (weight_OI.float() / scale_O.float()[:, None]).clamp(-_LARGEST, _LARGEST)
    return scaled_OI.to(FP8), scale_O


def dequantise_weight(weight_OI: Tensor, scale_O: Tensor, dtype: torch.dtype) -> Tensor:
    """The weight [out, in] that e4m3 values and their scales ([out] or [out, 1]) stand for."""
    return weight_OI.to(dtype) * scale_O.reshape(-1, 1).to(dtype)


def best_kernel(device: torch.device) -> Kernel:
    """How to multiply on `device`: e4m3 products where the hardware has them, else with the weight widened first."""
    capable = device.type == "cuda" and torch.cuda.get_device_capability(device) >= _CAPABILITY
    return "scaled_mm" if capable else "dequantise"


class Fp8Linear(nn.Module):
    """A linear map with the tensors `weight` (e4m3), `weight_scale` (bfloat16, per output row) and `bias`.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        bias: whether there is one.
        kernel: "dequantise" widens the weight to the input's dtype (or autocast's) and multiplies in that;
            "scaled_mm" rounds each input row to e4m3 too and multiplies e4m3 by e4m3, with a bfloat16 result.
        device: where the (empty) tensors are.
        dtype: of the bias.
    """

    weight: Tensor
    weight_scale: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        kernel: Kernel = "dequantise",
        device: torch.device | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        fits = in_features % _MULTIPLE == 0 and out_features % _MULTIPLE == 0
        self.kernel: Kernel = kernel if fits else "dequantise"
        self.register_buffer("weight", torch.empty(out_features, in_features, dtype=FP8, device=device))
        self.register_buffer("weight_scale", torch.empty(out_features, dtype=torch.bfloat16, device=device))
        empty = torch.empty(out_features, dtype=dtype, device=device) if bias else None
        self.bias = None if empty is None else nn.Parameter(empty, requires_grad=False)

    @classmethod
    @torch.no_grad()
    def from_linear(cls, source: nn.Linear, kernel: Kernel = "dequantise") -> Fp8Linear:
        """Quantise a linear map; it keeps its device and the bias its dtype."""
        made = _empty_like(source, kernel)
        weight, scale = quantise_weight(source.weight)
        made.weight.copy_(weight)
        made.weight_scale.copy_(scale)
        if made.bias is not None:
            made.bias.copy_(source.bias)
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in_features] to [..., out_features], in the dtype that nn.Linear would give."""
        dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
        if self.kernel == "scaled_mm":
            return self._scaled_product(x).to(dtype)
        bias = None if self.bias is None else self.bias.to(dtype)
        return linear(x.to(dtype), dequantise_weight(self.weight, self.weight_scale, dtype), bias)

    def _scaled_product(self, x: Tensor) -> Tensor:
        rows_MI = x.reshape(-1, self.in_features)
        low_M1, high_M1 = rows_MI.aminmax(dim=-1, keepdim=True)
        scale_M1 = torch.maximum(-low_M1, high_M1).float().clamp_min(1e-12) / _LARGEST
        rounded_MI = (rows_MI / scale_M1).clamp(-_LARGEST, _LARGEST).to(FP8)
        product_MO = torch._scaled_mm(
            rounded_MI,
            self.weight.t(),
            scale_a=scale_M1,
            scale_b=self.weight_scale.float()[None, :],
            bias=None if self.bias is None else self.bias.to(torch.bfloat16),
            out_dtype=torch.bfloat16,
            use_fast_accum=True,
        )
        return product_MO.view(*x.shape[:-1], self.out_features)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Fp8Linear:
        """Moves between devices reach the stored weight; changes of dtype (`model.bfloat16()`) only the bias."""
        kept = {id(self.weight), id(self.weight_scale)}

        def keep_dtype(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if id(tensor) not in kept or moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(keep_dtype, recurse)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        errors: list[str] = args[-1]
        weight, scale = state_dict.get(f"{prefix}weight"), state_dict.get(f"{prefix}weight_scale")
        if weight is not None and weight.dtype != FP8:
            # Copied as it is, a wide weight would lose its scale without a word.
            errors.append(f"{prefix}weight is {weight.dtype}, but this model stores it as {FP8} with a weight_scale")
            return
        if scale is not None and scale.numel() == self.out_features:
            state_dict[f"{prefix}weight_scale"] = scale.reshape(-1)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """Sizes and kernel, for print."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}, kernel={self.kernel}"


def eligible_linears(model: nn.Module) -> dict[str, nn.Linear]:
    """The linear maps that are stored in eight bits, by name: attention and feed-forward networks of the blocks."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and _ELIGIBLE.intersection(name.split("."))
    }


def quantise_(model: nn.Module, kernel: Kernel | None = None) -> int:
    """Quantise the eligible linear maps of a model in place, one after the other; returns how many.

    Args:
        model: a model with values; all others of its tensors stay as they are.
        kernel: how to multiply; None takes the best one of each weight's device.
    """
    return _replace(model, lambda source: Fp8Linear.from_linear(source, kernel or best_kernel(source.weight.device)))


def with_empty_fp8_(model: nn.Module, kernel: Kernel | None = None) -> int:
    """Replace the eligible linear maps by empty quantised ones, for weights that are stored so; returns how many.

    On the meta device this costs nothing; then load the state dict with `assign=True`, or fill the tensors by name.
    """
    return _replace(model, lambda source: _empty_like(source, kernel or best_kernel(source.weight.device)))


def _empty_like(source: nn.Linear, kernel: Kernel) -> Fp8Linear:
    return Fp8Linear(
        source.in_features,
        source.out_features,
        source.bias is not None,
        kernel=kernel,
        device=source.weight.device,
        dtype=source.weight.dtype,
    )


def _replace(model: nn.Module, make: Callable[[nn.Linear], Fp8Linear]) -> int:
    # Names only: a dictionary of the modules would keep every wide weight alive until the last one is replaced.
    names = list(eligible_linears(model))
    for name in names:
        parent, _, child = name.rpartition(".")
        module = model.get_submodule(name)
        assert isinstance(module, nn.Linear)
        setattr(model.get_submodule(parent), child, make(module).train(module.training))
    return len(names)
