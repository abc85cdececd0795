"""How many clips are generated, how, and what counts as enough of them."""

from dataclasses import dataclass, field

from nava.runtime.errors import InputError


@dataclass
class EvaluationConfig:
    """Evaluation of a checkpoint on held-out prompts (values of the `demo` recipe)."""

    scored_clips: int = 32  # of the family flash, whose synchrony the gate looks at
    other_clips: int = 8  # per other family
    max_families: int = 8  # the scored one and the largest others
    word_clips: int = 4  # training clips that each word's colour or pitch is measured on
    swap_clips: int = 12  # prompts with one word changed, per attribute
    min_clips: int = 5  # fewer give no interval: the metric is skipped with the reason
    min_coverage: float = 0.8  # of the clips with a defined value; fewer, and the metric says nothing of the model
    min_learned_gap: float = 0.1  # a family counts as learned when the interval of its gap lies above
    validation_clips: int = 64
    validation_sigmas: list[float] = field(default_factory=lambda: [0.2, 0.5, 0.8, 0.95])
    sync_loss_sigma: float = 0.8
    gallery_clips: int = 12  # generated clips to look at; a few references of the same prompts come on top
    gallery_zoom: int = 4
    # Batches made at the same time, each on one thread, so that the result does not depend on how many.
    workers: int = field(default=2, metadata={"identity": False})

    def check(self) -> None:
        """Refuse settings that cannot be meant. InputError names the setting and what it may be."""
        least = {"min_clips": 2, "max_families": 1, "word_clips": 1, "workers": 1, "gallery_zoom": 1}
        least |= dict.fromkeys(("scored_clips", "other_clips", "swap_clips", "validation_clips", "gallery_clips"), 0)
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise InputError(f"evaluation.{name} is {getattr(self, name)}; it must be at least {minimum}")
        if not 0 <= self.min_coverage <= 1:
            raise InputError(f"evaluation.min_coverage is {self.min_coverage:g}; it is a share between 0 and 1")
        if not self.validation_sigmas:
            raise InputError("evaluation.validation_sigmas is empty; give at least one noise level between 0 and 1")
        for sigma in (*self.validation_sigmas, self.sync_loss_sigma):
            if not 0 < sigma < 1:
                raise InputError(f"evaluation noise level {sigma:g} is not between 0 and 1 (both excluded)")
