import math

import pytest
import torch

from nava.evaluation.parity.comparison import (
    EXACT,
    CaseResult,
    Pair,
    TensorError,
    Verdict,
    compare,
    relative_error,
)


def test_error_is_the_largest_difference_over_the_largest_value():
    expected = torch.tensor([1.0, -4.0, 0.0])
    assert relative_error(expected + torch.tensor([0.0, 0.0, 0.1]), expected) == pytest.approx(0.025)
    assert relative_error(expected, expected) == 0


def test_zeros_are_equal_to_zeros_only():
    zeros = torch.zeros(3)
    assert relative_error(zeros, zeros) == 0
    assert relative_error(zeros + 1e-9, zeros) == math.inf
    assert relative_error(torch.zeros(0), torch.zeros(0)) == 0


def test_other_shapes_are_infinitely_far():
    assert relative_error(torch.zeros(2), torch.zeros(3)) == math.inf


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_values_that_are_no_numbers_never_pass(wrong):
    error = compare(Pair("x", torch.tensor([1.0, wrong]), torch.ones(2), tolerance=10.0))
    assert not error.within
    assert error.share == math.inf


def test_whole_numbers_are_exact_whatever_the_tolerance():
    expected = torch.tensor([999, 833])
    assert compare(Pair("t", expected.clone(), expected, tolerance=0.5)) == TensorError("t", 0.0, EXACT)
    assert compare(Pair("t", torch.tensor([999.0, 833.0]), expected)).within
    assert not compare(Pair("t", torch.tensor([999, 834]), expected, tolerance=0.5)).within
    assert not compare(Pair("t", torch.tensor([999.0, 833.2]), expected, tolerance=0.5)).within


def test_low_precision_is_compared_in_full():
    expected = torch.tensor([1.0, 2.0], dtype=torch.bfloat16)
    assert relative_error(torch.tensor([1.0, 2.01]), expected) == pytest.approx(0.005, rel=1e-4)


def test_the_worst_tensor_is_nearest_to_its_own_tolerance():
    errors = [TensorError("a", 2e-5, 1e-4), TensorError("b", 9e-6, 1e-5), TensorError("c", 0.0, EXACT)]
    result = CaseResult("case", "forward", Verdict.PASSED, errors)
    assert result.worst is errors[1]
    assert CaseResult("case", "", Verdict.MISSING).worst is None


def test_the_machine_form_is_json_even_when_errors_are_not_numbers():
    import json

    result = CaseResult("case", "forward", Verdict.FAILED, [TensorError("a", math.inf, 1e-5)], "one differs")
    value = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (value["case"], value["verdict"], value["error"], value["tolerance"]) == ("case", "failed", "inf", 1e-5)
    assert value["tensors"] == [{"name": "a", "error": "inf", "tolerance": 1e-5, "within": False}]
