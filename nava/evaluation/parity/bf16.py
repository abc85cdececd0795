"""Forward passes in bfloat16, under the two policies that are used here."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nava.evaluation.parity.comparison import BF16_TOLERANCE, Pair
from nava.evaluation.parity.forward import forward_inputs, velocity_pairs
from nava.evaluation.parity.golden_set import Case, GoldenSet

INPUTS = ("in.",)

_INPUTS_OF = re.compile(r"same inputs as (\w+)")


def recognise(case: Case) -> bool:
    """Velocities in bfloat16."""
    out = [tensor for name, tensor in case.tensors.items() if name.startswith(("out.vid.", "out.audio."))]
    return bool(out) and all(tensor.dtype == torch.bfloat16 for tensor in out)


@torch.no_grad()
def compute(case: Case, goldens: GoldenSet) -> Iterator[Pair]:
    """The pass with the released policy (float32 weights, autocast) and with weights held in bfloat16."""
    source = _with_inputs(case, goldens)
    model = goldens.model(source)
    arguments = forward_inputs(source, model.config.text_len).arguments
    with torch.autocast("cpu", torch.bfloat16):
        video, audio = model(**arguments)
    yield from velocity_pairs(case, video, audio, BF16_TOLERANCE)
    video, audio = copy.deepcopy(model).to(torch.bfloat16)(**_in_bf16(arguments, model))
    yield from velocity_pairs(case, video, audio, BF16_TOLERANCE)


def _with_inputs(case: Case, goldens: GoldenSet) -> Case:
    """The case itself, or the one whose inputs it says it shares."""
    if "in.t" in case.tensors:
        return case
    named = _INPUTS_OF.search(str(case.meta.get("note", "")))
    if named is None:
        raise ValueError("it holds no inputs, and its note does not say 'same inputs as CASE'")
    return goldens.case(named[1])


def _in_bf16(arguments: dict[str, Any], model: nn.Module) -> dict[str, Any]:
    """Latents, text and speakers in the weights' type; times stay as they are."""
    cast = ("video_BCTHW", "audio_BLC", "text_BND", "speaker_SE")
    return {
        name: value.to(torch.bfloat16) if name in cast and isinstance(value, Tensor) else value
        for name, value in arguments.items()
    }
