"""The released code's numbers: the main cases from the copy here, the variants where the full set is at hand."""

from pathlib import Path

import pytest

from nava.evaluation.parity.comparison import Verdict
from nava.evaluation.parity.families import FAMILIES, family_of
from nava.evaluation.parity.golden_set import GoldenSet
from nava.evaluation.parity.runner import run_set

COPY = Path(__file__).parents[2] / "data" / "goldens"
FULL = Path(__file__).parents[4] / "shared" / "goldens" / "nava-dit"
NAMES = [case.name for case in GoldenSet(COPY).cases]


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_the_released_code(name: str) -> None:
    (result,) = run_set(COPY, [name])
    assert (result.verdict, result.reason) == (Verdict.PASSED, "")


def test_the_copy_holds_every_kind_of_case() -> None:
    goldens = GoldenSet(COPY)
    assert len(NAMES) == 32
    kinds = {family.name for case in goldens.cases if (family := family_of(case))}
    assert kinds == {family.name for family in FAMILIES}
    listed = set(goldens.files) | {"manifest.json", "README.md"}
    assert {path.name for path in COPY.iterdir()} == listed


def test_hidden_states_are_compared_wherever_the_files_hold_them() -> None:
    for case in GoldenSet(COPY).cases:
        hidden = {name for name in case.tensors if name.startswith("mid.")}
        if hidden:
            (result,) = run_set(COPY, [case.name])
            assert hidden <= {tensor.name for tensor in result.tensors}


@pytest.mark.skipif(not FULL.is_dir(), reason="the full golden set, with its ablation variants, is not here")
def test_the_full_set_with_its_variants() -> None:
    results = {result.case: result for result in run_set(FULL)}
    assert len(results) == 36
    assert {name: result.reason for name, result in results.items() if result.verdict is not Verdict.PASSED} == {}
    assert {name for name in results if name.startswith("v")} == {
        "v1_split_ffn",
        "v2_double_final",
        "v3_all_hal",
        "v4_all_ufl",
    }
