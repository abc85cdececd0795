"""Mistakes in counting word errors."""

import numpy as np

from nava.evaluation.scoring import text_normalisers, word_errors
from tests.evaluation.scoring.trial import Trial, close


def rate_cases(rate):
    close(rate("hello world", "hello world again"), 0.5)
    close(rate("a b c d", "b c d"), 0.25)
    close(rate("a b", "c d e f"), 2.0)
    assert rate("", "word") is None


def plain_rate(reference, recognised):
    return word_errors.count_errors(reference, recognised).rate.value


def errors_of(reference, recognised):
    return word_errors.count_errors(reference, recognised).errors


def set_cases(aggregate):
    close(aggregate([word_errors.ErrorCounts(1, 0, 0, 2), word_errors.ErrorCounts(0, 0, 0, 10)]), 0.25)
    close(aggregate([word_errors.ErrorCounts(1, 0, 0, 2), word_errors.ErrorCounts(0, 0, 3, 0)]), 0.5)


def seed_cases(normalise):
    assert normalise("It's a Well-known fact.") == "it's a wellknown fact"
    assert normalise("“So”, he said…") == "so he said"


TRIALS = {
    "word errors": Trial(
        rate_cases,
        plain_rate,
        {
            "over recognised words": lambda r, h: errors_of(r, h) / len(h.split()) if r else None,
            "over the longer text": lambda r, h: errors_of(r, h) / max(len(r.split()), len(h.split())) if r else None,
            "cut off at 1": lambda r, h: min(1.0, plain_rate(r, h)) if r else None,
            "position by position": lambda r, h: (
                sum(a != b for a, b in zip(r.split(), h.split())) / len(r.split()) if r else None
            ),
            "empty reference is 1": lambda r, h: plain_rate(r, h) if r else 1.0,
        },
    ),
    "set of word errors": Trial(
        set_cases,
        lambda items: word_errors.macro_error_rate(items).score.value,
        {
            "corpus": lambda items: word_errors.corpus_error_rate(items).score.value,
            "empty references as 0": lambda items: np.mean([item.rate.value or 0.0 for item in items]),
        },
    ),
    "seed_tts_en": Trial(
        seed_cases,
        text_normalisers.seed_tts_en,
        {
            "apostrophe deleted": lambda text: text_normalisers.seed_tts_en(text.replace("'", "")),
            "hyphen splits": lambda text: text_normalisers.seed_tts_en(text.replace("-", " ")),
            "case kept": text_normalisers._without_seed_punctuation,
            "verse_bench": text_normalisers.verse_bench,
            "ASCII only": lambda text: text.lower().translate(str.maketrans("", "", ".,-")),
        },
    ),
}
