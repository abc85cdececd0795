"""Block offload: a model larger than the device. Blocks live on the host and visit the device a group at a time.

Two buffers on the device each hold one group of blocks: while the model computes with one, the next group is copied
into the other. Host memory of a group is one page-locked stretch, so that a group is one copy. Inference only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

# Every tensor starts at a multiple of this in its buffer, as CUDA's own allocations do at least.
_ALIGNMENT_BYTES = 256
_BLOCKS_SUFFIX = "blocks"


def blocks_in_order(model: nn.Module) -> list[nn.Module]:
    """The model's transformer blocks as they run: those of its module lists named `..._blocks`."""
    lists = [
        child
        for name, child in model.named_children()
        if name.endswith(_BLOCKS_SUFFIX) and isinstance(child, nn.ModuleList)
    ]
    return [block for blocks in lists for block in blocks]


def offload_blocks(model: nn.Module, device: torch.device | str, group_size: int = 1) -> Offload:
    """Keep the blocks of a loaded model on the host from now on; everything else moves to `device` and stays there.

    The device then holds the rest of the model and twice the largest group. Parameters and buffers are moved alike,
    so quantised weights are too. Results are the same bit for bit. Do not load weights or train while it lasts.

    Args:
        model: a model with its weights; its blocks are on the host or anywhere else.
        device: where to compute.
        group_size: blocks copied together: more of them make fewer, longer copies and need more device memory.

    Returns:
        The offload: a context manager whose end, like its `remove()`, leaves the blocks on the host as plain tensors.

    Raises:
        ValueError: the group size is below 1, or the model has no blocks, or they are compiled: a graph keeps the
            addresses of its tensors.
    """
    blocks = blocks_in_order(model)
    if group_size < 1:
        raise ValueError(f"group_size is {group_size}; a group has at least 1 block")
    if not blocks:
        raise ValueError(f"{type(model).__name__} has no module list named ..._{_BLOCKS_SUFFIX}")
    if any(block._compiled_call_impl is not None for block in blocks):
        raise ValueError("compiled blocks cannot be offloaded; use the model without compilation")
    device = torch.device(device)
    for name, child in model.named_children():
        if not name.endswith(_BLOCKS_SUFFIX):
            child.to(device)
    return Offload([blocks[i : i + group_size] for i in range(0, len(blocks), group_size)], device)


class _Transfer(Protocol):
    """How bytes reach the device; marks order copies and computation."""

    pin_memory: bool

    def copy(self, target: Tensor, source: Tensor, after: Any) -> Any:
        """Copy once `after` is reached; returns a mark that is reached when the copy is done."""
        ...

    def mark(self) -> Any:
        """A mark that is reached when the computation queued up to now is done."""
        ...

    def wait(self, mark: Any) -> None:
        """Let computation queued from now on wait for `mark`."""
        ...


class _CudaTransfer:
    """Copies on a stream of their own, beside the computation."""

    pin_memory = True

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def copy(self, target: Tensor, source: Tensor, after: Any) -> Any:
        with torch.cuda.stream(self._stream):
            self._stream.wait_event(after)
            target.copy_(source, non_blocking=True)
            # The allocator must not hand this memory out again before the copy is done.
            target.record_stream(self._stream)
            return self._stream.record_event()

    def mark(self) -> Any:
        return torch.cuda.current_stream(self._device).record_event()

    def wait(self, mark: Any) -> None:
        torch.cuda.current_stream(self._device).wait_event(mark)


class _BlockingTransfer:
    """Copies that are done when they return: host to host, or a device without streams."""

    pin_memory = False

    def copy(self, target: Tensor, source: Tensor, after: Any) -> Any:
        target.copy_(source)

    def mark(self) -> Any:
        return None

    def wait(self, mark: Any) -> None:
        return None


@dataclass
class _Slot:
    """A device buffer for one group of blocks."""

    buffer: Tensor
    # Reached when nothing reads the buffer any more, and when its copy is complete.
    free: Any
    ready: Any = None
    group: int | None = None


@dataclass(frozen=True)
class _Entry:
    """A parameter or buffer of a block, and where in the group's stretch of memory it lies."""

    owner: nn.Module
    name: str
    is_parameter: bool
    shape: torch.Size
    dtype: torch.dtype
    start: int
    size: int

    def point_to(self, stretch: Tensor) -> None:
        """Let the module see its tensor in another copy of the group's bytes."""
        view = stretch[self.start : self.start + self.size].view(self.dtype).view(self.shape)
        if self.is_parameter:
            parameter = self.owner._parameters[self.name]
            assert parameter is not None
            parameter.data = view
        else:
            self.owner._buffers[self.name] = view


@dataclass
class _Group:
    """Blocks that travel together: their bytes on the host, and the tensors in them."""

    host: Tensor
    entries: list[_Entry] = field(default_factory=list)

    @classmethod
    @torch.no_grad()
    def of(cls, blocks: list[nn.Module], pin_memory: bool) -> _Group:
        """Move the blocks' tensors into one stretch of host memory."""
        entries, sources, end = [], [], 0
        for module in (module for block in blocks for module in block.modules()):
            for is_parameter, tensors in ((True, module._parameters), (False, module._buffers)):
                for name, tensor in tensors.items():
                    if tensor is None:
                        continue
                    size = tensor.numel() * tensor.element_size()
                    entries.append(_Entry(module, name, is_parameter, tensor.shape, tensor.dtype, end, size))
                    sources.append(tensor)
                    end += -(-size // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
        host = torch.empty(end, dtype=torch.uint8, pin_memory=pin_memory)
        for entry, source in zip(entries, sources):
            host[entry.start : entry.start + entry.size].view(entry.dtype).view(entry.shape).copy_(source)
            # One by one, so that the old tensors are let go as the stretch fills.
            entry.point_to(host)
        return cls(host, entries)

    def point_to(self, stretch: Tensor) -> None:
        """Let all modules of the group see another copy of its bytes."""
        for entry in self.entries:
            entry.point_to(stretch)


class Offload:
    """Blocks of a model that visit the device in groups; made by `offload_blocks`.

    Attributes:
        copies: groups copied to the device so far.
    """

    def __init__(self, groups: list[list[nn.Module]], device: torch.device) -> None:
        self._transfer: _Transfer = _CudaTransfer(device) if device.type == "cuda" else _BlockingTransfer()
        self._groups = [_Group.of(blocks, self._transfer.pin_memory) for blocks in groups]
        size = max(group.host.numel() for group in self._groups)
        buffers = [torch.empty(size, dtype=torch.uint8, device=device) for _ in self._groups[:2]]
        self._slots = [_Slot(buffer, self._transfer.mark()) for buffer in buffers]
        self._current: _Slot | None = None
        self.copies = 0
        self._hooks = [
            module.register_forward_pre_hook(self._hook(index), prepend=True)
            for index, blocks in enumerate(groups)
            for module in _gates(blocks)
        ]

    @property
    def device_bytes(self) -> int:
        """Device memory that all blocks together take."""
        return sum(slot.buffer.numel() for slot in self._slots)

    @property
    def host_bytes(self) -> int:
        """Host memory that holds the blocks."""
        return sum(group.host.numel() for group in self._groups)

    def remove(self) -> None:
        """Let the blocks' tensors be plain host tensors again, and the model run without copies. Twice is harmless."""
        for hook in self._hooks:
            hook.remove()
        for group in self._groups:
            group.point_to(group.host)
        self._hooks, self._slots, self._current = [], [], None

    def __enter__(self) -> Offload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def _hook(self, index: int) -> Any:
        def enter(module: nn.Module, arguments: Any) -> None:
            self._enter(index)

        return enter

    def _enter(self, index: int) -> None:
        if torch.is_grad_enabled():
            # The graph would keep views of a buffer that the next group overwrites: wrong gradients, silently.
            raise RuntimeError("block offload is for inference: call the model under torch.no_grad()")
        if self._current is not None and self._current.group == index:
            return
        if self._current is not None:
            self._current.free = self._transfer.mark()
        slot = self._fetch(index)
        self._transfer.wait(slot.ready)
        self._current = slot
        # After the last group comes the first: the next pass is most likely on its way.
        self._fetch((index + 1) % len(self._groups))

    def _fetch(self, index: int) -> _Slot:
        """The slot that holds a group; starts its copy if none does."""
        for slot in self._slots:
            if slot.group == index:
                return slot
        slot = next(slot for slot in self._slots if slot is not self._current or len(self._slots) == 1)
        if slot.group is not None:
            evicted = self._groups[slot.group]
            evicted.point_to(evicted.host)
        group = self._groups[index]
        slot.ready = self._transfer.copy(slot.buffer[: group.host.numel()], group.host, slot.free)
        slot.group = index
        group.point_to(slot.buffer)
        self.copies += 1
        return slot


def _gates(blocks: list[nn.Module]) -> list[nn.Module]:
    """Modules whose call means that the group is needed: the blocks, and any part of them that has tensors of its own.

    The parts are called without their block when keys and values of the context are prepared.
    """
    parts = [module for block in blocks for module in block.modules() if module._parameters or module._buffers]
    return list(dict.fromkeys([*blocks, *parts]))
