"""What a forward pass computes on its way, read off the modules that the state dict names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nava.evaluation.parity.comparison import Pair
from nava.evaluation.parity.golden_set import Case

_BLOCKS = ("double_blocks", "single_blocks", "double_final_blocks")
_PARTS = 6


class HiddenStates:
    """Records one forward pass while it is entered: block inputs and outputs, context rows, time embeddings."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._handles: list[Any] = []
        self._tokens: dict[str, Tensor] = {}
        self._context: Tensor | None = None
        self._time_rows: list[Tensor] = []

    def __enter__(self) -> HiddenStates:
        """Listen to the model."""
        blocks = [(f"{part}.{i}", b) for part in _BLOCKS for i, b in enumerate(getattr(self._model, part))]
        for number, (name, block) in enumerate(blocks):
            if not number:
                self._handles.append(block.register_forward_pre_hook(self._first_input, with_kwargs=True))
                self._listen_to_context(block)
            self._handles.append(block.register_forward_hook(self._output(f"{name}.out")))
        projection = self._model.get_submodule("time_projection")
        self._handles.append(projection.register_forward_hook(self._time))
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the model as it was."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def pairs(
        self,
        case: Case,
        video_sizes: Sequence[tuple[int, int, int]],
        audio_lengths: Sequence[int],
        patch: tuple[int, int, int],
    ) -> Iterator[Pair]:
        """What was recorded beside the case's `mid.*`; only positions that hold a sample's own tokens count."""
        grids = [tuple(-(-size // step) for size, step in zip(sizes, patch)) for sizes in video_sizes]
        ours = _valid_tokens(grids, audio_lengths, _largest(grids))
        theirs = _valid_tokens([(_volume(grid), 1, 1) for grid in grids], audio_lengths, _longest(case, grids))
        for name in case.tensors:
            if name in ("mid.e0_vid", "mid.e0_audio"):
                lengths = [_volume(grid) for grid in grids] if name == "mid.e0_vid" else audio_lengths
                yield self._time_pair(name, case.tensors[name], lengths)
            elif name == "mid.context" and self._context is not None:
                yield Pair(name, self._context, case.tensors[name])
            elif name.startswith("mid.") and name.removeprefix("mid.") in self._tokens:
                tokens = self._tokens[name.removeprefix("mid.")]
                yield Pair(name, _select(tokens, ours), _select(case.tensors[name], theirs))

    def _first_input(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._tokens["tokens_in"] = _joint(args[0] if args else next(iter(kwargs.values())))

    def _output(self, name: str) -> Any:
        def hook(_: nn.Module, __: tuple[Any, ...], output: Any) -> None:
            self._tokens[name] = _joint(output)

        return hook

    def _listen_to_context(self, block: nn.Module) -> None:
        """The rows that cross-attention reads: what the first block's key projection is given."""

        def hook(_: nn.Module, args: tuple[Any, ...]) -> None:
            self._context = args[0].detach()

        for name, module in block.named_modules():
            if name in ("cross_attn.k", "cross_attn.k_audio"):
                self._handles.append(module.register_forward_pre_hook(hook))

    def _time(self, _: nn.Module, __: tuple[Any, ...], output: Tensor) -> None:
        self._time_rows.append(output.detach().reshape(-1, _PARTS, output.shape[-1] // _PARTS))

    def _time_pair(self, name: str, expected: Tensor, lengths: Sequence[int]) -> Pair:
        """The golden file has a time embedding per token; here the few different ones are computed once.

        Each token's is compared with the nearest of those; which token got which shows in the blocks' outputs.
        """
        wanted = torch.cat([sample[:length] for sample, length in zip(expected, lengths)])
        rows = torch.cat(self._time_rows) if self._time_rows else wanted.new_full((1, *wanted.shape[1:]), torch.nan)
        nearest = torch.cdist(wanted.flatten(1), rows.flatten(1)).nan_to_num(nan=torch.inf).argmin(dim=1)
        return Pair(name, rows[nearest], wanted)


def _joint(tokens: Any) -> Tensor:
    """Tokens [batch, video + audio, dim], however the block passes them."""
    if isinstance(tokens, Tensor):
        return tokens.detach()
    parts = list(tokens.values()) if isinstance(tokens, Mapping) else list(tokens)
    return torch.cat([part.detach() for part in parts if part is not None], dim=1)


def _volume(grid: Sequence[int]) -> int:
    return grid[0] * grid[1] * grid[2]


def _largest(grids: Sequence[Sequence[int]]) -> tuple[int, int, int]:
    """The patch grid of a padded batch."""
    return tuple(max((grid[axis] for grid in grids), default=0) for axis in range(3))  # type: ignore[return-value]


def _longest(case: Case, grids: Sequence[Sequence[int]]) -> tuple[int, int, int]:
    """The released code pads a batch's video tokens as one sequence, to the length that the case states."""
    longest = max((_volume(grid) for grid in grids), default=0)
    return (case.meta.get("vid_seq_len") or longest, 1, 1)


def _valid_tokens(
    grids: Sequence[Sequence[int]], audio_lengths: Sequence[int], padded: tuple[int, int, int]
) -> list[Tensor]:
    """For each sample the positions of its own tokens in the padded joint sequence, video before audio."""
    found = []
    for sample in range(max(len(grids), len(audio_lengths))):
        index = torch.arange(_volume(padded)).reshape(padded)
        frames, height, width = grids[sample] if grids else (0, 0, 0)
        own = [index[:frames, :height, :width].flatten()]
        if audio_lengths:
            own.append(_volume(padded) + torch.arange(audio_lengths[sample]))
        found.append(torch.cat(own))
    return found


def _select(tokens_BLD: Tensor, own: Sequence[Tensor]) -> Tensor:
    return torch.cat([tokens_BLD[sample, index] for sample, index in enumerate(own)])
