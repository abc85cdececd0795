"""Which settings a golden sampling run stands for, and that every step of it counts."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nava.evaluation.parity.golden_set import Case, GoldenSet
from nava.evaluation.parity.runner import run_set
from nava.evaluation.parity.sampling_run import _config

GOLDENS = GoldenSet(Path(__file__).parents[2] / "data" / "goldens")


@pytest.mark.parametrize(
    ("name", "base", "video", "audio"),
    [
        ("j1_sample_t2av_align", "conditional", (3, 3, 0), (2, 2, 0)),
        ("j2_sample_t2av_align_timbre", "conditional", (3, 3, 0), (2, 2, 3)),
        ("j4_sample_t2a_timbre", "conditional", None, (2, 0, 3)),
        ("j5_sample_t2av_plain_cfg", "unconditional", (3, 0, 0), (2, 0, 0)),
        ("j7_sample_t2v", "unconditional", (3, 0, 0), None),
    ],
)
def test_settings(name: str, base: str, video: tuple[float, ...] | None, audio: tuple[float, ...] | None) -> None:
    config = _config(GOLDENS.case(name))
    assert (config.mode, config.solver, config.guidance_base) == ("release", "unipc", base)
    assert (config.steps, config.shift) == (4, 5.0)
    for scales, expected in ((config.video, video), (config.audio, audio)):
        assert expected is None or (scales.text, scales.align, scales.timbre) == expected


def test_a_picture_without_alignment_beside_timbre_guidance_keeps_its_own_base(own_set: Path) -> None:
    config = _config(GoldenSet(own_set).case("x_timbre_run"))
    assert config.guidance_base == "conditional"
    assert (config.video.text, config.video.align) == (2.0, 0.0)
    assert (config.audio.text, config.audio.timbre) == (2.0, 1.5)


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
    from nava.evaluation.parity.sampling_run import recognise

    found: list[Case] = [case for case in GOLDENS.cases if recognise(case)]
    assert [case.name[:2] for case in found] == ["j1", "j2", "j3", "j4", "j5", "j6", "j7"]
