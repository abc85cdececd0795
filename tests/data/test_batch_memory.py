"""Memory of batches: used again when nobody has it any more, and never before."""

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from nava.data.batch_memory import MIN_BYTES, BatchMemory

SHAPE = (MIN_BYTES // 4,)


def test_memory_is_used_again_once_it_is_free() -> None:
    memory = BatchMemory()
    first = memory.empty(SHAPE, torch.float32)
    place = first.data_ptr()
    second = memory.empty(SHAPE, torch.float32)
    assert second.data_ptr() != place
    del first
    assert memory.empty(SHAPE, torch.float32).data_ptr() == place
    assert memory.bytes == 2 * MIN_BYTES


@pytest.mark.parametrize(
    "keep",
    [
        lambda tensor: tensor[3:5],
        lambda tensor: tensor.view(2, -1),
        lambda tensor: tensor.numpy(),
        lambda tensor: tensor.detach(),
        lambda tensor: tensor.untyped_storage(),
        lambda tensor: memoryview(tensor.numpy()),
    ],
)
def test_whoever_keeps_a_part_keeps_the_memory(keep: object) -> None:
    memory = BatchMemory()
    tensor = memory.empty(SHAPE, torch.float32)
    place, kept = tensor.data_ptr(), keep(tensor)  # type: ignore[operator]
    del tensor
    gc.collect()
    assert memory.empty(SHAPE, torch.float32).data_ptr() != place
    del kept
    gc.collect()
    assert memory.empty(SHAPE, torch.float32).data_ptr() == place


def test_a_graph_that_needs_a_tensor_keeps_its_memory() -> None:
    memory = BatchMemory()
    weight = torch.ones(SHAPE, requires_grad=True)
    tensor = memory.empty(SHAPE, torch.float32).fill_(3)
    loss = (weight * tensor).sum()
    del tensor
    memory.empty(SHAPE, torch.float32).fill_(7)
    loss.backward()
    assert weight.grad.eq(3).all()


def test_no_more_is_kept_than_allowed_and_other_sizes_make_room() -> None:
    memory = BatchMemory(kept_bytes=2 * MIN_BYTES)
    tensors = [memory.empty(SHAPE, torch.float32) for _ in range(5)]
    assert memory.bytes == 2 * MIN_BYTES
    assert len({tensor.data_ptr() for tensor in tensors}) == 5
    del tensors
    memory.empty((MIN_BYTES // 2,), torch.float32)
    assert memory.bytes == 2 * MIN_BYTES


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((3, 5), torch.float32), ((300, 211, 3), torch.bfloat16), ((2, 2**20), torch.float32), ((0, 4), torch.float32)],
)
def test_tensors_have_the_shape_and_type_that_were_asked_for(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    tensor = BatchMemory().empty(shape, dtype)
    assert (tensor.shape, tensor.dtype, tensor.is_contiguous()) == (shape, dtype, True)
    assert tensor.fill_(2).sum() == 2 * tensor.numel()


def test_threads_never_get_the_same_memory() -> None:
    memory = BatchMemory()

    def fill(number: int) -> bool:
        tensor = memory.empty(SHAPE, torch.float32).fill_(number)
        return bool(tensor.eq(number).all() and tensor.clone().eq(number).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(fill, range(400)))
