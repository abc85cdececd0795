import json

import pytest

from nava.config.registry import RegistryConfig
from nava.registry.baseline import UNTRAINED, Baseline, find_baseline, read_champion
from nava.registry.mlflow_registry import BASELINE_TAG, CHAMPION, EVALUATION_TAG, IDENTITY_TAG, MlflowRegistry
from nava.registry.mlflow_run import MlflowRun
from nava.runtime.errors import NavaError

CONFIG = RegistryConfig()


@pytest.fixture
def registry(run):
    return MlflowRegistry(CONFIG, run.root)


def champion(run, registry, evaluation, judged_against=UNTRAINED):
    """Register a version of this evaluation and make it champion."""
    mlflow_run = MlflowRun.find_or_start(registry, IDENTITY_TAG, evaluation.sha256)
    mlflow_run.log_folder(evaluation.path, "evaluation")
    tags = {
        IDENTITY_TAG: f"identity of {evaluation.sha256}",
        EVALUATION_TAG: evaluation.sha256,
        BASELINE_TAG: json.dumps(judged_against.to_dict()),
    }
    version = registry.create_version(mlflow_run.run_id, "file:///nowhere", tags)
    registry.move_alias(CHAMPION, version.version)
    return version


def test_without_a_champion_it_is_the_untrained_model(run, registry, tmp_path):
    assert find_baseline(CONFIG, tmp_path / "nowhere", "e") == UNTRAINED
    assert find_baseline(CONFIG, run.root, "e") == UNTRAINED


def test_with_one_it_is_the_champion_and_its_evaluation_can_be_read(run, registry):
    evaluation = run.evaluation(0.5)
    champion(run, registry, evaluation)
    found = find_baseline(CONFIG, run.root, "another evaluation")
    assert found.version == 1
    assert found.label == "champion nava v1"
    evaluated = read_champion(CONFIG, run.root, found)
    assert evaluated.label == "champion nava v1"
    assert evaluated.result.metric("av_sync_flash_gap").value == 0.5
    assert len(evaluated.samples) == 32


def test_a_champion_is_not_compared_with_itself_but_stands_on_its_own_baseline(run, registry):
    first, second = run.evaluation(0.5), run.evaluation(0.6)
    champion(run, registry, first)
    assert find_baseline(CONFIG, run.root, first.sha256) == UNTRAINED
    judged = find_baseline(CONFIG, run.root, second.sha256)
    champion(run, registry, second, judged)
    assert find_baseline(CONFIG, run.root, second.sha256) == judged
    assert find_baseline(CONFIG, run.root, first.sha256).version == 2


def test_the_fingerprint_changes_with_the_champion(run, registry):
    prints = {find_baseline(CONFIG, run.root, "e").fingerprint}
    for gap in (0.5, 0.6):
        champion(run, registry, run.evaluation(gap))
        prints.add(find_baseline(CONFIG, run.root, "e").fingerprint)
    assert len(prints) == 3


def test_a_champion_that_is_gone_is_said(run, registry):
    champion(run, registry, run.evaluation(0.5))
    with pytest.raises(NavaError, match="has lost champion nava v7"):
        read_champion(CONFIG, run.root, Baseline(7, "x", "champion nava v7"))


def test_a_baseline_survives_json_with_numbers_as_doubles():
    assert Baseline.from_dict({"version": 3.0, "fingerprint": "f", "label": "l"}) == Baseline(3, "f", "l")
    assert Baseline.from_dict(UNTRAINED.to_dict()) == UNTRAINED
