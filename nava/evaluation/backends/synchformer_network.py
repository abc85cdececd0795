"""Synchformer (arXiv 2401.16423): which of 21 offsets, 0.2 s apart, is between picture and sound.

Section 1.3 of the evaluation reference. Structure, constants and tensor names were read in the code of
v-iashin/Synchformer and of hkchengrex/av-benchmark; no file of weights was at hand, so that **no single name has been
seen in the file** of the published run 24-01-04T16-39-21. What speaks for them:

- av-benchmark loads `synchformer_state_dict.pth` strictly into modules of these names, `vfeat_extractor.patch_embed`,
  which computes nothing, among them;
- others list that file with 950,058,171 bytes: 4 for each of the 237,460,245 parameters here, and 0.02 % besides;
- a port of the picture stream to another language asks the file for `vfeat_extractor.{cls_token, pos_embed, temp_embed,
  patch_embed_3d, blocks, norm, spatial_attn_agg}` of the shapes here.

Known from the code alone: all of `afeat_extractor.*` and `transformer.*`, `vproj` and `aproj`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nava.evaluation.backends import synchformer_picture, synchformer_sound
from nava.evaluation.backends.synchformer_layers import SynchformerSize, attended


class _Attention(nn.Module):
    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        self._heads = size.sync_heads
        self.key = nn.Linear(size.width, size.width)
        self.query = nn.Linear(size.width, size.width)
        self.value = nn.Linear(size.width, size.width)
        self.proj = nn.Linear(size.width, size.width)

    def forward(self, hidden_BND: Tensor) -> Tensor:
        heard_BND = attended(self.query(hidden_BND), self.key(hidden_BND), self.value(hidden_BND), self._heads)
        projected: Tensor = self.proj(heard_BND)
        return projected


class _Block(nn.Module):
    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(size.width)
        self.ln2 = nn.LayerNorm(size.width)
        self.attn = _Attention(size)
        self.mlp = nn.Sequential(
            nn.Linear(size.width, 4 * size.width), nn.GELU(), nn.Linear(4 * size.width, size.width)
        )

    def forward(self, hidden_BND: Tensor) -> Tensor:
        hidden_BND = hidden_BND + self.attn(self.ln1(hidden_BND))
        changed_BND: Tensor = self.mlp(self.ln2(hidden_BND))
        return hidden_BND + changed_BND


class _Positions(nn.Module):
    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.pos_emb = nn.Parameter(torch.zeros(1, length, width))


class SyncTransformer(nn.Module):
    """One sequence of both streams: an offset token, the picture, a token between, the sound."""

    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        length = 2 + size.segments * (synchformer_picture.STEPS + synchformer_sound.STEPS)
        self.vis_in_lnorm = nn.LayerNorm(size.width)
        self.aud_in_lnorm = nn.LayerNorm(size.width)
        self.OFF_tok = nn.Parameter(torch.zeros(1, 1, size.width))
        self.MOD_tok = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_emb_cfg = _Positions(length, size.width)
        self.blocks = nn.Sequential(*(_Block(size) for _ in range(size.sync_layers)))
        self.ln_f = nn.LayerNorm(size.width)
        self.off_head = nn.Linear(size.width, size.classes)

    def forward(self, picture_BVD: Tensor, sound_BAD: Tensor) -> Tensor:
        """Logits [B, K] of all vectors of a window, segment after segment."""
        between = [token_11D.expand(len(picture_BVD), -1, -1) for token_11D in (self.OFF_tok, self.MOD_tok)]
        parts = [between[0], self.vis_in_lnorm(picture_BVD), between[1], self.aud_in_lnorm(sound_BAD)]
        hidden_BND = self.blocks(torch.cat(parts, dim=1) + self.pos_emb_cfg.pos_emb)
        logits_BK: Tensor = self.off_head(self.ln_f(hidden_BND)[:, 0])
        return logits_BK


class SynchformerNetwork(nn.Module):
    """Both streams and what compares them."""

    def __init__(self, size: SynchformerSize | None = None) -> None:
        super().__init__()
        size = size or SynchformerSize()
        self.vfeat_extractor = synchformer_picture.PictureStream(size)
        self.afeat_extractor = synchformer_sound.SoundStream(size)
        self.vproj = nn.Linear(size.width, size.width)
        self.aproj = nn.Linear(size.width, size.width)
        self.transformer = SyncTransformer(size)

    def see(self, frames_SCTHW: Tensor) -> Tensor:
        """[S, 8, D] of segments of frames in -1..1 [S, 3, 16, side, side]."""
        seen_STD: Tensor = self.vfeat_extractor(frames_SCTHW)
        return seen_STD

    def hear(self, mel_SMT: Tensor) -> Tensor:
        """[S, 6, D] of log-mel pictures [S, 128, 66]."""
        heard_STD: Tensor = self.afeat_extractor(mel_SMT)
        return heard_STD

    def offset_logits(self, seen_STD: Tensor, heard_STD: Tensor) -> Tensor:
        """Logits [21] of a window: of 14 segments what was seen [14, 8, D] and heard [14, 6, D]."""
        logits_1K: Tensor = self.transformer(
            self.vproj(seen_STD).flatten(0, 1)[None], self.aproj(heard_STD).flatten(0, 1)[None]
        )
        return logits_1K[0]
