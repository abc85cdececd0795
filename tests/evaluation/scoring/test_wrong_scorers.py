"""The closed-form cases tell right scorers from plausible wrong ones: each mistake here fails at least one of them."""

import pytest

from tests.evaluation.scoring import (
    wrong_embeddings,
    wrong_judgements,
    wrong_media,
    wrong_sound_features,
    wrong_sync,
    wrong_texts,
)

GROUPS = (wrong_sync, wrong_sound_features, wrong_embeddings, wrong_texts, wrong_judgements, wrong_media)
TRIALS = {topic: trial for group in GROUPS for topic, trial in group.TRIALS.items()}
WRONG = [(topic, mistake) for topic, trial in TRIALS.items() for mistake in trial.wrong]


def test_no_topic_hides_another():
    assert len(TRIALS) == sum(len(group.TRIALS) for group in GROUPS)


@pytest.mark.parametrize("topic", TRIALS)
def test_the_scorer_passes_its_cases(topic):
    TRIALS[topic].cases(TRIALS[topic].right)


@pytest.mark.parametrize(("topic", "mistake"), WRONG)
def test_a_wrong_scorer_fails_them(topic, mistake):
    with pytest.raises(AssertionError):
        TRIALS[topic].cases(TRIALS[topic].wrong[mistake])
