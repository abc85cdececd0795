import numpy as np
import pytest

from nava.evaluation.scoring.cosine import cosine
from nava.evaluation.scoring.cross_modal import clap_score, imagebind_score
from nava.evaluation.scoring.speaker_similarity import speaker_similarity
from nava.runtime.errors import InputError


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [([1, 0], [2, 0], 1.0), ([1, 0], [0, 3], 0.0), ([1, 0], [-1, 0], -1.0), ([3, 4], [4, 3], 24 / 25)],
)
@pytest.mark.parametrize("score", [cosine, clap_score, imagebind_score, speaker_similarity])
def test_closed_forms_whatever_the_length(score, first, second, expected):
    assert score(np.array(first), np.array(second)).value == pytest.approx(expected)
    assert score(np.array(first) * 1e3, np.array(second) * 1e-3).value == pytest.approx(expected)


def test_rounding_does_not_leave_the_range():
    vector = np.random.default_rng(0).normal(size=4096).astype(np.float32)
    assert -1 <= cosine(vector, vector).value <= 1
    assert cosine(vector, vector).value == pytest.approx(1)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [([0.0, 0.0], "zero"), ([np.nan, 1.0], "not finite"), ([np.inf, 1.0], "not finite"), ([1e-20, 0.0], "zero")],
)
def test_what_has_no_direction_has_no_score_but_a_reason(broken, reason):
    for pair in ((broken, [1.0, 2.0]), ([1.0, 2.0], broken)):
        score = speaker_similarity(*map(np.array, pair))
        assert score.value is None
        assert reason in score.reason
        assert ("first" if pair[0] is broken else "second") in score.reason


@pytest.mark.parametrize(("first", "second"), [([1, 2], [1, 2, 3]), ([[1, 2]], [[1, 2]]), ([], [])])
def test_vectors_of_different_networks_are_refused(first, second):
    with pytest.raises(InputError, match="one length"):
        speaker_similarity(np.array(first), np.array(second))
