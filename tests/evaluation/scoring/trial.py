"""A scorer, what it must answer, and plausible mistakes that must be noticed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Scorer = Callable[..., Any]


@dataclass(frozen=True)
class Trial:
    """Closed-form cases of one scorer, the scorer, and wrong ones by their mistake."""

    cases: Callable[[Scorer], None]
    right: Scorer
    wrong: dict[str, Scorer]


def close(found, expected, tolerance=1e-6):
    """Assert that numbers differ by no more than the tolerance."""
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
