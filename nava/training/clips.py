"""What a loss is computed from: clips as tensors, whoever chose and prepared them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Clips:
    """A batch to learn from: latents, what describes them, and how much of each sample there is.

    Two kinds of padding differ. A batch of unequal samples is padded to its largest, and that part is no sample's: it
    is neither attended nor learned. A clip shorter than its slot may have been filled up with repeated frames and
    silence: the release attends to that and learns it, the corrected mode treats it like the other kind.

    Attributes:
        video: clean latents [batch, channels, frames, height, width], or None.
        audio: clean latents [batch, length, channels], or None.
        text: features [batch, rows, width].
        video_size: (frames, height, width) of each sample when the batch is padded; None when all fill it.
        audio_length: audio latents of each sample when the batch is padded.
        content_frames: latent frames of each sample that are its own and not filled up; None when all are.
        content_length: the same of the audio latents.
        speakers: speaker vectors [speakers, width].
        speaker_slots: the context row each speaker replaces, sample * text_len + row.
        weight: how much each sample counts, 1 on average; None when all count alike.
    """

    video: Tensor | None
    audio: Tensor | None
    text: Tensor
    video_size: Tensor | None = None
    audio_length: Tensor | None = None
    content_frames: Tensor | None = None
    content_length: Tensor | None = None
    speakers: Tensor | None = None
    speaker_slots: Tensor | None = None
    weight: Tensor | None = None
