"""From noise to latents under guidance: the one sampler that command line, evaluation and serving use."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.diffusion.guidance import ClassifierFreeGuider, FactorizedGuider, Guider, Pass
from nava.diffusion.solver import build_solver
from nava.diffusion.timestep import model_timesteps, sampling_sigmas
from nava.generation.passes import Conditions, Latents, PassRunner, Speakers, VelocityModel, conditions_of_passes
from nava.runtime.errors import InputError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

VideoShape = tuple[int, int, int, int]
AudioShape = tuple[int, int]

# Up to this many latent positions in a pass (of all samples together; 2 x 2 of video make a token), the passes of a
# step cost less in one call than one by one: small matrix products leave a processor idle. Above it each pass fills it
# by itself, and batching costs a little (benchmarks/model.md).
BATCHED_POSITIONS = 4096


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
    initial_noise: Latents | None = None,
    on_step: Callable[[int, int], None] | None = None,
    pass_group: ProcessGroup | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """Sample latents [batch, C, T, H, W] and [batch, L, C] for a batch of prompts.

    A sample's noise comes from its own seed, so that what is in the batch beside it makes no difference but rounding.
    The loop never waits for an accelerator.

    Args:
        model: predicts velocities; put it in eval mode.
        text_BND: features of the prompts.
        video_shape: latent (C, T, H, W), or None for sound alone.
        audio_shape: latent (L, C), or None for pictures alone.
        config: steps, solver, guidance, and the mode (see `conditions_of_passes` and `build_guiders`; in mode release
            the first frame is left as the last step makes it).
        seeds: one per prompt, 0 <= seed < 2**62.
        negative_text_BND: features of the pass without text, per prompt or one for all; zeros if not given.
        speakers: reference timbres.
        first_frame_BCHW: clean first latent frame to continue (image condition).
        initial_noise: where to start, in place of the noise of the seeds.
        on_step: called after each step with the steps done and their total.
        pass_group: processes that share the passes of each step; all call this alike and get the same result.

    Raises:
        InputError: no modality, a wrong number of seeds, or settings that contradict each other.
    """
    _check(text_BND, video_shape, config, seeds, first_frame_BCHW)
    state = _State.noise(seeds, video_shape, audio_shape, text_BND.device)
    if initial_noise is not None:
        state.packed = initial_noise.packed().to(text_BND.device)
    guiders = build_guiders(
        config,
        with_video=video_shape is not None,
        with_audio=audio_shape is not None,
        with_speakers=speakers is not None,
    )
    conditions = _needed(guiders, conditions_of_passes(text_BND, negative_text_BND, speakers, mode=config.mode))
    if config.mode == "release" and Pass.NO_TEXT in conditions and negative_text_BND is None:
        raise InputError("mode release guides away from a negative prompt; give its text features, or mode corrected")
    runner = PassRunner(
        model,
        conditions,
        len(seeds),
        together=_together(config, state.positions),
        first_frame_clean=first_frame_BCHW is not None,
        pass_group=pass_group,
    )
    _integrate(state, runner, guiders, config, first_frame_BCHW, on_step)
    return state.latents.video, state.latents.audio


def _check(
    text_BND: Tensor,
    video_shape: VideoShape | None,
    config: GenerationConfig,
    seeds: Sequence[int],
    first_frame_BCHW: Tensor | None,
) -> None:
    if len(seeds) != len(text_BND):
        raise InputError(f"{len(text_BND)} prompts but {len(seeds)} seeds; give one seed for each prompt")
    if first_frame_BCHW is not None and video_shape is None:
        raise InputError("a first frame was given, but no video is to be generated")
    config.check()


def _integrate(
    state: _State,
    runner: PassRunner,
    guiders: Mapping[str, Guider],
    config: GenerationConfig,
    first_frame_BCHW: Tensor | None,
    on_step: Callable[[int, int], None] | None,
) -> None:
    """Take the state from noise to data."""
    sigma_N = sampling_sigmas(config.steps, config.shift)
    solver = build_solver(config.solver, sigma_N)
    timestep_N = model_timesteps(sigma_N).to(state.packed.device)
    for step in range(config.steps):
        state.pin(first_frame_BCHW)
        velocities = runner(state.latents, timestep_N[step])
        state.packed = solver.step(_guided(guiders, velocities, state.video_elements), state.packed)
        if on_step is not None:
            on_step(step + 1, config.steps)
    if config.mode == "corrected":
        state.pin(first_frame_BCHW)


def _guided(guiders: Mapping[str, Guider], velocities: Mapping[Pass, Tensor], video_elements: int) -> Tensor:
    """Each modality's velocities combined by its own guider, packed like the state."""
    sections = {"video": slice(0, video_elements), "audio": slice(video_elements, None)}
    parts = [
        guider.combine({kind: velocities[kind][:, sections[name]] for kind in guider.passes})
        for name, guider in guiders.items()
    ]
    return torch.cat(parts, dim=1)


class _State:
    """Latents of both modalities in one tensor [batch, elements], video first, so that a solver steps them at once."""

    def __init__(self, packed: Tensor, video_shape: VideoShape | None, audio_shape: AudioShape | None) -> None:
        self.packed = packed
        self._video_shape, self._audio_shape = video_shape, audio_shape
        self.video_elements = math.prod(video_shape) if video_shape else 0

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
    def latents(self) -> Latents:
        """Views of the latents of each modality."""
        video, audio = self.packed.tensor_split([self.video_elements], dim=1)
        return Latents(
            video.unflatten(1, self._video_shape) if self._video_shape else None,
            audio.unflatten(1, self._audio_shape) if self._audio_shape else None,
        )

    @property
    def positions(self) -> int:
        """Latent positions of all samples: elements of both modalities, not counting channels."""
        video = math.prod(self._video_shape[1:]) if self._video_shape else 0
        return len(self.packed) * (video + (self._audio_shape[0] if self._audio_shape else 0))

    def pin(self, first_frame_BCHW: Tensor | None) -> None:
        """Overwrite the first latent frame with the clean one, if there is one."""
        if first_frame_BCHW is None:
            return
        self.packed = self.packed.clone()
        video = self.latents.video
        assert video is not None
        video[:, :, 0] = first_frame_BCHW


def build_guiders(
    config: GenerationConfig, *, with_video: bool, with_audio: bool, with_speakers: bool
) -> dict[str, Guider]:
    """A guider for each modality present; terms without meaning (no second modality, no speaker) are left out.

    Mode release guides a modality from the pass without text unless alignment or, for sound, timbre guides it too; its
    switch for alignment is one for both modalities, and stands for a scale that is not 0 in either. Mode corrected has
    `guidance_base`.

    Raises:
        InputError: the base knows only text, and other scales are not 0.
    """
    aligned = with_video and with_audio and bool(config.video.align or config.audio.align)
    voiced = with_speakers and bool(config.audio.timbre)
    guiders: dict[str, Guider] = {}
    if with_video:
        # Timbre guidance is for the sound only, as in the release.
        guiders["video"] = _guider("video", config, config.video, align=aligned, timbre=False)
    if with_audio:
        guiders["audio"] = _guider("audio", config, config.audio, align=aligned, timbre=voiced)
    return guiders


def _needed(guiders: Mapping[str, Guider], conditions: Mapping[Pass, Conditions]) -> dict[Pass, Conditions]:
    needed = {kind for guider in guiders.values() for kind in guider.passes}
    return {kind: c for kind, c in conditions.items() if kind in needed}


def _together(config: GenerationConfig, positions: int) -> bool:
    return config.batch_passes == "always" or (config.batch_passes == "auto" and positions <= BATCHED_POSITIONS)


def _guider(name: str, config: GenerationConfig, scales: GuidanceScales, *, align: bool, timbre: bool) -> Guider:
    factorized = FactorizedGuider(scales.text, scales.align if align else 0.0, scales.timbre if timbre else 0.0)
    if config.mode == "release":
        return factorized if align or timbre else ClassifierFreeGuider(scales.text)
    if config.guidance_base == "conditional":
        return factorized
    if factorized.align or factorized.timbre:
        raise InputError(
            f"{name}.align and {name}.timbre must be 0 with guidance_base unconditional, which only knows text"
        )
    return ClassifierFreeGuider(scales.text)
