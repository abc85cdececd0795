"""How many clips are generated, how, and what counts as enough of them."""

from dataclasses import dataclass, field


@dataclass
class EvaluationConfig:
    """Evaluation of a checkpoint on held-out prompts (values of the `demo` recipe)."""

    scored_clips: int = 32  # of the family flash, whose synchrony the gate looks at
    other_clips: int = 8  # per other family
    max_families: int = 8  # the scored one and the largest others
    word_clips: int = 4  # training clips that each word's colour or pitch is measured on
    swap_clips: int = 12  # prompts with one word changed, per attribute
    min_clips: int = 5  # fewer give no interval: the metric is skipped with the reason
    min_learned_gap: float = 0.1  # a family counts as learned when the interval of its gap lies above
    validation_clips: int = 64
    validation_sigmas: list[float] = field(default_factory=lambda: [0.2, 0.5, 0.8, 0.95])
    sync_loss_sigma: float = 0.8
    gallery_clips: int = 12  # generated clips to look at; a few references of the same prompts come on top
    gallery_zoom: int = 4
    # Batches made at the same time, each on one thread, so that the result does not depend on how many.
    workers: int = field(default=2, metadata={"identity": False})
