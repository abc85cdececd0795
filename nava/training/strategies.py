"""The tasks as strategies: the fields of a clip that each needs, and how the inputs of the model are made of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nava.data.loader.tasks import Task
from nava.training.clips import Clips
from nava.training.micro_batches import MicroBatch


@dataclass(frozen=True)
class TaskStrategy:
    """How clips are learned from in one task.

    Attributes:
        task: its name.
        needs: the fields of `LatentBatch` that must be there.
        video: whether the picture is made, and thus learned.
        audio: whether the sound is.
    """

    task: Task
    needs: tuple[str, ...]
    video: bool
    audio: bool

    def clips(self, batch: MicroBatch, with_voices: bool) -> Clips:
        """The inputs of a micro-batch, with what was drawn for it.

        Args:
            batch: latents and draws.
            with_voices: whether the model takes voices; those of the clips are else left out.

        Raises:
            ValueError: a field that the task needs is not there.
        """
        latents = batch.latents
        missing = [name for name in self.needs if getattr(latents, name) is None]
        if missing:
            raise ValueError(f"task {self.task} needs {', '.join(missing)} of its clips: {', '.join(batch.ids)}")
        speakers, slots = _voices(batch) if with_voices else (None, None)
        return Clips(
            latents.video_BCTHW if self.video else None,
            latents.audio_BLC if self.audio else None,
            latents.text_BND * ~batch.text_dropped[:, None, None],
            speakers=speakers,
            speaker_slots=slots,
        )


_BOTH = ("video_BCTHW", "audio_BLC", "text_BND")
STRATEGIES = {
    Task.T2A: TaskStrategy(Task.T2A, ("audio_BLC", "text_BND"), video=False, audio=True),
    Task.T2V: TaskStrategy(Task.T2V, ("video_BCTHW", "text_BND"), video=True, audio=False),
    Task.T2AV: TaskStrategy(Task.T2AV, _BOTH, video=True, audio=True),
    Task.TI2AV: TaskStrategy(Task.TI2AV, _BOTH, video=True, audio=True),
    Task.TIA2AV: TaskStrategy(Task.TIA2AV, (*_BOTH, "voice_SE", "voice_slot_S"), video=True, audio=True),
}


def strategy_of(task: Task) -> TaskStrategy:
    """The strategy of a task."""
    return STRATEGIES[task]


def _voices(batch: MicroBatch) -> tuple[Tensor | None, Tensor | None]:
    """Voices and their slots, without those of samples whose text is dropped. A dropped voice is an unknown one."""
    latents = batch.latents
    if latents.voice_SE is None or latents.voice_slot_S is None:
        return None, None
    assert batch.voice_dropped is not None
    voice_SE = latents.voice_SE * ~batch.voice_dropped[:, None]
    has_text_S = ~batch.text_dropped[latents.voice_slot_S // latents.text_BND.shape[1]]
    if not has_text_S.any():
        return None, None
    return voice_SE[has_text_S], latents.voice_slot_S[has_text_S]
