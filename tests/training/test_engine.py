"""DeepSpeed takes the same steps as the plain loop, saves and loads them, and unpickles nothing it should not."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nava.training.engine import Engine, PlainEngine, create_engine
from nava.training.state_file import Snapshot, StateFiles, state_file
from nava.training.world import World, join_world
from tests.training.latents_in_memory import tiny_training

CONFIG = tiny_training(learning_rate=1e-2, gradient_clip=0.5)


class TwoHeads(nn.Module):
    """A trunk and two heads, one of which some steps leave out, as audio-only steps do with the video's weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(6, 8)
        self.heads = nn.ModuleList([nn.Linear(8, 4), nn.Linear(8, 4)])

    def forward(self, x: Tensor, both: bool) -> Tensor:
        hidden = self.trunk(x).tanh()
        return sum(head(hidden).square().mean() for head in (self.heads if both else self.heads[:1]))


def train(engine: Engine, first: int, last: int, accumulation: int = 1) -> list[tuple[float, float]]:
    """(loss, gradient norm) of each step; inputs depend on the step's number only."""
    rows = []
    for step in range(first, last):
        seen: list[float] = []

        def losses(step: int = step, seen: list[float] = seen):
            for place in range(accumulation):
                generator = torch.Generator().manual_seed(100 * step + place)
                loss = engine.model(1.0 + torch.randn(5, 6, generator=generator), both=step % 3 == 0)
                seen.append(loss.item())
                yield loss

        norm = engine.update(losses(), learning_rate=1e-2 / (1 + step))
        rows.append((sum(seen) / accumulation, norm))
    return rows


@pytest.mark.parametrize(("zero_stage", "accumulation"), [(1, 1), (2, 3)])
def test_deepspeed_equals_the_plain_loop(zero_stage: int, accumulation: int) -> None:
    config = replace(CONFIG, zero_stage=zero_stage, micro_batches_per_step=accumulation)
    plain = train(PlainEngine(config, TwoHeads()), 0, 12, accumulation)
    engine = create_engine(
        replace(config, engine="deepspeed"), TwoHeads(), join_world(replace(config, engine="deepspeed"))
    )
    deepspeed = train(engine, 0, 12, accumulation)
    engine.close()
    assert len({loss for loss, _ in plain}) == 12
    assert deepspeed == [pytest.approx(row, rel=2e-5) for row in plain]


@pytest.mark.parametrize("name", ["plain", "deepspeed"])
def test_a_loaded_engine_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    config = replace(CONFIG, engine=name)
    model = TwoHeads()
    engine = create_engine(config, model, join_world(config))
    train(engine, 0, 5)
    Snapshot(engine.state).write(state_file(tmp_path, 0))
    expected = train(engine, 5, 9)
    engine.close()
    other = TwoHeads()
    nn.init.zeros_(other.trunk.weight)
    resumed = create_engine(config, other, join_world(config))
    files = StateFiles(tmp_path)
    resumed.state.load(files.read, files.optimizer_step)
    assert train(resumed, 5, 9) == expected
    resumed.close()
    for value, wanted in zip(other.parameters(), model.parameters()):
        assert value.equal(wanted)


def test_the_gradient_is_clipped_and_its_norm_reported_before() -> None:
    model = TwoHeads()
    engine = PlainEngine(replace(CONFIG, gradient_clip=1e-3), model)
    assert train(engine, 0, 1)[0][1] > 0.1


def test_an_infinite_gradient_is_reported() -> None:
    model = TwoHeads()
    engine = PlainEngine(CONFIG, model)
    norm = engine.update(iter([model.trunk.weight.sum() * float("inf")]), 1e-3)
    assert not torch.isfinite(torch.tensor(norm))


def test_the_plain_engine_trains_where_its_process_computes() -> None:
    class OnMeta(World):
        device = torch.device("meta")  # the one that is there without a GPU

    moved: list[torch.device] = []

    class Watched(TwoHeads):
        def to(self, device: torch.device) -> "Watched":
            moved.append(device)
            return self

    engine = create_engine(replace(CONFIG, engine="plain"), Watched(), OnMeta())
    assert moved == [torch.device("meta")]
    assert len(train(engine, 0, 2)) == 2


def test_a_closed_engine_leaves_the_functions_of_pytorch_as_they_were() -> None:
    """DeepSpeed's ZeRO 3 replaces `linear` for the whole process: what runs after it would round otherwise in bf16."""
    linear = nn.functional.linear
    config = replace(CONFIG, engine="deepspeed", zero_stage=3)
    engine = create_engine(config, TwoHeads(), join_world(config))
    assert nn.functional.linear is not linear
    train(engine, 0, 1)
    engine.close()
    assert nn.functional.linear is linear
