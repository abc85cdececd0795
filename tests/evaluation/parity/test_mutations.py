"""What parity is for: a small change of the model, the guidance or the solver turns it red."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nava.config.model import ModelConfig
from nava.diffusion.guidance import FactorizedGuider, Pass
from nava.evaluation.parity import golden_set
from nava.evaluation.parity.comparison import Verdict
from nava.evaluation.parity.runner import run_set
from nava.model.backbone import NavaTransformer
from nava.model.blocks import Modulation

GOLDENS = Path(__file__).parents[2] / "data" / "goldens"

Patch = pytest.MonkeyPatch


class Uses:
    """Counts how often a mutated function ran: a mutation of code that no longer runs would prove nothing."""

    def __init__(self) -> None:
        self.count = 0

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def mutated(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            return function(*arguments, **named)

        return mutated


def everywhere(patch: Patch, module: str, name: str, mutated: Callable[..., Any]) -> None:
    """Replace a function in its module and wherever it was imported by name."""
    original = getattr(sys.modules[module], name)
    for other in [m for key, m in sys.modules.items() if key.split(".")[0] == "nava"]:
        if getattr(other, name, None) is original:
            patch.setattr(other, name, mutated)


def config_with(**changes: object) -> Callable[[Patch, Uses], None]:
    def mutate(patch: Patch, uses: Uses) -> None:
        own = golden_set.model_config

        def changed(*arguments: Any) -> ModelConfig:
            return replace(own(*arguments), **changes)  # type: ignore[arg-type]

        patch.setattr(golden_set, "model_config", uses.counted(changed))

    return mutate


def erf_gelu(patch: Patch, uses: Uses) -> None:
    own = torch.nn.functional.gelu

    def gelu(x: torch.Tensor, approximate: str = "none") -> torch.Tensor:
        assert approximate == "tanh"
        return own(x)

    patch.setattr(torch.nn.functional, "gelu", uses.counted(gelu))


def modulation_order(patch: Patch, uses: Uses) -> None:
    own = Modulation.forward

    def swapped(self: Modulation, *arguments: Any) -> Any:
        shift1, scale1, *others = own(self, *arguments)
        return (scale1, shift1, *others)

    patch.setattr(Modulation, "forward", uses.counted(swapped))


def no_modality_mask(patch: Patch, uses: Uses) -> None:
    own = NavaTransformer.forward

    def unmasked(self: NavaTransformer, *arguments: Any, **named: Any) -> Any:
        return own(self, *arguments, **(named | {"mask_modality": False}))

    patch.setattr(NavaTransformer, "forward", uses.counted(unmasked))


def guidance_from_the_negative_pass(patch: Patch, uses: Uses) -> None:
    own = FactorizedGuider.combine

    def based_on_no_text(self: FactorizedGuider, velocities: Any) -> Any:
        return own(self, velocities) - velocities[Pass.CONDITIONAL] + velocities[Pass.NO_TEXT]

    patch.setattr(FactorizedGuider, "combine", uses.counted(based_on_no_text))


def rounded_timesteps(patch: Patch, uses: Uses) -> None:
    def rounded(sigma_N: torch.Tensor) -> torch.Tensor:
        return (sigma_N * 1000).round()

    everywhere(patch, "nava.diffusion.timestep", "model_timesteps", uses.counted(rounded))


def corrected_loss(patch: Patch, uses: Uses) -> None:
    from nava.evaluation.parity import training

    own = training._config

    def corrected(*arguments: Any) -> Any:
        return replace(own(*arguments), loss_mode="corrected")

    patch.setattr(training, "_config", uses.counted(corrected))


MUTATIONS: dict[str, tuple[Callable[[Patch, Uses], None], tuple[str, ...]]] = {
    "eps 1e-5 for 1e-6": (config_with(eps=1e-5), ("a_joint_t2av", "g_batch2")),
    "erf for tanh GELU": (erf_gelu, ("a_joint_t2av", "c_audio_only_t2a")),
    "RoPE factor 0.25 for 0.24": (config_with(audio_rope_scale=0.25), ("a_joint_t2av", "h_rope")),
    "modulation order": (modulation_order, ("a_joint_t2av", "d_video_only_t2v")),
    "no modality mask": (no_modality_mask, ("f_joint_masked", "g3_batch2_masked", "j1_sample_t2av_align")),
    "guidance based on the negative pass": (
        guidance_from_the_negative_pass,
        ("j0_guidance_formula", "j1_sample_t2av_align"),
    ),
    "times rounded, not cut": (rounded_timesteps, ("i_samplers", "j1_sample_t2av_align")),
    "first frame masked in the release's loss": (corrected_loss, ("k2_train_i2v",)),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_turns_parity_red_and_without_it_it_is_green(name: str, monkeypatch: Patch) -> None:
    mutate, cases = MUTATIONS[name]
    before = list(run_set(GOLDENS, cases))
    assert [result.verdict for result in before] == [Verdict.PASSED] * len(cases)
    uses = Uses()
    mutate(monkeypatch, uses)
    for result in run_set(GOLDENS, cases):
        # Red because of what it computed, not because the mutation broke it.
        assert result.verdict is Verdict.FAILED, result.case
        assert "tensors differ" in result.reason
        assert result.worst is not None
        assert math.isfinite(result.worst.error)
        assert result.worst.error > result.worst.tolerance
    assert uses.count, "the mutated code did not run"
    monkeypatch.undo()
    assert all(result.verdict is Verdict.PASSED for result in run_set(GOLDENS, cases))


def test_a_mutation_elsewhere_leaves_the_other_kinds_green(monkeypatch: Patch) -> None:
    rounded_timesteps(monkeypatch, Uses())
    results = {result.case: result.verdict for result in run_set(GOLDENS, ("a_joint_t2av", "h_rope", "k1_train_joint"))}
    assert set(results.values()) == {Verdict.PASSED}
