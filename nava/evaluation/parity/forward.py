"""Forward passes: the velocities, and the hidden states on the way if the file holds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from nava.evaluation.parity.comparison import Pair
from nava.evaluation.parity.golden_set import Case, GoldenSet
from nava.evaluation.parity.hidden_states import HiddenStates

INPUTS = ("in.",)


@dataclass(frozen=True)
class ForwardInputs:
    """Arguments of one forward pass over a padded batch, and the sizes of its samples."""

    arguments: dict[str, Any]
    video_sizes: list[tuple[int, int, int]]
    audio_lengths: list[int]


def recognise(case: Case) -> bool:
    """A time and velocities in float32, no loss."""
    names = case.tensors
    out = [names[name] for name in names if name.startswith(("out.vid.", "out.audio."))]
    return "in.t" in names and bool(out) and all(t.dtype == torch.float32 for t in out)


@torch.no_grad()
def compute(case: Case, goldens: GoldenSet) -> Iterator[Pair]:
    """Run the model on the case's inputs."""
    model = goldens.model(case)
    inputs = forward_inputs(case, model.config.text_len)
    with HiddenStates(model) as hidden:
        video, audio = model(**inputs.arguments)
    yield from velocity_pairs(case, video, audio)
    yield from hidden.pairs(case, inputs.video_sizes, inputs.audio_lengths, model.patch)


def forward_inputs(case: Case, text_len: int) -> ForwardInputs:
    """The model's arguments for a case; samples of unequal size are padded with zeros, as in training."""
    arguments: dict[str, Any] = {"video_BCTHW": None, "audio_BLC": None, "timestep_B": case.tensors["in.t"]}
    video, audio = case.samples("in.vid"), case.samples("in.audio")
    if video:
        arguments["video_BCTHW"], sizes = stack_padded(video)
        arguments["video_size_B3"] = sizes[:, 1:] if len(video) > 1 else None
    if audio:
        arguments["audio_BLC"], sizes = stack_padded(audio)
        arguments["audio_length_B"] = sizes[:, 0] if len(audio) > 1 else None
    speakers = case.tensors.get("in.spk_embed")
    # The release has a context per modality but uses one for both: the picture's, unless there are speakers.
    order = ("in.ctx_vid", "in.ctx_audio") if video and speakers is None else ("in.ctx_audio", "in.ctx_vid")
    arguments["text_BND"] = pad_text(case.samples(order[0]) or case.samples(order[1]), text_len)
    if speakers is not None and case.meta.get("spk_pos"):
        arguments |= {"speaker_SE": speakers, "speaker_slot_S": speaker_slots(case.meta["spk_pos"], text_len)}
    arguments["mask_modality"] = bool(case.meta.get("masking_modality", False))
    arguments["first_frame_clean"] = bool(case.meta.get("first_frame_is_clean", False))
    return ForwardInputs(
        arguments, [(v.shape[1], v.shape[2], v.shape[3]) for v in video], [len(sample) for sample in audio]
    )


def velocity_pairs(
    case: Case, video: Tensor | None, audio: Tensor | None, tolerance: float | None = None
) -> Iterator[Pair]:
    """The valid part of each sample's velocity beside the golden one."""
    limit = {} if tolerance is None else {"tolerance": tolerance}
    for i, expected in enumerate(case.samples("out.vid")):
        assert video is not None
        _, frames, height, width = expected.shape
        yield Pair(f"out.vid.{i}", video[i, :, :frames, :height, :width], expected, **limit)
    for i, expected in enumerate(case.samples("out.audio")):
        assert audio is not None
        yield Pair(f"out.audio.{i}", audio[i, : len(expected)], expected, **limit)


def stack_padded(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Zero-pad every axis to the largest and stack; also the sizes, [samples, axes]."""
    sizes = torch.tensor([part.shape for part in parts])
    largest = sizes.amax(0).tolist()
    padding = [[x for size, full in zip(reversed(p.shape), reversed(largest)) for x in (0, full - size)] for p in parts]
    return torch.stack([pad(part, amount) for part, amount in zip(parts, padding)]), sizes


def pad_text(parts: list[Tensor], text_len: int) -> Tensor:
    """Text features [batch, text_len, width], zero rows after each sample's own."""
    return torch.stack([pad(rows, (0, 0, 0, text_len - len(rows))) for rows in parts])


def speaker_slots(positions: list[list[int]], text_len: int) -> Tensor:
    """Context rows of the speakers of a batch, counted over the whole batch."""
    return torch.tensor([sample * text_len + row for sample, rows in enumerate(positions) for row in rows])
