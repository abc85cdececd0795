"""Cases whose answer is known without any file: what each scorer must give, to the digit.

Sections 1.2, 1.6, 1.7 and 1.9 of the evaluation reference. The doctor runs them on the machine that will score, with
the libraries that are installed there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nava.evaluation.scoring.cosine import cosine
from nava.evaluation.scoring.desync import OFFSET_S_21, desync, versebench_signed_offset
from nava.evaluation.scoring.divergence import class_divergence
from nava.evaluation.scoring.frechet import frechet_distance, frechet_of_gaussians, pair_clap_distance
from nava.evaluation.scoring.judgements import Tally, gsb, sign_test, win_rate
from nava.evaluation.scoring.sync_scoring import sync_score
from nava.evaluation.scoring.text_normalisers import text_profile
from nava.evaluation.scoring.word_errors import text_errors

EXACT = 1e-6
PRINTED = 5e-5  # of figures known to four digits, and of logarithms of which the published code keeps 0 away
_FRAMES, _WIDTH, _LENGTH = 60, 1024, 5.0


@dataclass(frozen=True)
class ClosedForm:
    """A case: what must come out, what came out, and by how much it may differ."""

    name: str
    expected: float
    found: float | None
    tolerance: float = EXACT

    @property
    def held(self) -> bool:
        """Whether it came out right."""
        return self.found is not None and abs(self.found - self.expected) <= self.tolerance


def closed_forms() -> list[ClosedForm]:
    """All cases, computed now."""
    parts = (_synchrony(), _offset_classes(), _sets(), _pairs(), _words(), _judgements())
    return [case for part in parts for case in part]


def _synchrony() -> Iterator[ClosedForm]:
    """The sound as the picture's own features, some frames late: the shift is found, and only the edges cost."""
    video_ND = np.random.default_rng(0).standard_normal((_FRAMES, _WIDTH))
    video_ND *= _LENGTH / np.linalg.norm(video_ND, axis=1, keepdims=True)
    for late in (0, 1, -1, 3, -4):
        found = sync_score(video_ND, np.roll(video_ND, late, axis=0))
        name = f"synchrony, sound {late:+d} frames"
        yield ClosedForm(f"{name}: offset in frames", -late, found.offset_frames)
        yield ClosedForm(f"{name}: Sync-D", _LENGTH * abs(late) / _FRAMES, found.sync_d, 1e-3)


def _offset_classes() -> Iterator[ClosedForm]:
    early, late = (np.eye(len(OFFSET_S_21))[index] for index in (5, 20))
    yield ClosedForm("DeSync of offsets -1 s and 2 s", 1.5, desync(early, late).value)
    yield ClosedForm("Verse-Bench's signed offset of -1 s", -1.0, versebench_signed_offset(early).value)


def _sets() -> Iterator[ClosedForm]:
    drawn_ND = np.random.default_rng(1).standard_normal((64, 8))
    shift_D = np.arange(8.0)
    yield ClosedForm("Fréchet distance of a set and itself", 0.0, frechet_distance(drawn_ND, drawn_ND).score.value)
    moved = frechet_distance(drawn_ND, drawn_ND + shift_D).score.value
    yield ClosedForm("Fréchet distance of a set and it shifted: the shift squared", float(shift_D @ shift_D), moved)
    flat_D, cov_DD = np.zeros(8), np.eye(8)
    scaled = frechet_of_gaussians(flat_D, cov_DD, flat_D, 9 * cov_DD)
    yield ClosedForm("Fréchet distance of deviations 1 and 3 in 8 dimensions", 32.0, scaled)


def _pairs() -> Iterator[ClosedForm]:
    up_D, along_D = np.array([0.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 0.0])
    yield ClosedForm("pair distance of equal embeddings", 0.0, pair_clap_distance(up_D, up_D).value)
    yield ClosedForm("pair distance of embeddings at right angles", 2.0, pair_clap_distance(up_D, along_D).value)
    yield ClosedForm("cosine at 60 degrees", 0.5, cosine(up_D, np.array([0.0, 1.0, 3**0.5, 0.0])).value)
    even_WK, odd_WK = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    yield ClosedForm("divergence of equal classes", 0.0, class_divergence(even_WK, even_WK).value, PRINTED)
    expected = 0.5 * np.log(2) + 0.5 * np.log(2 / 3)
    divergence = class_divergence(even_WK, odd_WK).value
    yield ClosedForm("divergence of (1/2, 1/2) from (1/4, 3/4)", float(expected), divergence, PRINTED)


def _words() -> Iterator[ClosedForm]:
    for reference, heard, seed, verse in (
        ("The primary coil has fifty turns.", "The primary coil has 50 turns.", 1 / 6, 1 / 6),
        ("Its a well known fact", " It's a well-known fact.", 0.6, 0.8),
        ("hello world", "Hello, world! Again", 0.5, 1.5),
        ("hello world", "", 1.0, 1.0),
    ):
        for profile, expected in (("seed_tts_en", seed), ("verse_bench", verse)):
            rate = text_errors(reference, heard, text_profile(profile)).rate
            yield ClosedForm(f"word errors of {heard!r}, {profile}", expected, rate.value)
    chinese = text_errors("今天天气真好", "今天天气很好。", text_profile("seed_tts_zh")).rate
    yield ClosedForm("character errors of one character in six, seed_tts_zh", 1 / 6, chinese.value)
    joined = text_errors("今天天气真好", "今天天气很好。", text_profile("verse_bench")).rate
    yield ClosedForm("the same under verse_bench, where it is one word", 1.0, joined.value)


def _judgements() -> Iterator[ClosedForm]:
    for counts, share, rate, low, high, chance in (
        (Tally(120, 50, 80), 0.16, 0.6, 0.5308, 0.6654, 5.685e-3),
        (Tally(140, 30, 80), 0.24, 0.6364, 0.5710, 0.6971, 6.315e-5),
        (Tally(100, 50, 100), 0.0, 0.5, 0.4314, 0.5686, 1.0),
    ):
        name = f"{counts.wins} wins, {counts.ties} ties, {counts.losses} losses"
        won = win_rate(counts).interval
        assert won is not None
        yield ClosedForm(f"{name}: GSB", share, gsb(counts).value)
        yield ClosedForm(f"{name}: win rate", rate, won.value, PRINTED)
        yield ClosedForm(f"{name}: Wilson's lower end", low, won.ci_low, PRINTED)
        yield ClosedForm(f"{name}: Wilson's upper end", high, won.ci_high, PRINTED)
        yield ClosedForm(f"{name}: sign test", chance, sign_test(counts).value, max(1e-3 * chance, 1e-8))
