import subprocess
import sys
from dataclasses import asdict

import pytest
import torch

from nava.artifacts import evaluation_result
from nava.config.conditioning import ConditioningConfig
from nava.config.evaluation import EvaluationConfig
from nava.config.generation import GenerationConfig
from nava.config.latents import LatentsConfig
from nava.evaluation.step import evaluate
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.step import Step
from tests.evaluation.tiny_corpus import write_tiny_corpus

SECTIONS = {
    "evaluation": asdict(
        EvaluationConfig(swap_clips=0, gallery_clips=1, word_clips=1, validation_sigmas=[0.5], workers=1)
    ),
    "generation": asdict(GenerationConfig(steps=1)),
    "latents": asdict(LatentsConfig()),
    "conditioning": asdict(ConditioningConfig()),
}


@pytest.fixture(scope="module")
def handles(tmp_path_factory):
    corpus = write_tiny_corpus(tmp_path_factory.mktemp("corpus"), heldout_flash=5, train_flash=3)
    return Handle.of_path("checkpoint", corpus.checkpoint), Handle.of_path("latent_shards", corpus.shards)


def step(folder, **changes):
    return Step("evaluate", folder, "run", SECTIONS | changes, seed=3, key="0" * 64, workdir=folder)


def test_the_step_returns_a_result_with_its_primary_metrics(handles, tmp_path, capsys):
    threads = torch.get_num_threads()
    handle = evaluate(step(tmp_path), *handles)
    result = evaluation_result.read(handle.path)
    assert handle.kind == "evaluation_result"
    assert handle.meta["metrics"]["av_sync_flash_gap"]["n"] == 5
    assert result.checkpoint["sha256"] == handles[0].sha256
    assert result.shards_sha256 == handles[1].sha256
    assert "Flash: " in capsys.readouterr().out
    assert torch.get_num_threads() == threads


def test_handles_of_another_kind_are_refused(handles, tmp_path):
    with pytest.raises(InputError, match="expected a handle of kind 'checkpoint'"):
        evaluate(step(tmp_path), handles[1], handles[1])


def test_a_setting_that_cannot_be_meant_is_refused_before_anything_is_made(handles, tmp_path):
    wrong = SECTIONS["evaluation"] | {"workers": 0}
    with pytest.raises(InputError, match=r"evaluation\.workers is 0; it must be at least 1"):
        evaluate(step(tmp_path, evaluation=wrong), *handles)
    assert list(tmp_path.iterdir()) == []


def test_a_cached_step_does_not_import_what_computes():
    code = "import sys, nava.evaluation.step; print([m for m in ('torch', 'av', 'scipy', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
