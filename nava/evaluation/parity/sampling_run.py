"""Whole sampling runs, through the sampler that generates here, in its mode `release`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.diffusion.guidance import Guider, Pass
from nava.evaluation.parity.comparison import RUN_TOLERANCE, Pair
from nava.evaluation.parity.forward import pad_text, speaker_slots
from nava.evaluation.parity.golden_set import Case, GoldenSet
from nava.generation.passes import Latents, Speakers
from nava.generation.sampler import build_guiders, sample_latents
from nava.model.backbone import NavaTransformer

INPUTS = ("in.",)

_STREAMS = {"video": "vid", "audio": "audio"}
_PASSES = {
    Pass.CONDITIONAL: "cond",
    Pass.NO_TEXT: "uncond",
    Pass.NO_ALIGNMENT: "mmask",
    Pass.NO_TIMBRE: "timbre_uncond",
}
_STEP = re.compile(r"step(?P<step>\d+)\.(?P<what>\w+)_(?P<stream>vid|audio)")


def recognise(case: Case) -> bool:
    """Initial noise, and a number of steps."""
    return "num_steps" in case.meta and any(name.startswith("in.noise_") for name in case.tensors)


def compute(case: Case, goldens: GoldenSet) -> Iterator[Pair]:
    """Sample from the case's noise; compare the result and, where the file has them, every step on the way."""
    return compute_with(case, goldens, release_settings(case))


def compute_with(case: Case, goldens: GoldenSet, config: GenerationConfig) -> Iterator[Pair]:
    """The same with settings of one's own."""
    model = goldens.model(case)
    with _Recorder(model) as recorder:
        result = _sample(case, model, config)
    for modality, latents in zip(_STREAMS, result):
        name = f"out.{_STREAMS[modality]}"
        if latents is not None and name in case.tensors:
            yield Pair(name, _golden_layout(latents)[0], case.tensors[name], RUN_TOLERANCE)
    if "timesteps" in case.tensors:
        yield Pair("timesteps", torch.tensor([step.timestep for step in recorder.steps]), case.tensors["timesteps"])
    guiders = build_guiders(
        config,
        with_video="in.noise_vid" in case.tensors,
        with_audio="in.noise_audio" in case.tensors,
        with_speakers=_speakers(case, model) is not None,
    )
    for name, expected in case.tensors.items():
        if match := _STEP.fullmatch(name):
            yield Pair(name, _on_the_way(match, case, recorder, guiders), expected, RUN_TOLERANCE)


def release_settings(case: Case) -> GenerationConfig:
    """The case's settings; a guidance that its switches leave off has scale 0 here."""
    meta = case.meta

    def scale(name: str, on: bool = True) -> float:
        return float(meta.get(f"{name}_guidance_scale", 0.0)) if on else 0.0

    align, timbre = bool(meta.get("align_3d_cfg")), bool(meta.get("timbre_cfg"))
    return GenerationConfig(
        mode="release",
        steps=int(meta["num_steps"]),
        shift=float(meta["shift"]),
        solver="unipc",
        video=GuidanceScales(scale("video"), scale("video_align", align), 0.0),
        audio=GuidanceScales(scale("audio"), scale("audio_align", align), scale("timbre_align", timbre)),
    )


def _sample(case: Case, model: NavaTransformer, config: GenerationConfig) -> tuple[Tensor | None, Tensor | None]:
    text_len, tensors = model.config.text_len, case.tensors
    video, audio = tensors.get("in.noise_vid"), tensors.get("in.noise_audio")
    video_BCTHW = None if video is None else video.T.unflatten(1, case.meta["grid"])[None]
    audio_BLC = None if audio is None else audio[None]
    first = tensors.get("in.first_frame.0")
    # The release has a negative prompt per modality but uses the picture's for both when there is a picture.
    negative = case.samples("in.ctx_neg_audio" if video is None else "in.ctx_neg_vid")
    return sample_latents(
        model,
        pad_text(case.samples("in.ctx_pos"), text_len),
        None if video_BCTHW is None else _shape(video_BCTHW),
        None if audio_BLC is None else _shape(audio_BLC),
        config,
        [0],
        negative_text_BND=pad_text(negative, text_len),
        speakers=_speakers(case, model),
        first_frame_BCHW=None if first is None else first.movedim(-1, 1),
        initial_noise=Latents(video_BCTHW, audio_BLC),
    )


def _speakers(case: Case, model: NavaTransformer) -> Speakers | None:
    if not case.meta.get("spk_pos") or "in.spk_embs" not in case.tensors:
        return None
    return Speakers(case.tensors["in.spk_embs"], speaker_slots(case.meta["spk_pos"], model.config.text_len))


def _shape(latents: Tensor) -> Any:
    return tuple(latents.shape[1:])


def _golden_layout(latents: Tensor) -> Tensor:
    """Video latents [batch, C, T, H, W] as [batch, T*H*W, C]; audio latents have that layout already."""
    return latents.flatten(2).movedim(1, 2) if latents.dim() == 5 else latents


class _Step:
    """What the model was given and answered at one time: a row for each pass, in whatever batches they came."""

    def __init__(self, timestep: float) -> None:
        self.timestep = timestep
        self.given: dict[str, list[Tensor]] = {name: [] for name in _STREAMS.values()}
        self.answered: dict[str, list[Tensor]] = {name: [] for name in _STREAMS.values()}

    def nearest(self, rows: list[Tensor], golden: Tensor) -> Tensor:
        """The row nearest to a golden one: the sampler is free to order and batch its passes."""
        return min(rows, key=lambda row: float((row - golden).abs().max()))


class _Recorder:
    """Records the calls of a model while it is entered."""

    def __init__(self, model: nn.Module) -> None:
        self.steps: list[_Step] = []
        self._model = model

    def __enter__(self) -> _Recorder:
        self._handle = self._model.register_forward_hook(self._record, with_kwargs=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def _record(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        names = ("video_BCTHW", "audio_BLC", "timestep_B")
        given = dict(zip(names, args)) | kwargs
        timestep = float(given["timestep_B"].flatten()[0])
        if not self.steps or self.steps[-1].timestep != timestep:
            self.steps.append(_Step(timestep))
        step = self.steps[-1]
        for stream, latents, velocity in zip(_STREAMS.values(), (given[name] for name in names[:2]), output):
            if latents is not None:
                step.given[stream] += list(_golden_layout(latents.detach().clone()))
                step.answered[stream] += list(_golden_layout(velocity.detach().float()))


def _on_the_way(match: re.Match[str], case: Case, recorder: _Recorder, guiders: Mapping[str, Guider]) -> Tensor:
    """This code's value of `step<i>.<what>_<stream>`."""
    what, stream = match["what"], match["stream"]
    step = recorder.steps[int(match["step"])]
    prefix = f"step{match['step']}"
    if what == "latents":
        return step.nearest(step.given[stream], case.tensors[match[0]])
    if what != "guided":
        return step.nearest(step.answered[stream], case.tensors[match[0]])
    guider = guiders["video" if stream == "vid" else "audio"]
    velocities = {
        kind: step.nearest(step.answered[stream], case.tensors[f"{prefix}.{_PASSES[kind]}_{stream}"])
        for kind in guider.passes
    }
    return guider.combine(velocities)
