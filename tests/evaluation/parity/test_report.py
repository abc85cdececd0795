import json
import math

from nava.evaluation.parity.comparison import CaseResult, TensorError, Verdict
from nava.evaluation.parity.report import all_passed, as_json, heading, row, summary

GREEN = CaseResult("a", "forward", Verdict.PASSED, [TensorError("x", 2e-7, 1e-5), TensorError("n", 0.0, 0.0)])
RED = CaseResult("b", "rope", Verdict.FAILED, [TensorError("y", math.inf, 1e-5)], "1 of 1 tensors differ, y most")
GONE = CaseResult("c", "", Verdict.MISSING, reason="c.safetensors is not in the folder")


def test_a_row_has_a_value_under_every_heading():
    assert row(GREEN).split() == ["a", "forward", "2.00e-07", "1e-05", "passed"]
    assert len(row(GREEN)) - len("passed") == heading().index("verdict")
    assert row(RED).split(maxsplit=4)[2:] == ["inf", "1e-05", "failed: 1 of 1 tensors differ, y most"]
    assert row(GONE).split(maxsplit=4) == ["c", "-", "-", "-", "missing: c.safetensors is not in the folder"]


def test_only_passed_is_good_and_nothing_is_not():
    assert all_passed([GREEN])
    assert not all_passed([GREEN, GONE])
    assert not all_passed([])


def test_the_summary_counts_every_verdict():
    assert summary([GREEN]) == "parity: 1 passed; 2 tensors compared"
    assert summary([GREEN, RED, GONE]) == "NO PARITY: 1 passed, 1 failed, 1 missing; 3 tensors compared"


def test_the_machine_form_has_every_tensor():
    value = json.loads(json.dumps(as_json("goldens", [GREEN, RED, GONE]), allow_nan=False))
    assert (value["folder"], value["passed"]) == ("goldens", False)
    assert value["counts"] == {"passed": 1, "failed": 1, "missing": 1, "not run": 0}
    assert [case["case"] for case in value["cases"]] == ["a", "b", "c"]
    assert [tensor["name"] for tensor in value["cases"][0]["tensors"]] == ["x", "n"]
    assert value["cases"][2]["error"] is None
