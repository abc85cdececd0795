"""Ulysses sequence parallelism: one pass of the model shared by the processes of a group, in inference and training.

Each process holds a share of the video tokens and a share of the audio tokens through all blocks. For self-attention
the processes exchange queries, keys and values in one all-to-all, after which each has all tokens of its share of the
heads, and its result in another one. The method is of DeepSpeed-Ulysses (arXiv 2309.14509).

Every process calls the model with the same inputs and gets the whole prediction. Gradients: each collective's backward
is its adjoint, so that after backward the *mean* over the group is the gradient of one process. Data-parallel engines
(DDP, ZeRO) take that mean anyway; a plain loop calls `average_gradients`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import pad

from nava.model.attention import Modality, TokenLayout
from nava.model.backbone import NavaTransformer, TimeEmbedding


class SequenceParallel:
    """Shares the tokens of a model's passes over a process group, from its construction until `remove`.

    Weights, state dict and the way to call the model stay as they are; weights must be the same on all processes.
    Attributes:
        size, rank: processes in the group, and this one's number in it.
    """

    def __init__(self, model: NavaTransformer, group: dist.ProcessGroup | None = None) -> None:
        """Attach to `model`. `group` is the default one if not given.

        Raises:
            ValueError: the heads cannot be shared evenly, or the architecture is not align_then_fuse.
        """
        if model.config.architecture != "align_then_fuse":
            raise ValueError(f"sequence parallelism is for align_then_fuse models, not for {model.config.architecture}")
        self.group = group
        self.size, self.rank = dist.get_world_size(group), dist.get_rank(group)
        if model.config.num_heads % self.size:
            raise ValueError(
                f"{model.config.num_heads} attention heads cannot be shared evenly by {self.size} processes; "
                f"use a number of processes that divides {model.config.num_heads}"
            )
        self._model = model
        model.sharding = self

    def remove(self) -> None:
        """Let the model run whole passes in this process again."""
        if self._model.sharding is self:
            self._model.sharding = None

    def scatter(
        self, tokens: dict[Modality, Tensor], time: TimeEmbedding, layout: TokenLayout
    ) -> tuple[dict[Modality, Tensor], TimeEmbedding, TokenLayout]:
        """This process's share: a stretch of each modality's tokens, padded to the same length on all processes."""
        shares = {m: self._share(x) for m, x in tokens.items()}
        lengths = {m: x.shape[1] for m, x in shares.items()}
        num_video = lengths.get("video", 0)
        # Rotations are shared like tokens; those of padding do not matter.
        rotations = [self._share(layout.rotation(m)[None])[0] for m in tokens]
        clean = min(max(layout.num_clean - self.rank * num_video, 0), num_video)
        share = _ShardedLayout(
            num_video=num_video,
            num_audio=lengths.get("audio", 0),
            rotations=torch.cat(rotations),
            num_clean=clean,
            whole=layout,
            parallel=self,
        )
        return shares, time if clean else time.noisy(), share

    def gather(self, share_BLC: Tensor, length: int) -> Tensor:
        """All `length` tokens of a modality on every process; padding is cut off."""
        parts_RBLC: Tensor = _Gather.apply(share_BLC, self.group)
        return parts_RBLC.transpose(0, 1).flatten(1, 2)[:, :length]

    def average_gradients(self) -> None:
        """Replace each gradient by its mean over the group; a parameter that only some processes used counts as zero.

        Call it on all processes after backward, unless a data-parallel engine averages over them.
        """
        gradients = []
        for parameter in self._model.parameters():
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
        if not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat, group=self.group)
        flat /= self.size
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients])):
            gradient.copy_(mean.view_as(gradient))

    def _share(self, x_BLX: Tensor) -> Tensor:
        """This process's stretch of a sequence that is padded with zeros to a multiple of the group's size."""
        length = self.padded(x_BLX.shape[1]) // self.size
        start = min(self.rank * length, x_BLX.shape[1])
        share = x_BLX[:, start : start + length]
        return _padded(share, length)

    def padded(self, length: int) -> int:
        """The least multiple of the group's size that holds `length` tokens."""
        return -(-length // self.size) * self.size


@dataclass(frozen=True, kw_only=True)
class _ShardedLayout(TokenLayout):
    """The layout of one process's share, whose attention is over the whole sequence.

    Masks are those of the whole; the share's own `valid` and `mask_modality` are not used.
    """

    whole: TokenLayout
    parallel: SequenceParallel

    def attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor) -> Tensor:
        """Attention of this share's queries to the whole sequence, [batch, share's length, heads, head_dim]."""
        size, group = self.parallel.size, self.parallel.group
        # [to process, q k v, batch, share, heads / size, head_dim]: the heads of each process side by side.
        send = torch.stack([_heads_first(x, size) for x in (q_BLHD, k_BLHD, v_BLHD)], dim=1)
        received: Tensor = _Exchange.apply(send, group)
        q, k, v = self._join(received).unbind(0)
        attended_BLHD = self.whole.attend(q, k, v)
        back: Tensor = _Exchange.apply(self._split(attended_BLHD), group)
        # [from process, batch, share, heads / size, head_dim]: heads come back in the order of processes.
        return back.permute(1, 2, 0, 3, 4).flatten(2, 3)

    def _join(self, share_RXBLHD: Tensor) -> Tensor:
        """Shares of all processes as the whole sequence [video | audio], without padding."""
        parts = share_RXBLHD.split([self.num_video, self.num_audio], dim=3)
        sequences = [part.permute(1, 2, 0, 3, 4, 5).flatten(2, 3) for part in parts]
        lengths = (self.whole.num_video, self.whole.num_audio)
        return torch.cat([x[:, :, :length] for x, length in zip(sequences, lengths)], dim=2)

    def _split(self, x_BLHD: Tensor) -> Tensor:
        """The whole sequence as the shares of all processes, [process, batch, share, heads, head_dim]."""
        parts = x_BLHD.split([self.whole.num_video, self.whole.num_audio], dim=1)
        size = self.parallel.size
        shares = [
            _padded(part, share * size).unflatten(1, (size, share))
            for part, share in zip(parts, (self.num_video, self.num_audio))
            if share
        ]
        return torch.cat(shares, dim=2).transpose(0, 1).contiguous()


def _heads_first(x_BLHD: Tensor, size: int) -> Tensor:
    """[batch, length, heads, head_dim] as [process, batch, length, heads / processes, head_dim]."""
    return x_BLHD.unflatten(2, (size, -1)).permute(2, 0, 1, 3, 4)


def _padded(x_BLX: Tensor, length: int) -> Tensor:
    missing = length - x_BLX.shape[1]
    return pad(x_BLX, (0, 0) * (x_BLX.dim() - 2) + (0, missing)) if missing else x_BLX


class _Exchange(torch.autograd.Function):
    """All-to-all along the first axis: element i goes to process i. It is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        ctx.group = group
        out = torch.empty_like(x)
        dist.all_to_all_single(out, x, group=group)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _Exchange.apply(gradients[0].contiguous(), ctx.group), None


class _Gather(torch.autograd.Function):
    """Every process's tensor, stacked, on every process. Its adjoint sums what the processes make of their copies."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        ctx.group = group
        size = dist.get_world_size(group)
        # Stacked along the first axis of `x`, which is what all backends take.
        out = x.new_empty(size * x.shape[0], *x.shape[1:])
        dist.all_gather_single(out, x.contiguous(), group=group)
        return out.unflatten(0, (size, -1))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=ctx.group)
        return total[dist.get_rank(ctx.group)], None
