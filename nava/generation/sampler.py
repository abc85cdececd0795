"""From noise to latents under guidance: the one sampler that command line, evaluation and serving use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.diffusion.guidance import ClassifierFreeGuider, FactorizedGuider, Guider, Pass
from nava.diffusion.solver import build_solver
from nava.diffusion.timestep import model_timesteps, sampling_sigmas
from nava.runtime.errors import InputError

VideoShape = tuple[int, int, int, int]
AudioShape = tuple[int, int]


class VelocityModel(Protocol):
    """What the sampler needs of a model; `nava.model.backbone.NavaTransformer` is one."""

    def __call__(
        self,
        video_BCTHW: Tensor | None,
        audio_BLC: Tensor | None,
        timestep_B: Tensor,
        text_BND: Tensor,
        *,
        mask_modality: bool = False,
        first_frame_clean: bool = False,
        speaker_SE: Tensor | None = None,
        speaker_slot_S: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Velocities of the latents given."""
        ...


@dataclass(frozen=True)
class Speakers:
    """Timbre conditions of a batch: speaker vectors [S, width] and the context row each replaces, sample * N + row."""

    vectors: Tensor
    slots: Tensor


@torch.no_grad()
def sample_latents(
    model: VelocityModel,
    text_BND: Tensor,
    video_shape: VideoShape | None,
    audio_shape: AudioShape | None,
    config: GenerationConfig,
    seeds: Sequence[int],
    *,
    negative_text_BND: Tensor | None = None,
    speakers: Speakers | None = None,
    first_frame_BCHW: Tensor | None = None,
    repin_first_frame: bool = True,
    timbre_in_align_pass: bool = True,
) -> tuple[Tensor | None, Tensor | None]:
    """Sample latents [batch, C, T, H, W] and [batch, L, C] for a batch of prompts.

    A sample's noise comes from its own seed, so that what is in the batch beside it makes no difference but rounding.

    Args:
        model: predicts velocities; put it in eval mode.
        text_BND: features of the prompts.
        video_shape: latent (C, T, H, W), or None for sound alone.
        audio_shape: latent (L, C), or None for pictures alone.
        config: steps, solver and guidance.
        seeds: one per prompt, 0 <= seed < 2**62.
        negative_text_BND: features of the pass without text; zeros, as in training, if not given.
        speakers: reference timbres.
        first_frame_BCHW: clean first latent frame to continue (image condition).
        repin_first_frame: put the clean frame into the result; the release does not.
        timbre_in_align_pass: keep the timbre in the pass with the modalities apart; the release drops it there.

    Raises:
        InputError: no modality, a wrong number of seeds, or settings that contradict each other.
    """
    if len(seeds) != len(text_BND):
        raise InputError(f"{len(text_BND)} prompts but {len(seeds)} seeds; give one seed for each prompt")
    state = _State.noise(seeds, video_shape, audio_shape, text_BND.device)
    if first_frame_BCHW is not None and video_shape is None:
        raise InputError("a first frame was given, but no video is to be generated")
    guiders = _guiders(
        config, with_video=video_shape is not None, with_audio=audio_shape is not None, speakers=speakers
    )
    needed = {kind for guider in guiders.values() for kind in guider.passes}
    negative_BND = torch.zeros_like(text_BND) if negative_text_BND is None else negative_text_BND
    arguments: dict[Pass, tuple[Tensor, bool, Speakers | None]] = {
        Pass.CONDITIONAL: (text_BND, False, speakers),
        Pass.NO_TEXT: (negative_BND, False, None),
        Pass.NO_ALIGNMENT: (text_BND, True, speakers if timbre_in_align_pass else None),
        Pass.NO_TIMBRE: (text_BND, False, None),
    }
    sigma_N = sampling_sigmas(config.steps, config.shift)
    solver = build_solver(config.solver, sigma_N)
    for timestep in model_timesteps(sigma_N)[:-1]:
        state.pin(first_frame_BCHW)
        timestep_B = timestep.to(text_BND.device).expand(len(text_BND))
        velocities: dict[Pass, dict[str, Tensor]] = {}
        for kind in (kind for kind in Pass if kind in needed):
            text, apart, voices = arguments[kind]
            video, audio = model(
                state.video,
                state.audio,
                timestep_B,
                text,
                mask_modality=apart,
                first_frame_clean=first_frame_BCHW is not None,
                speaker_SE=None if voices is None else voices.vectors,
                speaker_slot_S=None if voices is None else voices.slots,
            )
            both = {"video": video, "audio": audio}
            velocities[kind] = {name: v.float() for name, v in both.items() if v is not None}
        guided = {
            name: guider.combine({kind: velocities[kind][name] for kind in guider.passes})
            for name, guider in guiders.items()
        }
        state.packed = solver.step(state.pack(guided), state.packed)
    if repin_first_frame:
        state.pin(first_frame_BCHW)
    return state.video, state.audio


class _State:
    """Latents of both modalities in one tensor [batch, elements], video first, so that a solver steps them at once."""

    def __init__(self, packed: Tensor, video_shape: VideoShape | None, audio_shape: AudioShape | None) -> None:
        self.packed = packed
        self._video_shape, self._audio_shape = video_shape, audio_shape
        self._split = math.prod(video_shape) if video_shape else 0

    @classmethod
    def noise(
        cls, seeds: Sequence[int], video_shape: VideoShape | None, audio_shape: AudioShape | None, device: torch.device
    ) -> _State:
        """Draw each sample's noise, video and audio from streams of their own: either is the same without the other."""
        if video_shape is None and audio_shape is None:
            raise InputError("nothing to generate: give a video shape, an audio shape, or both")
        rows = []
        for seed in seeds:
            if not 0 <= seed < 2**62:
                raise InputError(f"seed {seed} is outside 0 .. 2**62 - 1")
            streams = [(shape, 2 * seed + i) for i, shape in enumerate((video_shape, audio_shape)) if shape]
            parts = [torch.randn(math.prod(shape), generator=torch.Generator().manual_seed(s)) for shape, s in streams]
            rows.append(torch.cat(parts))
        return cls(torch.stack(rows).to(device), video_shape, audio_shape)

    @property
    def video(self) -> Tensor | None:
        """View of the video latents, [batch, C, T, H, W]."""
        if self._video_shape is None:
            return None
        return self.packed[:, : self._split].unflatten(1, self._video_shape)

    @property
    def audio(self) -> Tensor | None:
        """View of the audio latents, [batch, L, C]."""
        return None if self._audio_shape is None else self.packed[:, self._split :].unflatten(1, self._audio_shape)

    def pack(self, parts: dict[str, Tensor]) -> Tensor:
        """Lay out tensors of both modalities like the state."""
        present = (("video", self._video_shape), ("audio", self._audio_shape))
        return torch.cat([parts[name].flatten(1) for name, shape in present if shape], dim=1)

    def pin(self, first_frame_BCHW: Tensor | None) -> None:
        """Overwrite the first latent frame with the clean one, if there is one."""
        video = self.video
        if first_frame_BCHW is not None and video is not None:
            self.packed = self.packed.clone()
            video = self.video
            assert video is not None
            video[:, :, 0] = first_frame_BCHW


def _guiders(
    config: GenerationConfig, *, with_video: bool, with_audio: bool, speakers: Speakers | None
) -> dict[str, Guider]:
    """A guider for each modality present; terms without meaning (no second modality, no speaker) are left out."""
    joint = with_video and with_audio
    guiders: dict[str, Guider] = {}
    if with_video:
        # Timbre guidance is for the sound only, as in the release.
        guiders["video"] = _guider("video", config, config.video, align=joint, timbre=False)
    if with_audio:
        guiders["audio"] = _guider("audio", config, config.audio, align=joint, timbre=speakers is not None)
    return guiders


def _guider(name: str, config: GenerationConfig, scales: GuidanceScales, *, align: bool, timbre: bool) -> Guider:
    if config.guidance_base == "conditional":
        return FactorizedGuider(scales.text, scales.align if align else 0.0, scales.timbre if timbre else 0.0)
    if config.guidance_base == "unconditional":
        if (align and scales.align) or (timbre and scales.timbre):
            raise InputError(
                f"{name}.align and {name}.timbre must be 0 with guidance_base unconditional, which only knows text"
            )
        return ClassifierFreeGuider(scales.text)
    raise InputError(f"guidance_base is {config.guidance_base!r}; it must be conditional or unconditional")
