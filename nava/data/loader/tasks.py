"""What a micro-batch trains: the tasks of the paper, and what each of them needs of its clips."""

from enum import StrEnum
from typing import Literal

Modality = Literal["audio", "av"]


class Task(StrEnum):
    """T text, I image, A reference audio (a voice), V video: what is given, and what is made."""

    T2A = "t2a"
    T2AV = "t2av"
    TI2AV = "ti2av"
    T2V = "t2v"
    TIA2AV = "tia2av"

    @property
    def modality(self) -> Modality:
        """Which side of a stage's ratio of audio to audio-video micro-batches the task counts for."""
        return "audio" if self is Task.T2A else "av"

    @property
    def makes_audio(self) -> bool:
        """Whether the sound is learned."""
        return self is not Task.T2V

    @property
    def with_image(self) -> bool:
        """Whether the first frame is given as a condition."""
        return self in (Task.TI2AV, Task.TIA2AV)

    @property
    def needs_voice(self) -> bool:
        """Whether only clips with a reference voice will do."""
        return self is Task.TIA2AV


PAIRED_TASKS = tuple(task for task in Task if task.modality == "av")
