"""How clips are sampled."""

from dataclasses import dataclass, field

from nava.config.checks import require_at_least, require_one_of, require_positive


@dataclass
class GuidanceScales:
    """Strength of each condition's guidance of one modality; 0 switches it off and saves its model pass."""

    text: float = 1.0
    align: float = 2.0
    timbre: float = 0.0


@dataclass
class GenerationConfig:
    """Sampler settings of the demo. The release: 25 or 50 steps, shift 5, video 3 / 3, audio 2 / 2, timbre 3."""

    # "corrected", or "release": as the published code samples, its defects included (decision 0007).
    mode: str = "corrected"
    steps: int = 20
    shift: float = 3.0
    # "unipc" or "euler".
    solver: str = "unipc"
    # "conditional": C + text (C - U) + align (C - M) + timbre (C - Z), C the pass with every condition.
    # "unconditional": U + text (C - U), which knows no other scale. Mode release chooses for each modality itself.
    guidance_base: str = "conditional"
    video: GuidanceScales = field(default_factory=GuidanceScales)
    audio: GuidanceScales = field(default_factory=GuidanceScales)
    # Passes of a step in one call of the model: "always", "never", or "auto" where that is faster (small latents).
    batch_passes: str = "auto"
    seed: int = 100
    batch_size: int = 16

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_one_of(self, "generation", "mode", ("corrected", "release"))
        require_one_of(self, "generation", "solver", ("unipc", "euler"))
        require_one_of(self, "generation", "guidance_base", ("conditional", "unconditional"))
        require_one_of(self, "generation", "batch_passes", ("auto", "always", "never"))
        require_at_least(self, "generation", ("steps", "batch_size"), 1)
        require_positive(self, "generation", ("shift",))
