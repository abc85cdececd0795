"""Word and character error rates: per item, and two means of a set that differ.

Section 1.7 of the evaluation reference. The alignment is jiwer's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nava.evaluation.scoring.score import MeanScore, Score, mean_score
from nava.evaluation.scoring.text_normalisers import TextProfile
from nava.runtime.errors import InputError

_NO_REFERENCE = "the reference text is empty: there is nothing to get right or wrong"


@dataclass(frozen=True)
class ErrorCounts:
    """Edits from the reference to what was recognised.

    Their sum is the smallest there is; several alignments can have it, so the split into kinds is one of several.
    """

    substitutions: int
    deletions: int
    insertions: int
    reference_words: int

    @property
    def errors(self) -> int:
        """All edits."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> Score:
        """Errors per word of the reference, 0 or more (above 1 with many insertions); no value without a reference."""
        if not self.reference_words:
            return Score.missing(_NO_REFERENCE)
        return Score(self.errors / self.reference_words)


def text_errors(
    reference: str,
    recognised: str,
    profile: TextProfile,
    to_simplified: Callable[[str], str] | None = None,
) -> ErrorCounts:
    """Word errors of two texts after the profile's normalisation.

    Args:
        reference: what should have been said.
        recognised: what a speech recogniser wrote.
        profile: `seed_tts_zh` and `nfkc_cjk` make characters words, so this is the character error rate with them.
        to_simplified: applied to the recognised text first, as Seed-TTS-eval does for Chinese.
    """
    if to_simplified is not None:
        recognised = to_simplified(recognised)
    return count_errors(profile.normalise(reference), profile.normalise(recognised))


def count_errors(reference: str, recognised: str) -> ErrorCounts:
    """Levenshtein alignment of two normalised texts, word by word, each edit at the cost of one.

    What is a word is jiwer's rule, since published rates are jiwer's: what stands between spaces, however many.
    InputError if jiwer is not installed.
    """
    try:
        import jiwer
    except ImportError as error:
        raise InputError("jiwer, which counts word errors, is not installed: pip install 'nava[benchmark]'") from error
    found = jiwer.process_words(reference, recognised)
    words = found.hits + found.substitutions + found.deletions
    return ErrorCounts(found.substitutions, found.deletions, found.insertions, words)


def macro_error_rate(items: Sequence[ErrorCounts]) -> MeanScore:
    """Mean of the items' rates: a short text counts as much as a long one. Seed-TTS and Verse-Bench report this."""
    return mean_score(item.rate for item in items)


def corpus_error_rate(items: Sequence[ErrorCounts]) -> MeanScore:
    """All errors over all words of the reference, so long texts count more. Items without one are left out."""
    left_out = {index: _NO_REFERENCE for index, item in enumerate(items) if not item.reference_words}
    counted = [item for item in items if item.reference_words]
    if not counted:
        return MeanScore(Score.missing(f"none of {len(items)} items has a reference text"), 0, left_out)
    rate = sum(item.errors for item in counted) / sum(item.reference_words for item in counted)
    return MeanScore(Score(rate), len(counted), left_out)
