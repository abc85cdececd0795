"""The dry run and how it is printed."""

import json
import re
from pathlib import Path

import pytest

from nava.config.composition import compose, recipe_names
from nava.runtime.errors import InputError
from nava.training.estimate.plan import DryRun, dry_run
from nava.training.estimate.table import plan_lines

ROOT = Path(__file__).resolve().parents[3]
RECIPES = [name for name in recipe_names() if name != "labelled"]


def planned(recipe: str, *overrides: str) -> DryRun:
    return dry_run(compose(recipe, list(overrides)).config, recipe)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_fits_its_own_cluster(recipe: str) -> None:
    plan = planned(recipe)
    assert plan.memory.fits
    assert plan.memory.peak == pytest.approx(sum(plan.memory.parts().values()) + plan.memory.reserve)
    assert plan.gpu_hours == pytest.approx(sum(stage.gpu_hours for stage in plan.stages))
    assert all(0 < stage.mfu <= plan.settings.cluster.assumed_mfu for stage in plan.stages)


def test_json_holds_plain_values() -> None:
    plan = planned("paper")
    value = json.loads(json.dumps(plan.to_json()))
    assert value["parameters"]["model"] == 6_296_995_520
    assert value["memory_bytes"]["peak"] == plan.memory.peak
    assert [stage["steps"] for stage in value["stages"]] == [25_000, 40_000, 5_000]
    assert value["stages"][0]["step_s"] == plan.stages[0].step.seconds
    assert value["published"]["published"]["gpu_hours"] == 107_520
    assert value["cost_usd"] == pytest.approx(2.5 * value["gpu_hours"])


def test_lines_name_what_was_asked_for() -> None:
    text = "\n".join(plan_lines(planned("paper")))
    for pattern in (
        r"recipe paper on 16 x 8 H100",
        r"model +6,296,995,520",
        r"peak, of 79\.6 GiB +\d+\.\d GiB",
        r"video tokens( +[\d,]{9,}){3}",
        r"seconds a step( +\d+\.\d\d){3}",
        r"all stages: [\d,]+ GPU-hours, [\d.]+ days on 128 H100",
        r"cost: [\d,]+ USD at 2\.50 USD per GPU-hour",
        r"published: 107,520 GPU-hours on 160 H100",
        r"the estimate is 0\.\d\d of it",
        r"32 of the 160 GPUs encoding media",
        r"Nothing was measured",
    ):
        assert re.search(pattern, text), pattern
    assert max(map(len, text.splitlines())) <= 110


def test_a_small_run_is_printed_in_small_units() -> None:
    lines = plan_lines(planned("demo"))
    text = "\n".join(lines)
    assert "published" not in text
    assert "no price; set cluster.price_usd_per_gpu_hour" in text
    assert re.search(r"GFLOP, forward and backward( +[\d,]+\.\d){3}", text)
    assert re.search(r"activations kept +[\d.]+ MiB", text)


def test_choices_that_change_the_reckoning_are_said() -> None:
    text = "\n".join(plan_lines(planned("paper", "training.sequence_parallel=8", "training.compile=true")))
    assert "16 x 32 micro-batches a step, each shared by 8 GPUs" in text
    assert "torch.compile keeps less" in text
    assert "adapters " in "\n".join(plan_lines(planned("lora")))


def test_another_gpu_is_not_passed_off_as_the_published_one_nor_its_figures_as_known() -> None:
    lines = plan_lines(planned("paper", "cluster.gpu=B200", "cluster.peak_bf16_tflops=2250"))
    assert any(line.startswith("published: 107,520 GPU-hours on 160 H100 (") for line in lines)
    (unknown,) = (line for line in lines if "set what differs" in line)
    assert unknown.startswith("  B200: cluster.gpu_memory_gib, ")
    assert "peak_bf16_tflops" not in unknown
    assert not any("set what differs" in line for line in plan_lines(planned("paper")))


def test_stages_that_a_recipe_does_not_have_are_not_planned() -> None:
    assert [stage.number for stage in planned("finetune").stages] == [3]
    assert [stage.number for stage in planned("demo", "training.first_stage=2").stages] == [2, 3]


def test_a_cluster_of_the_published_size_has_none_left_to_encode() -> None:
    plan = planned("paper", "cluster.nodes=20", "training.micro_batches_per_step=480")
    assert "encoding media" not in "\n".join(plan_lines(plan))


def test_what_cannot_be_is_refused_with_the_recipe_or_the_setting() -> None:
    with pytest.raises(InputError, match="recipe 'paper' does not fit"):
        planned("paper", "cluster.gpu_memory_gib=24")
    with pytest.raises(InputError, match=re.escape("training.micro_batches_per_step is 512")):
        planned("paper", "cluster.nodes=20")


def test_the_plan_that_the_benchmark_shows_is_the_one_that_is_printed() -> None:
    shown = (ROOT / "benchmarks" / "results" / "plan_paper.txt").read_text()
    assert shown.splitlines() == plan_lines(planned("paper")), "write it again: nava train plan --recipe paper"
