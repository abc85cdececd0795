"""Memory for batches that is used again: fresh memory costs the kernel more than reading a batch from the page cache.

A block is given out again once no tensor refers to it, which its reference count says; whoever keeps a batch, or a view
of one, keeps its memory. Blocks are large anonymous mappings, in huge pages where the system has them.
"""

import math
import mmap
import sys
import threading
from collections.abc import Sequence

import torch
from torch import Tensor

# Smaller tensors come from the allocator, which keeps such memory at hand itself.
MIN_BYTES = 1 << 16
KEPT_BYTES = 1 << 30
_PAGE = 1 << 21


class BatchMemory:
    """Blocks by size. Several threads may ask at once.

    Args:
        kept_bytes: how much is kept to be used again; beyond it, memory is given out once and then freed.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._blocks: dict[int, list[mmap.mmap]] = {}
        self._lock = threading.Lock()

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor; nobody else refers to its memory."""
        size = math.prod(shape) * dtype.itemsize
        if size < MIN_BYTES:
            return torch.empty(tuple(shape), dtype=dtype)
        with self._lock:
            block = self._free_block(-(-size // _PAGE) * _PAGE if size > _PAGE else -(-size // MIN_BYTES) * MIN_BYTES)
            return torch.frombuffer(block, dtype=dtype, count=math.prod(shape)).view(tuple(shape))

    @property
    def bytes(self) -> int:
        """Size of the blocks that are kept, in use or not."""
        return sum(size * len(blocks) for size, blocks in self._blocks.items())

    def _free_block(self, size: int) -> mmap.mmap:
        kept = self._blocks.setdefault(size, [])
        for index in range(len(kept)):
            # The list and this call refer to a block that is free, and nothing else.
            if sys.getrefcount(kept[index]) == 2:
                return kept[index]
        block = mmap.mmap(-1, size)
        if hasattr(mmap, "MADV_HUGEPAGE") and size >= _PAGE:
            block.madvise(mmap.MADV_HUGEPAGE)
        if self._make_room(size):
            kept.append(block)
        return block

    def _make_room(self, size: int) -> bool:
        """Forget free blocks of other sizes until another one fits."""
        for other, blocks in list(self._blocks.items()):
            index = 0
            while index < len(blocks) and self.bytes + size > self._kept_bytes and other != size:
                if sys.getrefcount(blocks[index]) == 2:
                    del blocks[index]
                else:
                    index += 1
        return self.bytes + size <= self._kept_bytes
