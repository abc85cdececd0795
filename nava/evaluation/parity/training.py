"""Training losses and gradients, through the loss that trains models here, in its mode `release`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nava.config.diffusion import DiffusionConfig
from nava.diffusion.loss import LossTerms
from nava.diffusion.timestep import NoiseLevels, TrainingSchedule
from nava.evaluation.parity.comparison import RUN_TOLERANCE, Pair
from nava.evaluation.parity.forward import pad_text, speaker_slots, stack_padded
from nava.evaluation.parity.golden_set import Case, GoldenSet
from nava.training.clips import Clips
from nava.training.objective import Noise, clip_loss

INPUTS = ("in.z0_", "in.noise_", "in.ctx", "in.spk_embed", "in.t")

# The shift that the release trains with; a case may state another.
_SHIFT = 5.0
# Times are written in float32 thousandths of a step of the grid.
_TIME_TOLERANCE = 1e-3


def recognise(case: Case) -> bool:
    """A loss, and the clean latents it is of."""
    return "out.loss" in case.tensors and any(name.startswith("in.z0_") for name in case.tensors)


def compute(case: Case, goldens: GoldenSet) -> Iterator[Pair]:
    """The loss, its parts, and the gradients of the parameters that the file names."""
    model, tensors = goldens.model(case), case.tensors
    config = _config(case)
    levels = _levels(case, config)
    yield Pair("in.weight", levels.weight, tensors["in.weight"])
    clips, noise = _clips(case, model.config.text_len)
    model.zero_grad(set_to_none=True)
    terms = clip_loss(
        model,
        clips,
        noise,
        levels,
        config,
        mask_modality=bool(case.meta.get("masking_modality", False)),
        first_frame_clean=bool(case.meta.get("is_i2v", False)) and clips.video is not None,
    )
    loss = float(case.meta.get("lambda_ddpm", 1.0)) * terms.total
    loss.backward()
    yield from _loss_pairs(case, loss, terms)
    yield from _gradient_pairs(case, model)
    model.zero_grad(set_to_none=True)


def _config(case: Case) -> DiffusionConfig:
    return DiffusionConfig(
        loss_mode="release",
        train_shift=float(case.meta.get("shift", _SHIFT)),
        video_loss_weight=float(case.meta.get("vision_loss_coff", 1.0)),
        audio_loss_weight=float(case.meta.get("audio_loss_coff", 1.0)),
        gaussian_time_weight=bool(case.meta.get("use_loss_reweight", True)),
    )


def _levels(case: Case, config: DiffusionConfig) -> NoiseLevels:
    """The noise levels of the case's times on the grid that training draws from."""
    schedule, timestep_B = TrainingSchedule(config), case.tensors["in.t"]
    distance_BN = (timestep_B[:, None] - schedule.timestep_N[None, :]).abs()
    index_B = distance_BN.argmin(dim=1)
    if float(distance_BN.amin(dim=1).max()) > _TIME_TOLERANCE:
        raise ValueError(f"the times {timestep_B.tolist()} are not on the training grid of shift {config.train_shift}")
    return schedule.at(index_B)


def _clips(case: Case, text_len: int) -> tuple[Clips, Noise]:
    """The case's padded batch, and the noise. Goldens lay video latents out as [T, H, W, channels]."""
    video = case.samples("in.z0_vid") if case.meta.get("video", True) else []
    audio = case.samples("in.z0_audio") if case.meta.get("audio", True) else []
    video_BCTHW, video_size_B3 = _video(video)
    audio_BLC, audio_size = stack_padded(audio) if audio else (None, None)
    speakers, positions = case.tensors.get("in.spk_embed"), case.meta.get("spk_pos") or []
    with_speakers = speakers is not None and bool(positions)
    clips = Clips(
        video_BCTHW,
        audio_BLC,
        pad_text(case.samples("in.ctx"), text_len),
        video_size=video_size_B3,
        audio_length=None if audio_size is None else audio_size[:, 0],
        speakers=speakers if with_speakers else None,
        speaker_slots=speaker_slots(positions, text_len) if with_speakers else None,
    )
    video_noise = _video(case.samples("in.noise_vid")[: len(video)])[0]
    return clips, Noise(video_noise, stack_padded(case.samples("in.noise_audio"))[0] if audio else None)


def _video(parts_THWC: list[Tensor]) -> tuple[Tensor | None, Tensor | None]:
    if not parts_THWC:
        return None, None
    video_BCTHW, size_B4 = stack_padded([part.movedim(-1, 0) for part in parts_THWC])
    return video_BCTHW, size_B4[:, 1:]


def _loss_pairs(case: Case, loss: Tensor, terms: LossTerms) -> Iterator[Pair]:
    found = {
        "out.loss": loss,
        "out.ddpm_vid": terms.weighted_video,
        "out.ddpm_audio": terms.weighted_audio,
        "out.ddpm_vid_noreweight": terms.video,
        "out.ddpm_audio_noreweight": terms.audio,
    }
    for name, value in found.items():
        if name in case.tensors:
            # The release reports the loss of a modality that is not there as zero.
            answer = torch.zeros_like(case.tensors[name]) if value is None else value
            yield Pair(name, answer.detach(), case.tensors[name], RUN_TOLERANCE)


def _gradient_pairs(case: Case, model: nn.Module) -> Iterator[Pair]:
    parameters = dict(model.named_parameters())
    for name, expected in case.tensors.items():
        if name.startswith("grad."):
            parameter = parameters[name.removeprefix("grad.")]
            grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            yield Pair(name, grad.detach().clone(), expected, RUN_TOLERANCE)
        elif name == "grad_norm":
            grads = [parameter.grad for parameter in parameters.values() if parameter.grad is not None]
            yield Pair(name, torch.nn.utils.get_total_norm(grads), expected, RUN_TOLERANCE)
