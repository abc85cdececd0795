"""The dual-tower paradigm, for comparison with NAVA: two towers, aligned after each has seen the context.

Of the paper's three paradigms this is the one with posterior alignment (its problem setting, arXiv 2605.30073): each
stream attends to the context first, h'_m = CrossAttn(h_m, c), then the streams to each other,
CrossModalAttn(h'_a, h'_v). As in Ovi (arXiv 2510.01284) the towers are twins of equal width, exchange in every block
and in both directions, and put both modalities on one time axis by scaled rotary positions. Not taken from Ovi: its
cross-modal attention shares the query and output projections of the context attention; here it has its own, as the
formula says.

Stem, embeddings, timbre rows and heads are NAVA's. At the released widths 14 blocks per tower make 6.27 billion
parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from nava.config.model import ModelConfig, without_layers
from nava.model.attention import Attention, Modality, TokenLayout, attention
from nava.model.backbone import NavaTransformer, TimeEmbedding
from nava.model.blocks import HierarchicalAlignmentLayer, gated_sum, modulated_norm
from nava.model.context import BlockContext
from nava.model.initialisation import initialise
from nava.model.rope import apply_rope

_OTHER: dict[Modality, Modality] = {"video": "audio", "audio": "video"}


class TwinLayer(HierarchicalAlignmentLayer):
    """A block of both towers: self-attention, context, the other tower, feed-forward network.

    All weights are per tower: those of an alignment layer with split norm and network, and those of the cross-modal
    attention. Each tower is a stream, its audio modules named `..._audio`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(replace(config, split_norm_ffn=True))
        self.norm_cross_modal = nn.LayerNorm(config.dim, eps=config.eps)
        self.norm_cross_modal_audio = nn.LayerNorm(config.dim, eps=config.eps)
        self.cross_modal_attn = Attention(config.dim, config.num_heads, config.eps, ("video", "audio"))

    def forward(
        self,
        tokens: dict[Modality, Tensor],
        e0: dict[Modality, Tensor],
        context: Tensor | BlockContext,
        layout: TokenLayout,
    ) -> dict[Modality, Tensor]:
        """Map the tokens of each modality present to new ones; arguments as in an alignment layer.

        Masking the modality switches the cross-modal attention off: each tower is then on its own.
        """
        parameters = {m: self._modulation(m)(e0[m]) for m in tokens}
        # Self-attention stays within the tower, whatever the mask.
        attended = self._attend(tokens, parameters, replace(layout, mask_modality=True))
        conditioned: dict[Modality, Tensor] = {}
        for m, x in tokens.items():
            norm3 = self.norm3_audio if m == "audio" else self.norm3
            x = gated_sum(x, parameters[m][2], attended[m], _num_clean(layout, m))
            conditioned[m] = x + self.cross_attn.cross(norm3(x), context, m)
        aligned = self._align(conditioned, layout)
        out: dict[Modality, Tensor] = {}
        for m, x in aligned.items():
            _, _, _, shift2, scale2, gate2 = parameters[m]
            ffn, num_clean = self.ffn_audio if m == "audio" else self.ffn, _num_clean(layout, m)
            out[m] = gated_sum(x, gate2, ffn(modulated_norm(x, shift2, scale2, self.eps, num_clean)), num_clean)
        return out

    def _align(self, tokens: dict[Modality, Tensor], layout: TokenLayout) -> dict[Modality, Tensor]:
        """Add to each tower what it finds in the other one, where the modalities are not kept apart."""
        samples = _joint_samples(layout, len(next(iter(tokens.values()))))
        if len(tokens) == 1 or samples == []:
            return tokens
        if samples is None:
            found = self._found(tokens, layout, layout.valid)
            return {m: x + found[m] for m, x in tokens.items()}
        valid = None if layout.valid is None else layout.valid[samples]
        found = self._found({m: x[samples] for m, x in tokens.items()}, layout, valid)
        index_S = torch.tensor(samples, device=layout.rotations.device)
        return {m: x.index_add(0, index_S, found[m].to(x.dtype)) for m, x in tokens.items()}

    def _found(
        self, tokens: dict[Modality, Tensor], layout: TokenLayout, valid_BL: Tensor | None
    ) -> dict[Modality, Tensor]:
        """Attention of each tower's tokens to the valid tokens of the other, both seen as they were before it."""
        sizes = {"video": layout.num_video, "audio": layout.num_audio}
        masks = {} if valid_BL is None else dict(zip(sizes, valid_BL.split(list(sizes.values()), dim=1)))
        norms = {"video": self.norm_cross_modal, "audio": self.norm_cross_modal_audio}
        normed = {m: norms[m](x) for m, x in tokens.items()}
        found: dict[Modality, Tensor] = {}
        for m, other in _OTHER.items():
            query = apply_rope(self.cross_modal_attn.queries(normed[m], m), layout.rotation(m))
            key, value = self.cross_modal_attn.key_values(normed[other], m)
            mask = masks[other][:, None, None] if masks else None
            out = attention(query, apply_rope(key, layout.rotation(other)), value, mask)
            found[m] = self.cross_modal_attn.output(out, m)
        return found


class DualTower(NavaTransformer):
    """Two towers with cross-modal attention in every block. Called and prepared like a NavaTransformer."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__(without_layers(config))
        self.config = config
        self.tower_blocks = nn.ModuleList(TwinLayer(config) for _ in range(config.num_tower_layers))
        initialise(self, config, seed)

    def _all_blocks(self) -> Iterator[TwinLayer]:
        for block in self.tower_blocks:
            assert isinstance(block, TwinLayer)
            yield block

    def _blocks(
        self,
        tokens: dict[Modality, Tensor],
        time: TimeEmbedding,
        contexts: Iterator[Tensor | BlockContext],
        layout: TokenLayout,
    ) -> dict[Modality, Tensor]:
        e0: dict[Modality, Tensor] = {"video": time.blocks, "audio": time.noisy().blocks}
        for block in self._all_blocks():
            tokens = block(tokens, e0, next(contexts), layout)
        return tokens


def _num_clean(layout: TokenLayout, modality: Modality) -> int:
    return layout.num_clean if modality == "video" else 0


def _joint_samples(layout: TokenLayout, batch: int) -> list[int] | None:
    """Samples whose modalities may meet; None for all of them."""
    samples = [sample for run, apart in layout.runs(batch) if not apart for sample in range(batch)[run]]
    return None if len(samples) == batch else samples
