import random

import pytest

from nava.evaluation.scoring.text_normalisers import PROFILES
from nava.evaluation.scoring.word_errors import (
    ErrorCounts,
    corpus_error_rate,
    count_errors,
    macro_error_rate,
    text_errors,
)

# Recognised, reference, then the rate of Seed-TTS and of Verse-Bench, as measured with jiwer 4.0.0 (reference 1.7).
PUBLISHED = [
    ("The primary coil has 50 turns.", "The primary coil has fifty turns.", 0.1667, 0.1667),
    (" It's a well-known fact.", "Its a well known fact", 0.6, 0.8),
    ("Hello, world! Again", "hello world", 0.5, 1.5),
    ("", "hello world", 1.0, 1.0),
]


@pytest.mark.parametrize(("recognised", "reference", "seed", "verse"), PUBLISHED)
def test_published_unit_cases(recognised, reference, seed, verse):
    for profile, expected in (("seed_tts_en", seed), ("verse_bench", verse)):
        assert text_errors(reference, recognised, PROFILES[profile]).rate.value == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("profile", "expected"), [("seed_tts_zh", 0.1667), ("verse_bench", 1.0), ("nfkc_cjk", 0.1667)])
def test_chinese_by_character_or_as_one_word(profile, expected):
    counts = text_errors("今天天气真好", "今天天气很好。", PROFILES[profile])
    assert counts.rate.value == pytest.approx(expected, abs=5e-5)


def test_traditional_characters_count_as_errors_unless_the_caller_converts_them():
    profile = PROFILES["seed_tts_zh"]
    assert text_errors("天气", "天氣", profile).rate.value == 0.5
    assert text_errors("天气", "天氣", profile, lambda text: text.replace("氣", "气")).rate.value == 0.0
    # Only what was recognised is converted.
    assert text_errors("天氣", "天气", profile, lambda text: text.replace("氣", "气")).rate.value == 0.5


@pytest.mark.parametrize(
    ("reference", "recognised", "expected"),
    [
        ("abc", "abc", (0, 0, 0)),
        ("abc", "axc", (1, 0, 0)),
        ("abc", "ac", (0, 1, 0)),
        ("abc", "abxc", (0, 0, 1)),
        ("abc", "", (0, 3, 0)),
        ("", "abc", (0, 0, 3)),
        ("", "", (0, 0, 0)),
        ("kitten", "sitting", (2, 0, 1)),
        ("abcd", "bcda", (0, 1, 1)),
    ],
)
def test_kinds_of_edits(reference, recognised, expected):
    counts = count_errors(" ".join(reference), " ".join(recognised))
    assert (counts.substitutions, counts.deletions, counts.insertions) == expected
    assert counts.reference_words == len(reference)


def test_words_stand_between_spaces_however_many():
    assert count_errors("a  b", " a b ").errors == 0
    assert count_errors("a b", "a").reference_words == 2
    assert count_errors("a\u3000b", "a b").reference_words == 1


def plain_distance(first, second):
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        before, row = row, [i]
        for j, b in enumerate(second, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]


def test_random_texts_have_the_distance_of_the_textbook_and_edits_that_add_up():
    draw = random.Random(0)
    for _ in range(300):
        first, second = (draw.choices("abcd", k=draw.randrange(12)) for _ in range(2))
        counts = count_errors(" ".join(first), " ".join(second))
        assert counts.errors == plain_distance(first, second)
        assert len(first) - counts.deletions + counts.insertions == len(second)


def test_an_empty_reference_has_no_rate_even_where_nothing_was_recognised():
    for recognised in ("word", ""):
        rate = text_errors("  ", recognised, PROFILES["seed_tts_en"]).rate
        assert rate.value is None
        assert "empty" in rate.reason
    assert text_errors("...", "word", PROFILES["seed_tts_en"]).rate.value is None


def test_mean_of_items_and_of_the_corpus_differ():
    items = [ErrorCounts(1, 0, 0, 2), ErrorCounts(0, 0, 0, 10)]
    assert macro_error_rate(items).score.value == pytest.approx(0.25)
    assert corpus_error_rate(items).score.value == pytest.approx(0.0833, abs=5e-5)


@pytest.mark.parametrize("aggregate", [macro_error_rate, corpus_error_rate])
def test_items_without_a_reference_are_left_out_and_named(aggregate):
    empty = ErrorCounts(0, 0, 5, 0)
    result = aggregate([empty, ErrorCounts(1, 0, 0, 4), empty])
    assert result.score.value == 0.25
    assert result.n == 1
    assert sorted(result.left_out) == [0, 2]
    assert aggregate([empty]).score.value is None
    assert aggregate([]).score.value is None
