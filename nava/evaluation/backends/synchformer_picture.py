"""What Synchformer sees: Motionformer (arXiv 2106.05392) with divided space-time attention, ViT-B/16 over tubes.

Structure, order of attention and constants are those of v-iashin/Synchformer with Motionformer's settings
`SSV2/divided_224_16x4`: tubes of 2 frames by 16 by 16 pixels, separate embeddings of place and time, time before space.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nava.evaluation.backends.synchformer_input import SEGMENT_FRAMES
from nava.evaluation.backends.synchformer_layers import EPSILON, Summary, SynchformerSize, in_heads

PATCH, TUBE_FRAMES = 16, 2
STEPS = SEGMENT_FRAMES // TUBE_FRAMES


class DividedAttention(nn.Module):
    """Attention of each patch to those of its own frame, or to those at its own place in all frames.

    The first token belongs to every group, and itself attends to all tokens.
    """

    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        self._heads = size.heads
        self.qkv = nn.Linear(size.width, 3 * size.width)
        self.proj = nn.Linear(size.width, size.width)

    def forward(self, hidden_BND: Tensor, steps: int, over_time: bool) -> Tensor:
        """Changes [B, 1 + steps * places, D].

        Args:
            hidden_BND: the first token, then the patches of each step in turn.
            steps: in time.
            over_time: whether a group is a place, not a step.
        """
        attend = nn.functional.scaled_dot_product_attention
        query, key, value = (in_heads(part_BND, self._heads) for part_BND in self.qkv(hidden_BND).chunk(3, dim=-1))
        first_BH1E = attend(query[:, :, :1], key, value)
        query, key, value = (self._groups(part_BHNE, steps, over_time) for part_BHNE in (query, key, value))
        # The first token of each group asks nothing: it has been answered.
        patches_XHME = attend(query[:, :, 1:], key, value)
        patches_BGHME = patches_XHME.unflatten(0, (len(hidden_BND), -1))
        order = (0, 2, 3, 1, 4) if over_time else (0, 2, 1, 3, 4)
        together_BHNE = torch.cat([first_BH1E, patches_BGHME.permute(order).flatten(2, 3)], dim=2)
        projected: Tensor = self.proj(together_BHNE.transpose(1, 2).flatten(2))
        return projected

    @staticmethod
    def _groups(part_BHNE: Tensor, steps: int, over_time: bool) -> Tensor:
        """Every group with the first token before it [B * groups, heads, 1 + members, E]."""
        patches_BHTPE = part_BHNE[:, :, 1:].unflatten(2, (steps, -1))
        order = (0, 3, 1, 2, 4) if over_time else (0, 2, 1, 3, 4)
        patches_BGHME = patches_BHTPE.permute(order)
        first_BGH1E = part_BHNE[:, None, :, :1].expand(-1, patches_BGHME.shape[1], -1, -1, -1)
        return torch.cat([first_BGH1E, patches_BGHME], dim=3).flatten(0, 1)


class DividedBlock(nn.Module):
    """Attention over time, over space, and a perceptron, each after a norm of its own and added to what was there."""

    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size.width, eps=EPSILON)
        self.attn = DividedAttention(size)
        self.timeattn = DividedAttention(size)
        self.norm2 = nn.LayerNorm(size.width, eps=EPSILON)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(size.width, 4 * size.width), "fc2": nn.Linear(4 * size.width, size.width)}
        )
        self.norm3 = nn.LayerNorm(size.width, eps=EPSILON)

    def forward(self, hidden_BND: Tensor, steps: int) -> Tensor:
        """[B, 1 + steps * places, D] to the same."""
        hidden_BND = hidden_BND + self.timeattn(self.norm3(hidden_BND), steps, over_time=True)
        hidden_BND = hidden_BND + self.attn(self.norm1(hidden_BND), steps, over_time=False)
        changed_BND: Tensor = self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](self.norm2(hidden_BND))))
        return hidden_BND + changed_BND


class PictureStream(nn.Module):
    """Segments of 16 frames to 8 vectors each, one for two frames."""

    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        places = (size.side // PATCH) ** 2
        tube = (TUBE_FRAMES, PATCH, PATCH)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + places, size.width))
        self.temp_embed = nn.Parameter(torch.zeros(1, STEPS, size.width))
        # Part of the file, from the network for still pictures that this one began as; nothing here asks it.
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, size.width, PATCH, PATCH)})
        self.patch_embed_3d = nn.ModuleDict({"proj": nn.Conv3d(3, size.width, tube, tube)})
        self.blocks = nn.ModuleList(DividedBlock(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width, eps=EPSILON)
        self.spatial_attn_agg = Summary(size)

    def forward(self, frames_SCTHW: Tensor) -> Tensor:
        """[S, 8, D] of segments of frames in -1..1 [S, 3, 16, side, side]."""
        patches_STPD = self.patch_embed_3d["proj"](frames_SCTHW).flatten(3).permute(0, 2, 3, 1)
        patches_STPD = patches_STPD + self.pos_embed[:, None, 1:] + self.temp_embed[:, :, None]
        first_S1D = (self.cls_token + self.pos_embed[:, :1]).expand(len(frames_SCTHW), -1, -1)
        hidden_SND = torch.cat([first_S1D, patches_STPD.flatten(1, 2)], dim=1)
        for block in self.blocks:
            hidden_SND = block(hidden_SND, STEPS)
        steps_XPD = self.norm(hidden_SND[:, 1:]).unflatten(1, (STEPS, -1)).flatten(0, 1)
        summaries_XD: Tensor = self.spatial_attn_agg(steps_XPD)
        return summaries_XD.unflatten(0, (len(frames_SCTHW), STEPS))
