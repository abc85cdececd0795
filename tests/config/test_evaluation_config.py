import pytest

from nava.config.evaluation import EvaluationConfig
from nava.runtime.errors import InputError


def test_the_defaults_are_accepted():
    EvaluationConfig().check()


def test_nothing_may_be_switched_off_that_makes_the_result_meaningless():
    EvaluationConfig(swap_clips=0, other_clips=0, gallery_clips=0).check()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_clips": 1}, "min_clips is 1; it must be at least 2"),
        ({"workers": 0}, "workers is 0"),
        ({"scored_clips": -1}, "scored_clips is -1"),
        ({"gallery_zoom": 0}, "gallery_zoom is 0"),
        ({"min_coverage": 1.5}, "min_coverage is 1.5"),
        ({"validation_sigmas": []}, "validation_sigmas is empty"),
        ({"validation_sigmas": [0.5, 1.0]}, "noise level 1 is not between 0 and 1"),
        ({"sync_loss_sigma": 0.0}, "noise level 0 is not between"),
    ],
)
def test_impossible_settings_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        EvaluationConfig(**changes).check()
