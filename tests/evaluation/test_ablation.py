"""The comparison of variants: means, intervals and paired differences over seeds, and what it refuses."""

import copy
from pathlib import Path
from typing import Any

import pytest

from nava.config.ablation import REFERENCE, VARIANTS
from nava.evaluation.ablation import compare, estimate, tabulate
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.step import Step
from nava.runtime.storage import read_json, write_json

# 97.5 % point of Student's t with two degrees of freedom.
T_2 = 4.302652729696142


def result_of(variant: str, offset: float = 0.0, seeds: int = 3) -> dict[str, Any]:
    """Seeds differ by much, variants by little: only differences seed by seed show the latter."""
    runs = [
        {
            "seed": seed,
            "video_loss": 1.0 + 0.3 * seed + offset + 0.001 * seed * bool(offset),
            "audio_loss": 2.0 - offset,
            "synchrony_gap": 0.01 * seed,
            "clips": {"av": 8, "audio": 4},
            "split": {"av": "heldout", "audio": "train"},
        }
        for seed in range(seeds)
    ]
    return {
        "variant": variant,
        "architecture": "align_then_fuse",
        "layers": {"num_hal_layers": 2},
        "parameters": 1000,
        "shared": {"config_sha256": "c" * 64, "steps": [1, 2, 3], "sigmas": [0.2, 0.5]},
        "runs": runs,
    }


@pytest.fixture
def results() -> dict[str, dict[str, Any]]:
    return {name: result_of(name, 0.01 * number) for number, name in enumerate(VARIANTS)}


def test_intervals_are_students_over_seeds(results: dict[str, Any]) -> None:
    table = tabulate(results)
    assert (table["n"], table["seeds"], table["clips"], table["split"]) == (3, [0, 1, 2], 8, "heldout")
    found = table["variants"][REFERENCE]["figures"]["video_loss"]
    half = T_2 * 0.3 / 3**0.5
    assert found["value"] == pytest.approx(1.3)
    assert (found["ci_low"], found["ci_high"]) == (pytest.approx(1.3 - half), pytest.approx(1.3 + half))
    assert found["n"] == 3


def test_differences_are_paired_by_seed(results: dict[str, Any]) -> None:
    table = tabulate(results)
    assert table["variants"][REFERENCE]["differences"] == dict.fromkeys(
        ("video_loss", "audio_loss", "synchrony_gap"), None
    )
    found = table["variants"]["hal_only"]["differences"]["video_loss"]
    half = T_2 * 0.001 / 3**0.5
    assert found["value"] == pytest.approx(0.011)
    assert (found["ci_low"], found["ci_high"]) == (pytest.approx(0.011 - half), pytest.approx(0.011 + half))


def test_one_seed_has_no_interval_and_a_missing_figure_no_mean() -> None:
    assert estimate([0.5]) == {"value": 0.5, "ci_low": None, "ci_high": None, "n": 1}
    assert estimate([0.5, None]) == {"value": None, "ci_low": None, "ci_high": None, "n": 1}
    assert estimate([]) == {"value": None, "ci_low": None, "ci_high": None, "n": 0}


def spoil_shards(result: dict[str, Any]) -> None:
    result["shared"]["config_sha256"] = "d" * 64


def spoil_steps(result: dict[str, Any]) -> None:
    result["shared"]["steps"] = [1, 2, 4]


def spoil_seeds(result: dict[str, Any]) -> None:
    del result["runs"][-1]


@pytest.mark.parametrize("spoil", [spoil_shards, spoil_steps, spoil_seeds])
def test_what_was_not_trained_alike_is_not_compared(results: dict[str, Any], spoil: Any) -> None:
    spoiled = copy.deepcopy(results)
    spoil(spoiled["dual_tower"])
    with pytest.raises(InputError, match="dual_tower and align_then_fuse were not trained on the same"):
        tabulate(spoiled)


def test_runs_of_another_variant_are_refused(results: dict[str, Any]) -> None:
    results["hal_only"], results["ufl_only"] = results["ufl_only"], results["hal_only"]
    with pytest.raises(InputError, match="given as hal_only are of the variant ufl_only"):
        tabulate(results)


def handles_of(folder: Path, results: dict[str, Any], seconds: float) -> dict[str, Handle]:
    for name, result in results.items():
        write_json(folder / name / "variant.json", result)
    return {
        name: Handle.of_path("ablation_variant", folder / name, seconds_per_step=[seconds, seconds, 2 * seconds])
        for name in results
    }


def a_step(workdir: Path) -> Step:
    return Step("compare", workdir, "run", {}, seed=None, workdir=workdir)


def test_the_step_writes_a_table_and_a_page_and_time_is_no_result(results: dict[str, Any], tmp_path: Path) -> None:
    made = [
        compare(a_step(tmp_path / str(seconds)), **handles_of(tmp_path, results, seconds)) for seconds in (0.1, 0.2)
    ]
    assert made[0].sha256 == made[1].sha256
    assert made[0].kind == "ablation"
    assert made[0].meta == {"page": "index.html", "n": 3}
    assert read_json(made[0].path / "ablation.json") == tabulate(results)
    assert read_json(made[1].path / "speed.json")["trimodal"]["value"] == pytest.approx(0.8 / 3)
    assert "<h1>" in (made[0].path / "index.html").read_text()


def test_a_handle_of_another_kind_is_refused(results: dict[str, Any], tmp_path: Path) -> None:
    handles = handles_of(tmp_path, results, 0.1) | {"trimodal": Handle("checkpoint", str(tmp_path), "0" * 64)}
    with pytest.raises(InputError, match="expected a handle of kind 'ablation_variant', got 'checkpoint'"):
        compare(a_step(tmp_path / "work"), **handles)
