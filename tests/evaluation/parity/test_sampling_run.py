"""Which settings a golden sampling run stands for, and that every step of it counts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nava.config.generation import GenerationConfig
from nava.config.model import release_config
from nava.diffusion.guidance import FactorizedGuider
from nava.evaluation.parity.comparison import compare
from nava.evaluation.parity.golden_set import Case, GoldenSet
from nava.evaluation.parity.runner import run_set
from nava.evaluation.parity.sampling_run import compute_with, recognise, release_settings
from nava.generation import sampler
from nava.registry.release_package import default_clip

GOLDENS = GoldenSet(Path(__file__).parents[2] / "data" / "goldens")


RUNS = [case.name for case in GOLDENS.cases if recognise(case)]


@pytest.mark.parametrize(
    ("name", "video", "audio"),
    [
        ("j1_sample_t2av_align", (3, 3, 0), (2, 2, 0)),
        ("j2_sample_t2av_align_timbre", (3, 3, 0), (2, 2, 3)),
        ("j4_sample_t2a_timbre", (5, 0, 0), (2, 0, 3)),
        ("j5_sample_t2av_plain_cfg", (3, 0, 0), (2, 0, 0)),
        ("j7_sample_t2v", (3, 0, 0), (2, 0, 0)),
    ],
)
def test_settings(name: str, video: tuple[float, ...], audio: tuple[float, ...]) -> None:
    config = release_settings(GOLDENS.case(name))
    assert (config.mode, config.solver, config.steps, config.shift) == ("release", "unipc", 4, 5.0)
    assert (config.video.text, config.video.align, config.video.timbre) == video
    assert (config.audio.text, config.audio.align, config.audio.timbre) == audio


def shipped(case: Case) -> GenerationConfig:
    """What a package of the released model samples with in its mode, changed only where the case says otherwise."""
    sampler = default_clip(release_config()).sampler
    video, audio = sampler.video, sampler.audio
    video = replace(video, text=case.meta["video_guidance_scale"])
    if {"in.noise_vid", "in.noise_audio"} <= set(case.tensors) and not case.meta["align_3d_cfg"]:
        video, audio = replace(video, align=0.0), replace(audio, align=0.0)
    return replace(sampler, mode="release", steps=case.meta["num_steps"], video=video, audio=audio)


@pytest.mark.parametrize("batch_passes", ["never", "always"])
@pytest.mark.parametrize("name", RUNS)
def test_what_a_package_ships_in_mode_release_samples_as_the_release_does(name: str, batch_passes: str) -> None:
    case = GOLDENS.case(name)
    config = replace(shipped(case), batch_passes=batch_passes)
    calls: list[int] = []
    hook = GOLDENS.model(case).register_forward_hook(lambda *_: calls.append(1))
    errors = [compare(pair) for pair in compute_with(case, GOLDENS, config)]
    hook.remove()
    assert {error.name: error.error for error in errors if not error.within} == {}
    assert {error.name for error in errors} == {name for name in case.tensors if not name.startswith("in.")}
    passes = sum(name.startswith("step0.") and name.endswith(("_vid", "_audio")) for name in case.tensors)
    modalities = sum(name in case.tensors for name in ("in.noise_vid", "in.noise_audio"))
    # Of each step and modality the file has every pass, the state, and the guided velocity.
    assert len(calls) == 4 * (1 if batch_passes == "always" else passes // modalities - 2)


def test_a_case_changes_little_of_what_a_package_ships() -> None:
    own = replace(default_clip(release_config()).sampler, mode="release", steps=4)
    changed = [name for name in RUNS if shipped(GOLDENS.case(name)) != own]
    # j4 is sound alone and states a scale for pictures that are not there; j5 switches alignment off.
    assert changed == ["j4_sample_t2a_timbre", "j5_sample_t2av_plain_cfg"]
    assert {GOLDENS.case(name).meta["shift"] for name in RUNS} == {own.shift}


def test_a_base_of_its_own_for_each_modality_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures' base without alignment is the pass without text: with the other one, j7 is red."""
    case = GOLDENS.case("j7_sample_t2v")
    monkeypatch.setattr(sampler, "ClassifierFreeGuider", FactorizedGuider)
    errors = [compare(pair) for pair in compute_with(case, GOLDENS, shipped(case))]
    worst = next(error for error in errors if error.name == "out.vid")
    assert worst.error > 0.1


@pytest.mark.parametrize(
    "tensor",
    [
        "step0.latents_vid",
        "step1.cond_audio",
        "step2.uncond_vid",
        "step2.mmask_audio",
        "step3.timbre_uncond_audio",
        "step3.guided_vid",
        "in.noise_audio",
        "in.ctx_neg_vid.0",
        "in.spk_embs",
        "in.first_frame.0",
    ],
)
def test_every_part_of_a_run_counts(tensor: str, subset: Callable[..., Path], changed: Callable[..., None]) -> None:
    name = "j3_sample_ti2av_align_timbre"
    folder = subset(name)
    (before,) = run_set(folder)
    assert before.reason == ""

    def disturb(values: torch.Tensor) -> None:
        values.view(-1)[0] += 0.5

    changed(folder, name, tensor, disturb)
    (after,) = run_set(folder)
    wrong = {error.name for error in after.tensors if not error.within}
    assert (tensor in wrong) if tensor.startswith("step") else (len(wrong) > 3)


def test_noise_and_steps_make_a_run_and_nothing_else_does() -> None:
    assert [name[:2] for name in RUNS] == ["j1", "j2", "j3", "j4", "j5", "j6", "j7"]
