"""What a user asks for: a prompt, what it is to be shown with, and how long and large the clip is to be."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from nava.conditioning.voices import Voice
from nava.config.generation import GenerationConfig
from nava.runtime.errors import InputError

# The sampler draws two streams of noise from each seed, and a generator's seed has 63 bits.
SEED_LIMIT = 2**62


class Task(StrEnum):
    """What is made of what: T text, I image, A audio (a reference voice before the 2, sound behind it), V video."""

    T2AV = "T2AV"
    TI2AV = "TI2AV"
    T2A = "T2A"
    T2V = "T2V"
    TIA2AV = "TIA2AV"

    @property
    def has_video(self) -> bool:
        """Whether pictures come out."""
        return "V" in self.partition("2")[2]

    @property
    def has_audio(self) -> bool:
        """Whether sound comes out."""
        return "A" in self.partition("2")[2]

    @property
    def takes_image(self) -> bool:
        """Whether a first frame goes in; it must then be given."""
        return "I" in self.partition("2")[0]


# Tasks that reference voices may be given to; TIA2AV needs one.
VOICE_TASKS = (Task.T2AV, Task.T2A, Task.TIA2AV)


class RequestError(InputError):
    """A request that cannot be fulfilled.

    Args:
        field: the part of the request that is wrong.
        problem: what is wrong with it, in one line, and what to do.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


@dataclass(frozen=True)
class Request:
    """One clip that is wanted.

    Attributes:
        prompt: what is to be seen and heard; spoken words stand between ``<S>`` and ``<E>``.
        seed: of the noise, 0 <= seed < 2**62.
        task: inferred from image and voices where not given.
        seconds: length; the package's own where neither seconds nor frames are given.
        frames: length in frames at the package's rate, instead of seconds.
        size: height and width in pixels; the package's own, or with an image the bucket of its shape, where not given.
        image: file of the picture that the clip begins with.
        voices: reference voices, one for each span of speech in their order, or by the speakers' names.
        sampler: how to sample; the package's own settings where not given.
        fit_sound: cut or fill the sound to the picture's exact length; otherwise the last audio latent stays whole.
    """

    prompt: str
    seed: int = 0
    task: Task | None = None
    seconds: float | None = None
    frames: int | None = None
    size: tuple[int, int] | None = None
    image: Path | None = None
    voices: tuple[Voice, ...] = ()
    sampler: GenerationConfig | None = None
    fit_sound: bool = True


@dataclass(frozen=True)
class SamplerOverrides:
    """Sampler settings that take the place of a package's own where they are given."""

    mode: str | None = None
    steps: int | None = None
    video_text: float | None = None
    video_align: float | None = None
    audio_text: float | None = None
    audio_align: float | None = None
    audio_timbre: float | None = None

    def apply(self, settings: GenerationConfig) -> GenerationConfig:
        """The settings with what is given here.

        Raises:
            InputError: a value that no sampler takes; the message names the setting.
        """
        changes = {name: value for name in ("mode", "steps") if (value := getattr(self, name)) is not None}
        for modality in ("video", "audio"):
            scales = {}
            for scale in ("text", "align", "timbre"):
                value = getattr(self, f"{modality}_{scale}", None)
                if value is not None and not (math.isfinite(value) and value >= 0):
                    raise RequestError(f"guidance of {modality} by {scale}", f"{value} is not a strength of 0 or more")
                if value is not None:
                    scales[scale] = value
            changes[modality] = replace(getattr(settings, modality), **scales)
        changed = replace(settings, **changes)
        changed.check()
        return changed


def infer_task(request: Request) -> Task:
    """The task of a request.

    Raises:
        RequestError: what is given does not fit the task.
    """
    if request.task is None:
        if request.image is None:
            return Task.T2AV
        return Task.TIA2AV if request.voices else Task.TI2AV
    task = request.task
    if request.image is not None and not task.takes_image:
        raise RequestError("image", f"task {task} takes no image; leave the image or the task out")
    if request.image is None and task.takes_image:
        raise RequestError("image", f"task {task} begins with a picture, and none is given")
    if request.voices and task not in VOICE_TASKS:
        raise RequestError("voices", f"task {task} takes no reference voice; leave the voices or the task out")
    if task is Task.TIA2AV and not request.voices:
        raise RequestError("voices", f"task {task} needs a reference voice, and none is given")
    return task


def parse_task(name: str) -> Task:
    """A task by its name, in any case. RequestError names those that exist."""
    try:
        return Task(name.upper())
    except ValueError:
        raise RequestError("task", f"{name!r} is unknown; there are {', '.join(Task)}") from None


def parse_voice(text: str, locate: Callable[[str], Path] = Path) -> Voice:
    """A reference voice as people write it: a file, or `name=file` for the speaker of that name.

    Args:
        text: what was written.
        locate: finds the file.

    Raises:
        RequestError: no file is named.
    """
    named = re.fullmatch(r"([^=/\\]+)=(.*)", text)
    name, file = (named[1].strip(), named[2]) if named and not file_exists(locate(text)) else (None, text)
    if not file.strip() or name == "":
        raise RequestError("voices", f"{text!r} names no file; write FILE or NAME=FILE")
    return Voice(name, locate(file))


def file_exists(path: Path) -> bool:
    """Whether there is something at a path; at one that nothing can have there is not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of a size written as `WIDTHxHEIGHT`, such as 1280x704."""
    found = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text.strip())
    if not found:
        raise RequestError("size", f"{text!r} is no size; write WIDTHxHEIGHT, such as 1280x704")
    return int(found[2]), int(found[1])
