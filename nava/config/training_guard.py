"""Settings of what watches over training: loss spikes, collectives that hang, being told to stop."""

from dataclasses import dataclass, field

from nava.config.checks import require, require_at_least, require_one_of, require_positive

NOT_IDENTITY = {"identity": False}
SPIKE_POLICIES = ("off", "skip", "rewind", "stop")


@dataclass
class GuardConfig:
    """When training acts by itself. A loss or a gradient that is not finite always stops it, before anything is saved.

    A step is a spike when its loss is above the median of the last `spike_window` steps of its kind, with video or
    without, by more than `spike_factor` times their median absolute deviation.
    """

    # "off"; "skip" leaves the update out; "rewind" also goes back to the newest checkpoint and leaves out the
    # micro-batches from there to the spike; "stop" ends with an error. Each is logged with the clips of the step.
    spike_policy: str = "off"
    spike_factor: float = 12.0
    spike_window: int = 50
    # So many skips or rewinds, then it stops; a run that is taken up again counts anew.
    max_spikes: int = 5
    # A collective operation that takes longer ends the process with an error instead of waiting for ever.
    collective_timeout_s: float = field(default=1800.0, metadata=NOT_IDENTITY)
    # What SIGTERM leaves for the step in hand and the save, as the cluster's terminationGracePeriodSeconds.
    grace_period_s: float = field(default=120.0, metadata=NOT_IDENTITY)

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        prefix = "training.guard"
        require_one_of(self, prefix, "spike_policy", SPIKE_POLICIES)
        require_positive(self, prefix, ("spike_factor", "collective_timeout_s", "grace_period_s"))
        require_at_least(self, prefix, ("max_spikes",), 1)
        require(self.spike_window >= 10, f"{prefix}.spike_window", self.spike_window, "at least 10")
