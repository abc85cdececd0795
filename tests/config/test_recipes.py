"""What the recipes of the released model promise."""

from typing import Any

import pytest

from nava.config.composition import compose
from nava.config.model import ModelConfig, release_config
from nava.config.training import TrainingConfig
from nava.runtime.step import typed_section

LARGE = ("paper", "finetune", "lora")
STAGES = ("stage1", "stage2", "stage3")


@pytest.fixture(scope="module", params=LARGE)
def large(request: pytest.FixtureRequest) -> dict[str, Any]:
    return compose(request.param).config


def test_the_model_is_the_released_one(large: dict[str, Any]) -> None:
    released = release_config()
    found = typed_section(ModelConfig, large["model"])
    found.patch_size = released.patch_size
    assert found == released


def test_encoders_give_what_the_model_takes(large: dict[str, Any]) -> None:
    model, latents, conditioning = large["model"], large["latents"], large["conditioning"]
    assert (latents["video"]["type"], latents["video"]["channels"]) == ("wan_video", model["video_channels"])
    assert (latents["audio"]["type"], latents["audio"]["channels"]) == ("ltx_audio", model["audio_channels"])
    assert (conditioning["text_encoder"], conditioning["timbre_encoder"]) == ("umt5", "redimnet")
    assert (conditioning["text_rows"], conditioning["text_width"]) == (model["text_len"], model["text_dim"])
    assert all(large["latents"][name]["weights"] for name in ("video", "audio"))
    assert all(conditioning[f"{name}_weights"] for name in ("text", "timbre"))


def test_clips_are_whole_latents_and_patches(large: dict[str, Any]) -> None:
    clip = large["curation"]["clip"]
    assert all((frames - 1) % 4 == 0 for frames in clip["frame_counts"])
    sizes = [int(side) for bucket in clip["buckets"] for side in bucket.split("x")]
    assert all(side % 32 == 0 for side in sizes)


def test_micro_batches_of_one_task_fill_all_gpus(large: dict[str, Any]) -> None:
    gpus = large["cluster"]["nodes"] * large["cluster"]["gpus_per_node"]
    assert large["loader"]["run_length"] == gpus
    assert large["training"]["micro_batches_per_step"] % gpus == 0


def test_what_is_planned_for_is_what_is_launched(large: dict[str, Any]) -> None:
    launch, cluster = large["launch"], large["cluster"]
    assert (launch["nodes"], launch["processes_per_node"]) == (cluster["nodes"], cluster["gpus_per_node"])


def test_the_paper() -> None:
    config = compose("paper").config
    training = config["training"]
    assert training["learning_rate"] == 5e-5
    assert training["micro_batch_size"] * training["micro_batches_per_step"] == 512
    assert sum(training[stage]["steps"] for stage in STAGES) == 70_000
    assert [(training[s]["audio_only"], training[s]["audio_video"]) for s in STAGES] == [(3, 1), (1, 2), (0, 1)]
    assert config["cluster"]["nodes"] * config["cluster"]["gpus_per_node"] == 128
    for stage in (training[name] for name in STAGES):
        assert (stage["text_dropout"], stage["voice_dropout"], stage["modality_masking"]) == (0.1, 0.2, 0.2)
        tasks = stage["tasks"]
        assert min(tasks.values()) > 0
        assert tasks["ti2av"] + tasks["tia2av"] == tasks["t2av"] + tasks["t2v"]


def test_the_loss_is_weighted_as_the_release_does() -> None:
    diffusion = compose("paper").config["diffusion"]
    weights = (diffusion["video_loss_weight"], diffusion["audio_loss_weight"])
    assert (diffusion["train_shift"], diffusion["gaussian_time_weight"], weights) == (5.0, True, (1.0, 0.2))


@pytest.mark.parametrize("recipe", ["finetune", "lora"])
def test_tuning_is_the_third_stage_alone(recipe: str) -> None:
    training = typed_section(TrainingConfig, compose(recipe).config["training"])
    assert training.stage1.steps == training.stage2.steps == 1
    assert (training.stage3.audio_only, training.stage3.subset) == (0, "")
    assert bool(training.lora.rank) == (recipe == "lora")
