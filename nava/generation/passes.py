"""The model's passes of one sampling step: under which conditions each runs, and which of them run together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from nava.diffusion.guidance import Pass

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class VelocityModel(Protocol):
    """What the sampler needs of a model; `nava.model.backbone.NavaTransformer` is one."""

    def __call__(
        self,
        video_BCTHW: Tensor | None,
        audio_BLC: Tensor | None,
        timestep_B: Tensor,
        text_BND: Any,
        *,
        mask_modality: bool | Sequence[bool] = False,
        first_frame_clean: bool = False,
        speaker_SE: Tensor | None = None,
        speaker_slot_S: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Velocities of the latents given."""
        ...


class PreparedContext(Protocol):
    """Text and timbre, ready for a model: see `nava.model.context.Context`."""

    def expand(self, batch: int) -> PreparedContext:
        """The context of one sample for a batch."""
        ...

    @staticmethod
    def cat(contexts: Sequence[Any]) -> PreparedContext:
        """Contexts of several batches as one."""
        ...


@runtime_checkable
class PreparingModel(Protocol):
    """A model that makes text and timbre ready once per request."""

    def prepare(
        self, text_BND: Tensor, speaker_SE: Tensor | None = None, speaker_slot_S: Tensor | None = None
    ) -> PreparedContext:
        """What the model takes in place of `text_BND`."""
        ...


@dataclass(frozen=True)
class Speakers:
    """Timbre conditions of a batch: speaker vectors [S, width] and the context row each replaces, sample * N + row."""

    vectors: Tensor
    slots: Tensor


@dataclass(frozen=True)
class Conditions:
    """What one pass is given: text features [batch or 1, rows, width], timbres, and whether modalities are apart."""

    text: Tensor
    speakers: Speakers | None = None
    mask_modality: bool = False


@dataclass(frozen=True)
class Latents:
    """Video [batch, C, T, H, W] and audio [batch, L, C]; None for an absent modality."""

    video: Tensor | None
    audio: Tensor | None

    def _present(self) -> list[Tensor]:
        return [x for x in (self.video, self.audio) if x is not None]

    def __len__(self) -> int:
        return len(self._present()[0])

    def repeat(self, times: int) -> Latents:
        """The batch `times` over."""
        if times == 1:
            return self
        return Latents(*(None if x is None else torch.cat([x] * times) for x in (self.video, self.audio)))

    def packed(self) -> Tensor:
        """Both modalities in one tensor [batch, elements], video first, float32."""
        return torch.cat([x.flatten(1) for x in self._present()], dim=1).float()


def conditions_of_passes(
    text_BND: Tensor, negative_text_BND: Tensor | None, speakers: Speakers | None, *, mode: str
) -> dict[Pass, Conditions]:
    """The conditions of every pass that guidance may ask for.

    `corrected` is what the model was trained with: zeros for no text, the learned null token for an unknown timbre,
    and the timbre in the pass with the modalities apart. `release` is what the published code does: a negative prompt,
    no timbre in the pass with the modalities apart, and the slot's own text row for an unknown timbre.
    """
    released = mode == "release"
    unknown = None
    if speakers is not None and not released:
        unknown = Speakers(torch.zeros_like(speakers.vectors), speakers.slots)
    return {
        Pass.CONDITIONAL: Conditions(text_BND, speakers),
        # One row of zeros serves every sample.
        Pass.NO_TEXT: Conditions(torch.zeros_like(text_BND[:1]) if negative_text_BND is None else negative_text_BND),
        Pass.NO_ALIGNMENT: Conditions(text_BND, None if released else speakers, mask_modality=True),
        Pass.NO_TIMBRE: Conditions(text_BND, unknown),
    }


class PassRunner:
    """Runs the passes of each step; what does not change between steps is made once, here.

    Args:
        model: predicts velocities. One that can `prepare` is given prepared contexts, and its passes can be batched.
        conditions: of the passes to run.
        batch: samples in the state.
        together: put all passes into one call.
        first_frame_clean: the first latent frame is a condition.
        pass_group: processes to share the passes among, each with the same state; every one gets all velocities.
    """

    def __init__(
        self,
        model: VelocityModel,
        conditions: dict[Pass, Conditions],
        batch: int,
        *,
        together: bool,
        first_frame_clean: bool = False,
        pass_group: ProcessGroup | None = None,
    ) -> None:
        self._model, self._group, self._passes = model, pass_group, list(conditions)
        self._shared: dict[str, Any] = {"first_frame_clean": first_frame_clean}
        own = self._passes
        if pass_group is not None:
            own = self._passes[pass_group.rank() :: pass_group.size()]
        size = max(1, len(own)) if together and isinstance(model, PreparingModel) else 1
        calls = [own[i : i + size] for i in range(0, len(own), size)]
        arguments = _arguments_of_passes(model, {kind: conditions[kind] for kind in own}, batch)
        self._calls = [(call, _join([arguments[kind] for kind in call], batch)) for call in calls]

    def __call__(self, latents: Latents, timestep: Tensor) -> dict[Pass, Tensor]:
        """Velocities of every pass at one time, packed [batch, elements] in float32."""
        batch = len(latents)
        velocities: dict[Pass, Tensor] = {}
        for kinds, arguments in self._calls:
            repeated = latents.repeat(len(kinds))
            time_B = timestep.expand(batch * len(kinds))
            video, audio = self._model(repeated.video, repeated.audio, time_B, **arguments, **self._shared)
            velocities.update(zip(kinds, Latents(video, audio).packed().split(batch)))
        return velocities if self._group is None else self._exchange(velocities, latents, self._group)

    def _exchange(self, velocities: dict[Pass, Tensor], latents: Latents, group: ProcessGroup) -> dict[Pass, Tensor]:
        """Add what the other processes computed. Each pass has one owner, so that the sum with zeros is exact."""
        zero = torch.zeros_like(latents.packed())
        every = torch.stack([velocities.get(kind, zero) for kind in self._passes])
        torch.distributed.all_reduce(every, group=group)
        return dict(zip(self._passes, every))


def _arguments_of_passes(
    model: VelocityModel, conditions: dict[Pass, Conditions], batch: int
) -> dict[Pass, dict[str, Any]]:
    """Text and timbre as the model takes them. Passes that have the same ones share what is prepared."""
    arguments: dict[Pass, dict[str, Any]] = {}
    contexts: dict[tuple[int, int], PreparedContext] = {}
    for kind, c in conditions.items():
        vectors, slots = (None, None) if c.speakers is None else (c.speakers.vectors, c.speakers.slots)
        if isinstance(model, PreparingModel):
            key = (id(c.text), id(c.speakers))
            if key not in contexts:
                contexts[key] = model.prepare(c.text, vectors, slots).expand(batch)
            arguments[kind] = {"text_BND": contexts[key]}
        else:
            text_BND = c.text.expand(batch, -1, -1)
            arguments[kind] = {"text_BND": text_BND, "speaker_SE": vectors, "speaker_slot_S": slots}
        arguments[kind]["mask_modality"] = c.mask_modality
    return arguments


def _join(passes: Sequence[dict[str, Any]], batch: int) -> dict[str, Any]:
    """Arguments of one call that runs several passes, one after another along the batch."""
    if len(passes) == 1:
        return passes[0]
    contexts = [arguments["text_BND"] for arguments in passes]
    flags = [arguments["mask_modality"] for arguments in passes for _ in range(batch)]
    return {"text_BND": type(contexts[0]).cat(contexts), "mask_modality": flags if any(flags) else False}
