"""Groups of two and of three processes compute what one does: predictions and gradients."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file

from nava.config.model import ModelConfig
from nava.model.architecture import build_model
from nava.model.sequence_parallel import SequenceParallel
from tests.model.sequence_parallel_process import (
    COMPILED_SIZE,
    EXCHANGES,
    cases,
    inputs,
    outputs_and_gradients,
    small_model,
)

REPOSITORY = Path(__file__).parents[2]
SIZES = [2, 3]


class Group:
    """What the processes of a group wrote."""

    def __init__(self, size: int, folder: Path) -> None:
        self.size = size
        self.ranks = [load_file(folder / f"rank{rank}.safetensors") for rank in range(size)]
        self.messages = [(folder / f"rank{rank}.txt").read_text().splitlines() for rank in range(size)]

    def of(self, prefix: str) -> list[dict[str, torch.Tensor]]:
        start = len(prefix) + 1
        return [{name[start:]: x for name, x in rank.items() if name.startswith(f"{prefix}/")} for rank in self.ranks]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of all groups, by size."""
    path = tmp_path_factory.mktemp("groups")
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.model.sequence_parallel_process", str(path), *map(str, SIZES)]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return path


@pytest.fixture(scope="module", params=SIZES)
def group(request: pytest.FixtureRequest, folder: Path) -> Group:
    return Group(request.param, folder / str(request.param))


def close(got: torch.Tensor, want: torch.Tensor, tolerance: float = 1e-5) -> None:
    error = (got - want).abs().max() / want.abs().max().clamp_min(1e-6)
    assert error < tolerance, f"relative error {error:.2g}"


@pytest.mark.parametrize("case", cases())
def test_group_predicts_and_learns_what_one_process_does(group: Group, case: str) -> None:
    model = small_model()
    outputs, loss = outputs_and_gradients(model, cases()[case])
    loss.backward()
    for results in group.of(case):
        for name, out in outputs.items():
            close(results[name], out)
        for name, parameter in model.named_parameters():
            got = results.get(f"grad/{name}")
            if parameter.grad is None or not parameter.grad.any():
                assert got is None or not got.any(), name
            else:
                assert got is not None, name
                close(got, parameter.grad, 1e-4)


def test_all_processes_hold_the_same(group: Group) -> None:
    first, *others = group.ranks
    for other in others:
        assert first.keys() == other.keys()
        assert all(torch.equal(first[name], other[name]) for name in first)


def test_queries_keys_and_values_travel_together(group: Group) -> None:
    """One exchange before each self-attention and one after it: not one for each of q, k and v."""
    for messages in group.messages:
        for case in cases():
            assert f"{case}: {EXCHANGES} exchanges" in messages


def test_prepared_context(group: Group) -> None:
    with torch.no_grad():
        expected = small_model()(**cases()["timbre"])
    for results in group.of("prepared"):
        close(results["video"], expected[0])
        close(results["audio"], expected[1])


def test_autocast(group: Group) -> None:
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        video = small_model()(**inputs())[0]
    for results in group.of("autocast"):
        assert results["video"].dtype == video.dtype
        close(results["video"].float(), video.float(), 3e-2)


def test_compiled_blocks(folder: Path) -> None:
    """A block is one graph, exchanges and all, in both directions."""
    with torch.no_grad():
        video = small_model(num_hal_layers=0, num_final_hal_layers=0)(**inputs())[0]
    for results in Group(COMPILED_SIZE, folder / str(COMPILED_SIZE)).of("compiled"):
        close(results["video"], video)


def test_removed_it_leaves_the_model_as_it_was(group: Group) -> None:
    with torch.no_grad():
        video = small_model()(**inputs())[0]
    assert "removed: 0 exchanges" in group.messages[0]
    for results in group.of("removed"):
        close(results["video"], video, 1e-6)


def test_heads_that_the_group_does_not_divide_are_refused(group: Group) -> None:
    message = f"5 attention heads cannot be shared evenly by {group.size} processes; use a number of processes that"
    assert any(line.startswith(message) for line in group.messages[0])


@pytest.fixture
def alone():
    """A group of this process only."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@torch.no_grad()
def test_a_group_of_one_changes_nothing(alone: None) -> None:
    model = small_model()
    expected = model(**inputs())
    parallel = SequenceParallel(model)
    assert (parallel.size, parallel.rank) == (1, 0)
    for got, want in zip(model(**inputs()), expected):
        assert torch.equal(got, want)


def test_other_architectures_are_refused(alone: None) -> None:
    for architecture in ("dual_tower", "trimodal"):
        model = build_model(ModelConfig(architecture=architecture))
        with pytest.raises(ValueError, match=f"for align_then_fuse models, not for {architecture}"):
            SequenceParallel(model)


def test_only_the_one_attached_is_removed(alone: None) -> None:
    model = small_model()
    first, second = SequenceParallel(model), SequenceParallel(model)
    first.remove()
    assert model.sharding is second
    second.remove()
    assert model.sharding is None
