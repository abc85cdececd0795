"""Loss spikes: what counts as one, and how often they may happen."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from nava.config.training_guard import GuardConfig
from nava.runtime.errors import EXIT_DIVERGED, NavaError
from nava.training.curves import CurveRow

_LEAST_HISTORY = 10
# A history that hardly varies would else make a spike of every step.
_LEAST_SPREAD = 0.01
# More would push the rest of an error's line out of sight.
_NAMED_CLIPS = 4


class LossSpikeError(NavaError):
    """The loss jumped, and the policy is to stop. The order of the data is fixed: the same steps would jump again."""

    exit_code = EXIT_DIVERGED


def few_of(clips: Sequence[str]) -> str:
    """The first of a step's clips and how many more there are, for the end of a line; an event has them all."""
    rest = len(clips) - _NAMED_CLIPS
    more = f" and {rest} more" if rest > 0 else ""
    return f"clips: {', '.join(clips[:_NAMED_CLIPS])}{more}, all in events.jsonl"


def spike_threshold(config: GuardConfig, curves: Sequence[CurveRow], *, with_video: bool) -> float:
    """The loss above which a step is a spike; infinite as long as there are too few steps to tell.

    Steps with and without video have losses of different sizes, so each kind is compared with its own. The median
    absolute deviation is scaled by 1.4826, with which it is the standard deviation of normal losses.

    Args:
        config: window and factor.
        curves: the steps so far.
        with_video: of the step to judge.
    """
    if config.spike_policy == "off":
        return float("inf")
    alike = [row.loss for row in curves if (row.loss_video is not None) == with_video][-config.spike_window :]
    if len(alike) < _LEAST_HISTORY:
        return float("inf")
    middle = median(alike)
    spread = 1.4826 * median(abs(loss - middle) for loss in alike)
    return middle + config.spike_factor * max(spread, _LEAST_SPREAD * abs(middle))
