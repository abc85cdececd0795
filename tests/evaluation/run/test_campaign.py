"""A campaign: what is refused is a row, what is finished is kept, what is killed goes on, baselines are baselines."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nava.evaluation.extraction.feature_cache import FeatureCache
from nava.evaluation.run.arm import MODEL, SHUFFLED, TRUTH, UNTRAINED, Arm, first_items, read_arm
from nava.evaluation.run.campaign import Campaign, EvaluatedModel, make_outputs, planned_lines
from nava.evaluation.run.parts import backend_groups, join_parts, read_part, score_arms, write_part, write_results
from nava.evaluation.run.records import read_rows, read_summary
from nava.evaluation.run.score import ScoringSettings
from nava.evaluation.run.untrained import untrained
from nava.generation.loading import load_generator
from nava.generation.media import read_mp4
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree
from tests.evaluation.run.tiny_campaign import a_campaign, a_model, quietly
from tests.generation.voice_package import VoicePackage, write_voice_package

ONE = ScoringSettings(workers=1, attempts=1)
ALL = (UNTRAINED, SHUFFLED, TRUTH)
REFUSED = "one-2"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> VoicePackage:
    return write_voice_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    a_campaign(folder)
    return folder


class Made:
    """A campaign with all baselines, made and scored once."""

    def __init__(self, package: VoicePackage, data: Path, out: Path) -> None:
        self.out, self.campaign, self.said = out, a_campaign(data, *ALL), list[str]()
        self.arms = make_outputs(self.campaign, a_model(package.folder), out, self.said.append)
        self.scores = score_arms(self.campaign, self.arms, FeatureCache(out / "features"), ONE, quietly)
        self.results = write_results(self.campaign, self.arms, self.scores, out, ONE)

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)

    def values(self, name: str, metric: str) -> dict[str, float | None]:
        return {row.item_id: row.value for row in self.scores[name].rows if row.metric == metric}


@pytest.fixture(scope="module")
def made(package: VoicePackage, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(package, data, tmp_path_factory.mktemp("campaign"))


def test_every_arm_has_its_folder_and_its_result(made: Made) -> None:
    assert [arm.label for arm in made.arms] == ["tiny", "tiny, untrained", "tiny, shuffled", "truth"]
    assert sorted(path.name for path in made.out.iterdir()) == [
        "features", "outputs", "outputs.json", "requests.jsonl", "result", "shuffled", "truth", "untrained",
    ]  # fmt: skip
    for name, folder in made.results.items():
        assert folder == made.out / ("" if name == MODEL else name) / "result"
        assert read_summary(folder)["items"] == 5
        assert len(read_rows(folder / "rows.jsonl")) == 2 * 5
    asked = [json.loads(line) for line in (made.out / "requests.jsonl").read_text().splitlines()]
    assert [line["id"] for line in asked] == [item.item_id for item in made.campaign.items]
    assert all("image_path" not in line for line in asked)


def test_what_the_model_refuses_is_a_row_with_its_reason(made: Made) -> None:
    for name in (MODEL, UNTRAINED, SHUFFLED):
        reasons = {row.item_id: row.reason for row in made.scores[name].rows if row.reason}
        assert reasons.keys() == {REFUSED}
        assert "the model refused the request: prompt: " in reasons[REFUSED]
    assert made.values(TRUTH, "flicker")[REFUSED] is not None
    figure = next(figure for figure in made.scores[MODEL].figures if figure.metric == "flicker")
    assert (figure.n, figure.eligible, figure.covered) == (4, 5, False)
    assert "the model refused the request" in figure.reason
    sets = next(figure for figure in made.scores[MODEL].figures if figure.level == "set")
    assert any("the model refused the request" in reason for reason in sets.reasons or {})


def test_shuffled_clips_have_the_models_pictures_and_others_sound(made: Made) -> None:
    own, shuffled = made.arm(MODEL).files, made.arm(SHUFFLED).files
    assert own.keys() == shuffled.keys()
    assert made.values(SHUFFLED, "flicker") == made.values(MODEL, "flicker")
    for item, path in shuffled.items():
        found = read_mp4(path).samples
        assert not np.array_equal(found, read_mp4(own[item]).samples)
        others = [read_mp4(other).samples for name, other in own.items() if name != item and name[:3] == item[:3]]
        assert any(np.array_equal(found, other) for other in others)


def test_the_truth_scores_as_the_truth(made: Made) -> None:
    fd = {
        name: figure.value for name in (TRUTH, MODEL) for figure in made.scores[name].figures if figure.level == "set"
    }
    assert fd[TRUTH] == pytest.approx(0.0, abs=1e-6)
    assert fd[MODEL] is not None
    assert fd[MODEL] > 1.0


def test_the_untrained_model_is_the_same_model_with_other_weights(package: VoicePackage) -> None:
    trained = load_generator(package.folder, dtype=torch.bfloat16)
    fresh, again, other = untrained(trained, 1), untrained(trained, 1), untrained(trained, 2)
    own, drawn = dict(trained.model.named_parameters()), dict(fresh.model.named_parameters())
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in own.items()} == {
        name: (tensor.shape, tensor.dtype) for name, tensor in drawn.items()
    }
    assert any(not torch.equal(own[name], drawn[name]) for name in own)
    assert all(torch.equal(tensor, drawn[name]) for name, tensor in again.model.named_parameters())
    assert any(not torch.equal(tensor, drawn[name]) for name, tensor in other.model.named_parameters())
    assert (fresh.sampler, fresh.video_shape, fresh.fps) == (trained.sampler, trained.video_shape, trained.fps)
    assert len({generator.origin.weights_sha256 for generator in (trained, fresh, other)}) == 3


def test_again_nothing_is_loaded_and_nothing_changes(package: VoicePackage, made: Made) -> None:
    before, loaded, said = sha256_tree(made.out), list[str](), list[str]()
    arms = make_outputs(made.campaign, a_model(package.folder, loaded), made.out, said.append)
    assert loaded == []
    assert said[0] == "tiny: all 4 outputs are there"
    assert [arm.files for arm in arms] == [arm.files for arm in made.arms]
    assert sha256_tree(made.out) == before


def test_what_is_lost_is_made_again_and_no_more(package: VoicePackage, data: Path, tmp_path: Path) -> None:
    campaign, said = a_campaign(data, SHUFFLED), list[str]()
    (first, shuffled) = make_outputs(campaign, a_model(package.folder), tmp_path, said.append)
    whole = sha256_tree(tmp_path)
    first.files["one-0"].unlink()
    shuffled.files["two-1"].write_bytes(b"torn")
    times = {
        path: path.stat().st_mtime_ns for path in (*first.files.values(), *shuffled.files.values()) if path.exists()
    }
    said.clear()
    make_outputs(campaign, a_model(package.folder), tmp_path, said.append)
    assert sum(": written: " in line for line in said) == 1
    assert sha256_tree(tmp_path) == whole
    changed = [path for path, at in times.items() if path.stat().st_mtime_ns != at]
    assert changed == [shuffled.files["two-1"]]


def test_other_settings_are_other_clips(package: VoicePackage, data: Path, tmp_path: Path) -> None:
    campaign = a_campaign(data)
    (first,) = make_outputs(campaign, a_model(package.folder), tmp_path, print)
    before = first.files["one-0"].read_bytes()
    for model, changed in (
        (a_model(package.folder, steps=3), campaign),
        (a_model(package.folder), replace(campaign, seed=7)),
    ):
        (arm,) = make_outputs(changed, model, tmp_path, print)
        assert arm.files["one-0"].read_bytes() != before
        before = arm.files["one-0"].read_bytes()


def test_an_accident_is_tried_again_and_its_reason_kept(
    package: VoicePackage, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nava.generation import batch

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    campaign = a_campaign(data)
    with monkeypatch.context() as broken:
        broken.setattr(batch, "write_output", full)
        (arm,) = make_outputs(campaign, a_model(package.folder), tmp_path, print)
    assert arm.files == {}
    assert arm.reasons["one-0"] == "generation failed: no space left on device"
    assert set(read_arm(tmp_path).accidents) == {"one-0", "one-1", "two-0", "two-1"}
    (arm,) = make_outputs(campaign, a_model(package.folder), tmp_path, print)
    assert set(arm.files) == {"one-0", "one-1", "two-0", "two-1"}


def test_latents_that_are_not_finite_are_a_reason_and_no_clip(
    package: VoicePackage, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nava.generation import pipeline

    sampled = pipeline.sample_latents

    def spoilt(*given: Any, **named: Any) -> Any:
        video, audio = sampled(*given, **named)
        return video if video is None else video * float("nan"), audio

    monkeypatch.setattr(pipeline, "sample_latents", spoilt)
    (arm,) = make_outputs(a_campaign(data), a_model(package.folder), tmp_path, print)
    assert arm.files == {}
    assert "picture latents are not finite" in arm.reasons["one-0"]


def test_clips_of_an_earlier_model_are_not_taken_for_this_ones(
    package: VoicePackage, data: Path, tmp_path: Path
) -> None:
    campaign = a_campaign(data)
    make_outputs(campaign, a_model(package.folder), tmp_path, print)
    mute = replace(campaign, items=tuple(replace(item, prompt="<S>no end") for item in campaign.items))
    (arm,) = make_outputs(mute, a_model(package.folder), tmp_path, print)
    assert arm.files == {}, "the old files are still there, but they are of other requests"
    assert len(arm.reasons) == 5


def test_parts_joined_are_what_one_process_computes(made: Made, tmp_path: Path) -> None:
    task, cache = made.campaign.task, FeatureCache(made.out / "features")
    names = [name for group in backend_groups(task, ()).values() for name in group]
    assert len(names) > 2
    for number, name in enumerate(reversed(names)):
        part = score_arms(made.campaign, made.arms, cache, ONE, quietly, [name])
        write_part(tmp_path / str(number), part)
    parts = [read_part(tmp_path / str(number)) for number in range(len(names))]
    joined = join_parts(task, made.campaign.arms, parts, ())
    write_results(made.campaign, made.arms, joined, tmp_path / "joined", ONE)
    for name, folder in made.results.items():
        assert sha256_tree(tmp_path / "joined" / ("" if name == MODEL else name) / "result") == sha256_tree(folder)
    with pytest.raises(InputError, match="is in two parts of the scores"):
        join_parts(task, made.campaign.arms, [*parts, parts[0]], ())
    with pytest.raises(InputError, match="no part of the scores holds"):
        join_parts(task, made.campaign.arms, parts[1:], ())


def test_baselines_that_cannot_be_are_refused_at_once(data: Path) -> None:
    campaign = a_campaign(data)
    with pytest.raises(InputError, match="there is no baseline random; there are untrained, shuffled, truth"):
        replace(campaign, baselines=("random",))
    with pytest.raises(InputError, match="does not come with the true clips"):
        replace(campaign, baselines=(TRUTH,), task=replace(campaign.task, layout="verse_bench"))


def test_the_plan_says_what_is_there(made: Made, data: Path, tmp_path: Path) -> None:
    assert planned_lines(made.campaign, made.out) == [
        "Tiny: 5 items (one 3, two 2), 3 metrics",
        "model: 4 of 5 outputs are there",
        "untrained: 4 of 5 outputs are there",
        "shuffled: 4 of 5 outputs are there",
        "truth: 5 of 5 outputs are there",
    ]
    assert planned_lines(a_campaign(data), tmp_path)[1] == "model: 0 of 5 outputs are there"


def test_the_first_items_of_each_subset(data: Path) -> None:
    items = list(reversed(a_campaign(data).items))
    assert [item.item_id for item in first_items(items, 1)] == ["one-0", "two-0"]
    assert [item.item_id for item in first_items(items, 2)] == ["one-0", "one-1", "two-0", "two-1"]
    assert len(first_items(items, 0)) == 5


def test_killed_at_any_moment_it_ends_as_if_undisturbed(package: VoicePackage, made: Made, tmp_path: Path) -> None:
    command = [sys.executable, "-m", __name__, str(package.folder), str(made.campaign.benchmark), str(tmp_path)]
    for files in (2, 12):
        process = subprocess.Popen(command, start_new_session=True)
        while process.poll() is None and len(_finished(tmp_path)) < files:
            time.sleep(0.005)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, check=False).returncode == 0
    for name, folder in made.results.items():
        assert sha256_tree(tmp_path / ("" if name == MODEL else name) / "result") == sha256_tree(folder)
    for arm in made.arms:
        mine = read_arm(tmp_path if arm.name == MODEL else tmp_path / arm.name)
        assert {item: path.read_bytes() for item, path in mine.files.items()} == {
            item: path.read_bytes() for item, path in arm.files.items()
        }


def _finished(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in (".mp4", ".safetensors")]


def run(campaign: Campaign, model: EvaluatedModel, out: Path) -> None:
    arms = make_outputs(campaign, model, out, print)
    scores = score_arms(campaign, arms, FeatureCache(out / "features"), ONE, quietly)
    write_results(campaign, arms, scores, out, ONE)


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(a_campaign(Path(sys.argv[2]), *ALL), a_model(Path(sys.argv[1])), Path(sys.argv[3]))
