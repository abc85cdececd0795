import numpy as np
import pytest

from nava.evaluation.scoring.desync import OFFSET_S_21, desync, versebench_signed_offset, window_segments
from nava.evaluation.scoring.score import mean_score
from nava.runtime.errors import InputError


def logits(offset_s):
    """Logits whose largest is the class of that offset."""
    return -np.abs(OFFSET_S_21 - offset_s)


def test_the_grid():
    assert len(OFFSET_S_21) == 21
    assert (OFFSET_S_21[0], OFFSET_S_21[10], OFFSET_S_21[-1]) == (-2.0, 0.0, 2.0)
    np.testing.assert_allclose(np.diff(OFFSET_S_21), 0.2)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0.0, 0.0, 0.0), (0.4, 0.4, 0.4), (-0.4, 0.4, 0.4), (2.0, -1.0, 1.5), (0.0, 0.2, 0.1)],
)
def test_it_is_the_mean_size_of_both_windows_offsets(first, last, expected):
    assert desync(logits(first), logits(last)).value == pytest.approx(expected)


def test_signed_offsets_of_two_bad_clips_cancel_and_desync_does_not():
    early, late = logits(-1.0), logits(1.0)
    signed = mean_score([versebench_signed_offset(early), versebench_signed_offset(late)])
    assert signed.score.value == pytest.approx(0.0)
    assert mean_score([desync(early, early), desync(late, late)]).score.value == pytest.approx(1.0)


@pytest.mark.parametrize(("n", "last"), [(14, 0), (20, 6), (40, 26)])
def test_windows_are_the_first_and_the_last_14_segments(n, last):
    first_window, last_window = window_segments(n)
    assert list(range(n)[first_window]) == list(range(14))
    assert list(range(n)[last_window]) == list(range(last, n))


def test_too_short_clips_and_other_networks_are_refused():
    with pytest.raises(InputError, match="14 segments"):
        window_segments(13)
    with pytest.raises(InputError, match="21 classes, got 20"):
        desync(np.zeros(20), np.zeros(20))
    with pytest.raises(InputError, match="not finite"):
        versebench_signed_offset(np.full(21, np.nan))
