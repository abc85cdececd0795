"""The fully unified tri-modal paradigm, for comparison with NAVA: one self-attention over video, audio and text.

Of the paper's three paradigms (its problem setting, arXiv 2605.30073) this is [h_a, h_v, c] = SelfAttn([h_a, h_v, c]):
text rows, timbre among them, are tokens of the joint sequence and change from block to block; there is no
cross-attention. A block has one weight set for all tokens and is a fusion layer without its cross-attention. Text
tokens have no rotary position (their features know their order) and the time of the noisy tokens.

Keeping the modalities apart gives each its own copy of the text tokens, [video | text] and [audio | text]: with one
copy, text would carry the one modality to the other. So a masked pass is the two single-modality passes.

Stem, embeddings, timbre rows and heads are NAVA's. At the released widths 45 blocks make 6.30 billion parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat

import torch
from torch import Tensor, nn

from nava.config.model import ModelConfig, without_layers
from nava.model.attention import Attention, Modality, TokenLayout, attention
from nava.model.backbone import NavaTransformer, TimeEmbedding
from nava.model.blocks import Modulation, feed_forward, gated_sum, modulated_norm
from nava.model.context import BlockContext, Context
from nava.model.initialisation import initialise


class TrimodalLayer(nn.Module):
    """Self-attention over all tokens, then the feed-forward network."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.eps = config.eps
        self.self_attn = Attention(config.dim, config.num_heads, config.eps)
        self.ffn = feed_forward(config.dim, config.ffn_dim)
        self.modulation = Modulation(config.dim)

    def forward(
        self, x_BLD: Tensor, e0_BRKD: Tensor, rotation_LP: Tensor, valid_BL: Tensor | None, num_clean: int
    ) -> Tensor:
        """Map joint tokens [batch, video + audio + text, dim] to new ones of the same shape.

        `valid_BL` marks the tokens that may be attended, if not all; time rows and `num_clean` as in a fusion layer.
        """
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(e0_BRKD)
        y = modulated_norm(x_BLD, shift1, scale1, self.eps, num_clean)
        q, k, v = self.self_attn.project(y, rotation_LP=rotation_LP)
        mask = None if valid_BL is None else valid_BL[:, None, None]
        x_BLD = gated_sum(x_BLD, gate1, self.self_attn.output(attention(q, k, v, mask)), num_clean)
        y = self.ffn(modulated_norm(x_BLD, shift2, scale2, self.eps, num_clean))
        return gated_sum(x_BLD, gate2, y, num_clean)


class Trimodal(NavaTransformer):
    """One self-attention sequence of video, audio and text. Called and prepared like a NavaTransformer."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__(without_layers(config))
        self.config = config
        self.trimodal_blocks = nn.ModuleList(TrimodalLayer(config) for _ in range(config.num_trimodal_layers))
        initialise(self, config, seed)

    def prepare(
        self, text_BND: Tensor, speaker_SE: Tensor | None = None, speaker_slot_S: Tensor | None = None
    ) -> Context:
        """Text and timbre as the tokens that enter the first block; what becomes of them depends on the time."""
        return Context(self._context_rows(text_BND, speaker_SE, speaker_slot_S), ())

    def _block_contexts(
        self, text_BND: Tensor | Context, speaker_SE: Tensor | None, slot_S: Tensor | None, batch: int
    ) -> Iterator[Tensor | BlockContext]:
        contexts = super()._block_contexts(text_BND, speaker_SE, slot_S, batch)
        return repeat(text_BND.expand(batch).rows) if isinstance(text_BND, Context) else contexts

    def _blocks(
        self,
        tokens: dict[Modality, Tensor],
        time: TimeEmbedding,
        contexts: Iterator[Tensor | BlockContext],
        layout: TokenLayout,
    ) -> dict[Modality, Tensor]:
        text_BND = next(contexts)
        assert isinstance(text_BND, Tensor)
        parts = []
        for samples, apart in layout.runs(len(text_BND)):
            run = {m: x[samples] for m, x in tokens.items()}
            times = time.blocks if len(time.blocks) == 1 else time.blocks[samples]
            valid = None if layout.valid is None else layout.valid[samples]
            part = replace(layout, valid=valid, mask_modality=False)
            streams = [{m: x} for m, x in run.items()] if apart else [run]
            done = [self._unified(stream, text_BND[samples], times, part) for stream in streams]
            parts.append({m: x for stream in done for m, x in stream.items()})
        return {m: torch.cat([part[m] for part in parts]) for m in tokens}

    def _unified(
        self, tokens: dict[Modality, Tensor], text_BND: Tensor, e0_BRKD: Tensor, layout: TokenLayout
    ) -> dict[Modality, Tensor]:
        """Run all blocks over [tokens | text]; returns the tokens of the modalities."""
        sizes = [x.shape[1] for x in tokens.values()]
        keep = slice(None) if len(tokens) == 2 else _span(layout, next(iter(tokens)))
        rotation_LP = layout.rotations[keep]
        unrotated_NP = rotation_LP.new_ones(text_BND.shape[1], rotation_LP.shape[1])
        valid_BL = layout.valid
        if valid_BL is not None:
            valid_BL = torch.cat([valid_BL[:, keep], valid_BL.new_ones(text_BND.shape[:2])], dim=1)
        num_clean = layout.num_clean if "video" in tokens else 0
        if not num_clean:
            e0_BRKD = e0_BRKD[:, -1:]
        x_BLD = torch.cat([*tokens.values(), text_BND], dim=1)
        rotation_LP = torch.cat([rotation_LP, unrotated_NP])
        for block in self.trimodal_blocks:
            x_BLD = block(x_BLD, e0_BRKD, rotation_LP, valid_BL, num_clean)
        return dict(zip(tokens, x_BLD.split([*sizes, text_BND.shape[1]], dim=1)))


def _span(layout: TokenLayout, modality: Modality) -> slice:
    return slice(0, layout.num_video) if modality == "video" else slice(layout.num_video, None)
