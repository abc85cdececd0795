"""The noise schedule and the weights of the flow-matching loss."""

from dataclasses import dataclass


@dataclass
class DiffusionConfig:
    """Flow matching at training time. The release uses shift 5 and an audio weight of 0.2."""

    # Pushes the uniform noise levels sigma towards 1: shift * sigma / (1 + (shift - 1) * sigma).
    train_shift: float = 3.0
    num_train_timesteps: int = 1000
    video_loss_weight: float = 1.0
    audio_loss_weight: float = 1.0
    # Weight the middle of the schedule, as the release does; off weights all times alike.
    gaussian_time_weight: bool = True
