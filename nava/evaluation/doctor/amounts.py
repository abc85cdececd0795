"""By how much a value must move, or where it must come to lie, where theory says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nava.evaluation.doctor.perturb import QUIETER_DB, SHIFT_S

_FRAME_S = 1 / 25


@dataclass(frozen=True)
class Amount:
    """What theory says of the median over clips.

    Attributes:
        expected: of the spoilt value, or of the change from the whole one if `of_change`.
        tolerance: for encoding and for what is measured in whole frames.
    """

    expected: float
    tolerance: float
    of_change: bool = False

    def found(self, whole_N: np.ndarray, spoilt_N: np.ndarray) -> float:
        """The median that is compared."""
        return float(np.median(spoilt_N - whole_N if self.of_change else spoilt_N))

    def problem(self, whole_N: np.ndarray, spoilt_N: np.ndarray) -> str:
        """What is wrong, or nothing."""
        found = self.found(whole_N, spoilt_N)
        if abs(found - self.expected) <= self.tolerance:
            return ""
        what = "change" if self.of_change else "value"
        return f"the median {what} is {found:.3g}, theory says {self.expected:.3g} within {self.tolerance:.2g}"


AMOUNTS = {
    ("integrated_loudness", "quieter"): Amount(-QUIETER_DB, 0.2, of_change=True),
    ("av_offset", "audio_shifted"): Amount(SHIFT_S, _FRAME_S + 1e-9),
    ("silence_share", "silence"): Amount(1.0, 0.01),
    ("frozen_share", "frozen"): Amount(1.0, 0.02),
    ("burnt_in_text", "subtitles"): Amount(1.0, 0.0),
    ("known_onset_f1", "silence"): Amount(0.0, 0.0),
}
