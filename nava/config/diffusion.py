"""The noise schedule and the weights of the flow-matching loss."""

from dataclasses import dataclass

from nava.config.checks import require_at_least, require_one_of, require_positive

LOSS_MODES = ("corrected", "release")


@dataclass
class DiffusionConfig:
    """Flow matching at training time. The release uses shift 5 and an audio weight of 0.2."""

    # "corrected" learns from what is noise and content alone: neither a clean first frame nor padding counts.
    # "release" trains as the published code does: on the first frame it left clean and on filled-up clips as well, and
    # with the video weight applied twice. Both leave out what only makes the samples of a batch equally long.
    loss_mode: str = "corrected"
    # Pushes the uniform noise levels sigma towards 1: shift * sigma / (1 + (shift - 1) * sigma).
    train_shift: float = 3.0
    num_train_timesteps: int = 1000
    video_loss_weight: float = 1.0
    audio_loss_weight: float = 1.0
    # Weight the middle of the schedule, as the release does; off weights all times alike.
    gaussian_time_weight: bool = True

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_one_of(self, "diffusion", "loss_mode", LOSS_MODES)
        require_positive(self, "diffusion", ("train_shift",))
        require_at_least(self, "diffusion", ("num_train_timesteps",), 2)
        require_at_least(self, "diffusion", ("video_loss_weight", "audio_loss_weight"), 0)
