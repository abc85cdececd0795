"""Distances between distributions, against scipy and against arithmetic done by hand."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nava.data.corpus.distribution import category_shift, ks_statistic, numeric_shift, stability_index

numbers = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=40)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of scipy's p-value, which is not asked for
@given(old=numbers, new=numbers)
def test_the_ks_statistic_is_scipys(old, new):
    assert ks_statistic(np.array(old), np.array(new)) == pytest.approx(
        stats.ks_2samp(old, new, method="asymp").statistic
    )


def test_the_stability_index_by_hand():
    before, after = (10.5 / 21, 10.5 / 21), (15.5 / 21, 5.5 / 21)
    by_hand = sum((new - old) * math.log(new / old) for old, new in zip(before, after, strict=True))
    assert stability_index([10, 10], [15, 5]) == pytest.approx(by_hand)
    assert stability_index([7, 3], [7, 3]) == 0
    assert stability_index([10, 0], [0, 10]) > 1


def table(**columns):
    return pa.table(columns)


def test_the_same_values_have_not_moved():
    values = table(sharpness=[float(value) for value in range(100)])
    shift = numeric_shift("sharpness", values, values)
    assert (shift.ks, shift.psi) == (0, 0)
    assert shift.old_share == shift.new_share
    assert sum(shift.old_share) == pytest.approx(1)


def test_values_beyond_the_old_range_count():
    old = table(lufs=[float(value) for value in range(-30, -10)])
    new = table(lufs=[float(value) for value in range(20)])
    shift = numeric_shift("lufs", old, new)
    assert shift.ks == 1
    assert shift.psi > 1
    assert shift.unit == "LUFS"
    assert (shift.edges[0], shift.edges[-1]) == pytest.approx((-30, 19), abs=0.3)


def test_what_was_not_measured_is_counted_and_not_compared():
    shift = numeric_shift("motion", table(motion=[1.0, None, math.nan]), table(motion=pa.nulls(2, pa.float32())))
    assert (shift.old["n"], shift.old["missing"], shift.old["mean"]) == (1, 2, 1)
    assert shift.new == {"n": 0, "missing": 2}
    assert (shift.ks, shift.psi, shift.new_share) == (None, None, [])


def test_a_constant_column_can_be_compared():
    shift = numeric_shift("fps", table(fps=[24.0] * 5), table(fps=[24.0] * 7))
    assert (shift.ks, shift.psi) == (0, pytest.approx(0, abs=1e-9))
    assert sum(shift.new_share) == 1


def test_lists_count_each_name_once_for_a_clip():
    old = table(tags=[["talk", "talk"], ["music"], [], None])
    shift = category_shift("tags", old, table(tags=[["talk"]]))
    assert shift.old == {"": 2, "music": 1, "talk": 1}
    assert shift.new == {"talk": 1}
    assert shift.psi > 0


def test_a_version_without_clips_is_not_compared():
    assert category_shift("split", table(split=["train"]), table(split=pa.array([], pa.string()))).psi is None
