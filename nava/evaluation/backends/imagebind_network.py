"""ImageBind (arXiv 2305.05665), the network of the IB metric: its towers for picture and sound, and no others.

Section 1.3 of the evaluation reference; structure and tensor names are those of `imagebind_huge.pth`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nava.evaluation.backends.imagebind_input import PAIR_FRAMES, SIDE
from nava.evaluation.scoring.kaldi_fbank import INPUT_FRAMES, MEL_BINS

PICTURE, SOUND = "vision", "audio"  # as the file calls them
# The file has four more towers. Their tensors are left where they are.
_OTHER_TOWER = re.compile(r"modality_(preprocessors|trunks|heads|postprocessors)\.(text|depth|thermal|imu)\.")
_EPSILON = 1e-6
_PICTURE_PATCH = 14
_SOUND_PATCH, _SOUND_STRIDE = 16, 10
_LOGIT_SCALE, _LARGEST_SCALE = 20.0, 100.0


@dataclass(frozen=True)
class TowerSize:
    """Sizes of one transformer."""

    width: int
    layers: int
    heads: int


@dataclass(frozen=True)
class ImageBindSize:
    """Sizes of a network; those by default are published.

    Attributes:
        joint: values of an embedding, in the space of both.
    """

    picture: TowerSize = field(default_factory=lambda: TowerSize(1280, 32, 16))
    sound: TowerSize = field(default_factory=lambda: TowerSize(768, 12, 12))
    joint: int = 1024


class Attention(nn.Module):
    """Self-attention with the tensor names of `torch.nn.MultiheadAttention`.

    Args:
        size: of the tower.
        extra_token: whether each layer attends to one more token, whose key and value are learnt.
    """

    def __init__(self, size: TowerSize, extra_token: bool) -> None:
        super().__init__()
        self._heads = size.heads
        self.in_proj_weight = nn.Parameter(torch.zeros(3 * size.width, size.width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * size.width))
        self.out_proj = nn.Linear(size.width, size.width)
        shape = (1, 1, size.width)
        self.bias_k = nn.Parameter(torch.zeros(shape)) if extra_token else None
        self.bias_v = nn.Parameter(torch.zeros(shape)) if extra_token else None

    def forward(self, hidden_BND: Tensor) -> Tensor:
        """Tokens [B, N, D] to [B, N, D]."""
        query, key, value = nn.functional.linear(hidden_BND, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        if self.bias_k is not None and self.bias_v is not None:
            key = torch.cat([key, self.bias_k.expand(len(key), -1, -1)], dim=1)
            value = torch.cat([value, self.bias_v.expand(len(value), -1, -1)], dim=1)
        heads_BHND = (part.unflatten(2, (self._heads, -1)).transpose(1, 2) for part in (query, key, value))
        attended_BHND = nn.functional.scaled_dot_product_attention(*heads_BHND)
        projected_BND: Tensor = self.out_proj(attended_BHND.transpose(1, 2).flatten(2))
        return projected_BND


class Block(nn.Module):
    """A layer of a tower, with its norms before attention and before the two linear maps."""

    def __init__(self, size: TowerSize, extra_token: bool) -> None:
        super().__init__()
        self.attn = Attention(size, extra_token)
        self.norm_1 = nn.LayerNorm(size.width, eps=_EPSILON)
        inner = 4 * size.width
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(size.width, inner), "fc2": nn.Linear(inner, size.width)})
        self.norm_2 = nn.LayerNorm(size.width, eps=_EPSILON)

    def forward(self, hidden_BND: Tensor) -> Tensor:
        """Tokens [B, N, D] to [B, N, D]."""
        hidden_BND = hidden_BND + self.attn(self.norm_1(hidden_BND))
        changed_BND: Tensor = self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](self.norm_2(hidden_BND))))
        return hidden_BND + changed_BND


class _Stem(nn.Module):
    """Patches to tokens."""

    def __init__(self, proj: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.proj = proj
        self.norm_layer = norm

    def forward(self, input_BC: Tensor) -> Tensor:
        tokens_BND: Tensor = self.proj(input_BC).flatten(2).transpose(1, 2)
        return tokens_BND if self.norm_layer is None else self.norm_layer(tokens_BND)


class _Positions(nn.Module):
    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))


class _Tokens(nn.Module):
    """Tokens with their positions, and before them the one that stands for the whole."""

    def __init__(self, stem: _Stem, patches: int, width: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.rgbt_stem = stem  # so called in every tower
        self.pos_embedding_helper = _Positions(1 + patches, width)

    def forward(self, input_BC: Tensor) -> Tensor:
        tokens_BND = self.rgbt_stem(input_BC)
        tokens_BND = torch.cat([self.cls_token.expand(len(tokens_BND), -1, -1), tokens_BND], dim=1)
        placed_BND: Tensor = tokens_BND + self.pos_embedding_helper.pos_embed
        return placed_BND


class _Trunk(nn.Module):
    def __init__(self, size: TowerSize, first_norm: bool, extra_token: bool) -> None:
        super().__init__()
        first = nn.LayerNorm(size.width, eps=_EPSILON) if first_norm else nn.Identity()
        self.pre_transformer_layer = nn.Sequential(first)
        self.blocks = nn.Sequential(*(Block(size, extra_token) for _ in range(size.layers)))

    def forward(self, tokens_BND: Tensor) -> Tensor:
        hidden_BND: Tensor = self.blocks(self.pre_transformer_layer(tokens_BND))
        return hidden_BND


class _FirstToken(nn.Module):
    def forward(self, hidden_BND: Tensor) -> Tensor:
        return hidden_BND[:, 0]


class _UnitLength(nn.Module):
    def forward(self, embedding_BD: Tensor) -> Tensor:
        return nn.functional.normalize(embedding_BD, dim=-1)


class _Scale(nn.Module):
    """A factor of the training's loss; cosines do not see it."""

    log_logit_scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_logit_scale", torch.tensor(math.log(_LOGIT_SCALE)))

    def forward(self, embedding_BD: Tensor) -> Tensor:
        return self.log_logit_scale.exp().clamp(max=_LARGEST_SCALE) * embedding_BD


class ImageBindNetwork(nn.Module):
    """Pictures and sounds to vectors of one space."""

    def __init__(self, size: ImageBindSize | None = None) -> None:
        super().__init__()
        size = size or ImageBindSize()
        self.modality_preprocessors = nn.ModuleDict(
            {PICTURE: _picture_tokens(size.picture.width), SOUND: _sound_tokens(size.sound.width)}
        )
        self.modality_trunks = nn.ModuleDict(
            {
                PICTURE: _Trunk(size.picture, first_norm=True, extra_token=False),
                SOUND: _Trunk(size.sound, first_norm=False, extra_token=True),
            }
        )
        self.modality_heads = nn.ModuleDict(
            {PICTURE: _head(size.picture.width, size.joint), SOUND: _head(size.sound.width, size.joint)}
        )
        self.modality_postprocessors = nn.ModuleDict(
            {PICTURE: _UnitLength(), SOUND: nn.Sequential(_UnitLength(), _Scale())}
        )

    def picture(self, picture_BCTHW: Tensor) -> Tensor:
        """Pairs of frames [B, 3, 2, 224, 224] to unit vectors [B, D]."""
        return self._embedding(PICTURE, picture_BCTHW)

    def sound(self, mel_B1MT: Tensor) -> Tensor:
        """Log-mel pictures [B, 1, 128, 204] to vectors [B, D], all of one length, which is not 1."""
        return self._embedding(SOUND, mel_B1MT)

    def _embedding(self, tower: str, input_BC: Tensor) -> Tensor:
        hidden_BND = self.modality_trunks[tower](self.modality_preprocessors[tower](input_BC))
        embedding_BD: Tensor = self.modality_postprocessors[tower](self.modality_heads[tower](hidden_BND))
        return embedding_BD


def without_other_towers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file less those of the towers for text, depth, heat and motion; strange names stay in it."""
    return {name: tensor for name, tensor in tensors.items() if not _OTHER_TOWER.match(name)}


def _picture_tokens(width: int) -> _Tokens:
    patch = (PAIR_FRAMES, _PICTURE_PATCH, _PICTURE_PATCH)
    # In the published code a single frame is doubled first; here there are always two.
    proj = nn.Sequential(nn.Identity(), nn.Conv3d(3, width, patch, patch, bias=False))
    return _Tokens(_Stem(proj, None), (SIDE // _PICTURE_PATCH) ** 2, width)


def _sound_tokens(width: int) -> _Tokens:
    proj = nn.Conv2d(1, width, _SOUND_PATCH, _SOUND_STRIDE, bias=False)
    rows, columns = ((length - _SOUND_PATCH) // _SOUND_STRIDE + 1 for length in (MEL_BINS, INPUT_FRAMES))
    return _Tokens(_Stem(proj, nn.LayerNorm(width)), rows * columns, width)


def _head(width: int, joint: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width, eps=_EPSILON), _FirstToken(), nn.Linear(width, joint, bias=False))
