"""The formulas that combine the velocities of several passes."""

from __future__ import annotations

from collections.abc import Iterator

from nava.diffusion.guidance import ClassifierFreeGuider, FactorizedGuider, Guider, Pass
from nava.evaluation.parity.comparison import Pair
from nava.evaluation.parity.golden_set import Case, GoldenSet

PASSES = {Pass.CONDITIONAL: "cond", Pass.NO_TEXT: "uncond", Pass.NO_ALIGNMENT: "mmask", Pass.NO_TIMBRE: "timbre"}
INPUTS = tuple(f"{name}_" for name in PASSES.values())


def recognise(case: Case) -> bool:
    """Guidance scales, and the velocities of the passes."""
    return "scales" in case.meta and "cond_vid" in case.tensors


def compute(case: Case, goldens: GoldenSet) -> Iterator[Pair]:
    """Each formula of the file on the velocities it holds."""
    scales: dict[str, float] = case.meta["scales"]
    video, audio = scales["video_guidance_scale"], scales["audio_guidance_scale"]
    video_align, audio_align = scales["video_align_guidance_scale"], scales["audio_align_guidance_scale"]
    timbre = scales["timbre_align_guidance_scale"]
    formulas: dict[str, Guider] = {
        "vid.noalign": ClassifierFreeGuider(video),
        "vid.align": FactorizedGuider(video, video_align),
        "aud.plain": ClassifierFreeGuider(audio),
        "aud.align": FactorizedGuider(audio, audio_align),
        "aud.timbre": FactorizedGuider(audio, 0.0, timbre),
        "aud.align_timbre": FactorizedGuider(audio, audio_align, timbre),
    }
    for name, guider in formulas.items():
        if name in case.tensors:
            stream = "vid" if name.startswith("vid") else "audio"
            velocities = {kind: case.tensors[f"{golden}_{stream}"] for kind, golden in PASSES.items()}
            yield Pair(name, guider.combine({kind: velocities[kind] for kind in guider.passes}), case.tensors[name])
