"""What Synchformer hears: the Audio Spectrogram Transformer (arXiv 2104.01778) over log-mel pictures of 0.64 s.

Tensor names are those of transformers' `ASTModel` 4.27, which the published code copied.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nava.evaluation.backends.synchformer_input import MEL_BINS, MEL_FRAMES
from nava.evaluation.backends.synchformer_layers import Summary, SynchformerSize, attended

PATCH, STRIDE = 16, 10
BANDS, STEPS = ((length - PATCH) // STRIDE + 1 for length in (MEL_BINS, MEL_FRAMES))
_EPSILON = 1e-12


class _Embeddings(nn.Module):
    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 2 + BANDS * STEPS, size.width))
        self.patch_embeddings = nn.ModuleDict({"projection": nn.Conv2d(1, size.width, PATCH, STRIDE)})

    def forward(self, mel_SMT: Tensor) -> Tensor:
        patches_SND = self.patch_embeddings["projection"](mel_SMT[:, None]).flatten(2).transpose(1, 2)
        first_S2D = torch.cat([self.cls_token, self.distillation_token], dim=1).expand(len(mel_SMT), -1, -1)
        return torch.cat([first_S2D, patches_SND], dim=1) + self.position_embeddings


class _Projections(nn.Module):
    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        self._heads = size.heads
        self.query = nn.Linear(size.width, size.width)
        self.key = nn.Linear(size.width, size.width)
        self.value = nn.Linear(size.width, size.width)

    def forward(self, hidden_BND: Tensor) -> Tensor:
        return attended(self.query(hidden_BND), self.key(hidden_BND), self.value(hidden_BND), self._heads)


def _dense(inputs: int, outputs: int) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(inputs, outputs)})


class _Layer(nn.Module):
    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        self.attention = nn.ModuleDict({"attention": _Projections(size), "output": _dense(size.width, size.width)})
        self.intermediate = _dense(size.width, 4 * size.width)
        self.output = _dense(4 * size.width, size.width)
        self.layernorm_before = nn.LayerNorm(size.width, eps=_EPSILON)
        self.layernorm_after = nn.LayerNorm(size.width, eps=_EPSILON)

    def forward(self, hidden_BND: Tensor) -> Tensor:
        heard_BND = self.attention["attention"](self.layernorm_before(hidden_BND))
        hidden_BND = hidden_BND + self.attention.get_submodule("output.dense")(heard_BND)
        inner_BND = nn.functional.gelu(self.intermediate["dense"](self.layernorm_after(hidden_BND)))
        changed_BND: Tensor = self.output["dense"](inner_BND)
        return hidden_BND + changed_BND


class _Spectrogram(nn.Module):
    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        self.embeddings = _Embeddings(size)
        self.encoder = nn.ModuleDict({"layer": nn.Sequential(*(_Layer(size) for _ in range(size.layers)))})
        self.layernorm = nn.LayerNorm(size.width, eps=_EPSILON)

    def forward(self, mel_SMT: Tensor) -> Tensor:
        hidden_SND: Tensor = self.layernorm(self.encoder["layer"](self.embeddings(mel_SMT)))
        return hidden_SND


class SoundStream(nn.Module):
    """Segments of 66 columns of log-mel to 6 vectors each."""

    def __init__(self, size: SynchformerSize) -> None:
        super().__init__()
        self.ast = _Spectrogram(size)
        self.freq_attn_agg = Summary(size)

    def forward(self, mel_SMT: Tensor) -> Tensor:
        """[S, 6, D] of log-mel pictures [S, 128, 66]."""
        patches_SFTD = self.ast(mel_SMT)[:, 2:].unflatten(1, (BANDS, STEPS))
        summaries_XD: Tensor = self.freq_attn_agg(patches_SFTD.transpose(1, 2).flatten(0, 1))
        return summaries_XD.unflatten(0, (len(mel_SMT), STEPS))
