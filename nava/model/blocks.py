"""The two kinds of transformer block, and the output head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from nava.config.model import ModelConfig
from nava.model.attention import Attention, Modality, TokenLayout
from nava.model.context import BlockContext


class Modulation(nn.Module):
    """The learned part of a block's shifts, scales and gates; the time embedding adds the rest."""

    def __init__(self, dim: int, count: int = 6) -> None:
        super().__init__()
        self.modulation = nn.Parameter(torch.randn(1, count, dim) / dim**0.5)

    def forward(self, e0_BRKD: Tensor) -> tuple[Tensor, ...]:
        """Six [1 or batch, rows, dim]: shift, scale, gate of attention, then of the feed-forward network."""
        return (self.modulation + e0_BRKD).unbind(2)


def modulated_norm(x_BLD: Tensor, shift: Tensor, scale: Tensor, eps: float, num_clean: int = 0) -> Tensor:
    """LayerNorm without learned parameters, then shift and scale.

    `shift` and `scale` are [1 or batch, 1 or length, dim]; with `num_clean` they have two rows, the first for that
    many leading tokens and the second for the others.
    """
    if num_clean:
        parts = zip(_halves(x_BLD, num_clean), shift.split(1, dim=1), scale.split(1, dim=1))
        return torch.cat([modulated_norm(*part, eps) for part in parts], dim=1)
    width = x_BLD.shape[-1:]
    if shift.numel() == shift.shape[-1]:
        return layer_norm(x_BLD, width, 1 + scale.flatten(), shift.flatten(), eps)
    return torch.addcmul(shift, layer_norm(x_BLD, width, eps=eps), 1 + scale)


def gated_sum(x_BLD: Tensor, gate: Tensor, y_BLD: Tensor, num_clean: int = 0) -> Tensor:
    """x + gate y, with a gate laid out like the shift of `modulated_norm`."""
    if num_clean:
        parts = zip(_halves(x_BLD, num_clean), gate.split(1, dim=1), _halves(y_BLD, num_clean))
        return torch.cat([torch.addcmul(*part) for part in parts], dim=1)
    return torch.addcmul(x_BLD, gate, y_BLD)


def _halves(x_BLD: Tensor, num_clean: int) -> tuple[Tensor, Tensor]:
    return x_BLD[:, :num_clean], x_BLD[:, num_clean:]


def feed_forward(dim: int, hidden: int) -> nn.Sequential:
    """Linear, tanh-GELU, Linear."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, dim))


class HierarchicalAlignmentLayer(nn.Module):
    """HAL: joint self-attention of both modalities, each with attention weights and modulation of its own.

    norm3 and the feed-forward network are shared by the modalities unless the configuration splits them.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim, self.eps, self.split = config.dim, config.eps, config.split_norm_ffn
        self.self_attn = Attention(dim, config.num_heads, config.eps, ("video", "audio"))
        self.norm3 = nn.LayerNorm(dim, eps=config.eps)
        self.cross_attn = Attention(dim, config.num_heads, config.eps, ("video", "audio"))
        self.ffn = feed_forward(dim, config.ffn_dim)
        self.modulation = Modulation(dim)
        self.modulation_audio = Modulation(dim)
        if self.split:
            self.norm3_audio = nn.LayerNorm(dim, eps=config.eps)
            self.ffn_audio = feed_forward(dim, config.ffn_dim)

    def forward(
        self,
        tokens: dict[Modality, Tensor],
        e0: dict[Modality, Tensor],
        context: Tensor | BlockContext,
        layout: TokenLayout,
    ) -> dict[Modality, Tensor]:
        """Map the tokens [batch, length, dim] of each modality present to new ones of the same shape.

        `e0` is [1 or batch, rows, 6, dim]: one row for all tokens, two if `layout.num_clean`, or one per token.
        `context` is rows [batch, rows, dim], or what `prepare` made of them.
        """
        parameters = {m: self._modulation(m)(e0[m]) for m in tokens}
        attended = self._attend(tokens, parameters, layout)
        out: dict[Modality, Tensor] = {}
        for m, x in tokens.items():
            _, _, gate1, shift2, scale2, gate2 = parameters[m]
            own = m == "audio" and self.split
            norm3, ffn = (self.norm3_audio, self.ffn_audio) if own else (self.norm3, self.ffn)
            num_clean = layout.num_clean if m == "video" else 0
            x = gated_sum(x, gate1, attended[m], num_clean)
            x = x + self.cross_attn.cross(norm3(x), context, m)
            out[m] = gated_sum(x, gate2, ffn(modulated_norm(x, shift2, scale2, self.eps, num_clean)), num_clean)
        return out

    def prepare(self, context_BND: Tensor) -> BlockContext:
        """Keys and values of the context rows for both streams."""
        return {m: self.cross_attn.key_values(context_BND, m) for m in ("video", "audio")}

    def _modulation(self, modality: Modality) -> Modulation:
        return self.modulation if modality == "video" else self.modulation_audio

    def _attend(
        self, tokens: dict[Modality, Tensor], parameters: dict[Modality, tuple[Tensor, ...]], layout: TokenLayout
    ) -> dict[Modality, Tensor]:
        projected = []
        for m, x in tokens.items():
            shift1, scale1 = parameters[m][:2]
            y = modulated_norm(x, shift1, scale1, self.eps, layout.num_clean if m == "video" else 0)
            projected.append(self.self_attn.project(y, rotation_LP=layout.rotation(m), stream=m))
        q, k, v = (torch.cat(parts, dim=1) for parts in zip(*projected))
        parts = layout.attend(q, k, v).split([x.shape[1] for x in tokens.values()], dim=1)
        return {m: self.self_attn.output(part, m) for m, part in zip(tokens, parts)}


class UnifiedFusionLayer(nn.Module):
    """UFL: the same three steps with one weight set for all tokens of the joint sequence."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.self_attn = Attention(config.dim, config.num_heads, config.eps)
        self.norm3 = nn.LayerNorm(config.dim, eps=config.eps)
        self.cross_attn = Attention(config.dim, config.num_heads, config.eps)
        self.ffn = feed_forward(config.dim, config.ffn_dim)
        self.modulation = Modulation(config.dim)

    def forward(self, x_BLD: Tensor, e0_BRKD: Tensor, context: Tensor | BlockContext, layout: TokenLayout) -> Tensor:
        """Map joint tokens [batch, video + audio, dim] to new ones of the same shape.

        `e0_BRKD` is [1 or batch, rows, 6, dim]: one row for all tokens, two if `layout.num_clean`, or one per token.
        `context` is rows [batch, rows, dim], or what `prepare` made of them.
        """
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(e0_BRKD)
        num_clean = layout.num_clean
        y = modulated_norm(x_BLD, shift1, scale1, self.eps, num_clean)
        q, k, v = self.self_attn.project(y, rotation_LP=layout.rotations)
        x_BLD = gated_sum(x_BLD, gate1, self.self_attn.output(layout.attend(q, k, v)), num_clean)
        x_BLD = x_BLD + self.cross_attn.cross(self.norm3(x_BLD), context)
        y = self.ffn(modulated_norm(x_BLD, shift2, scale2, self.eps, num_clean))
        return gated_sum(x_BLD, gate2, y, num_clean)

    def prepare(self, context_BND: Tensor) -> BlockContext:
        """Keys and values of the context rows."""
        return {"shared": self.cross_attn.key_values(context_BND)}


class Head(nn.Module):
    """Modulated norm and a linear map to one modality's latent channels."""

    def __init__(self, dim: int, out_dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.modulation = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)
        self.head = nn.Linear(dim, out_dim)

    def forward(self, x_BLD: Tensor, e_BRD: Tensor, num_clean: int = 0) -> Tensor:
        """Latent channels of each token, [batch, length, out_dim]; time rows and `num_clean` as in a block."""
        shift, scale = (self.modulation + e_BRD.unsqueeze(2)).unbind(2)
        out: Tensor = self.head(modulated_norm(x_BLD, shift, scale, self.eps, num_clean))
        return out
