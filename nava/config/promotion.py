"""What a candidate has to show before it may become champion, and who moves the alias."""

from dataclasses import dataclass, field

from nava.config.benchmark_rule import BenchmarkRule
from nava.config.checks import require_at_least, require_one_of


@dataclass
class PromotionConfig:
    """Rules of the evaluation gate and the promotion policy (values of the `demo` recipe)."""

    policy: str = "auto"  # auto: a pass moves the alias; manual: a person does
    min_n: int = 12  # a metric over fewer clips than this decides nothing: the rule is recorded as not applicable
    synchrony_metric: str = "av_sync_flash_gap"
    # Per-clip measures of the evaluation's samples that the metric is the mean of: the first, less the second.
    synchrony_measures: list[str] = field(default_factory=lambda: ["sync", "sync_shuffled"])
    min_synchrony_gap: float = 0.1  # the lower end of the confidence interval must lie above
    loss_gain_metrics: list[str] = field(
        default_factory=lambda: ["validation_loss_gain_video", "validation_loss_gain_audio"]
    )
    # How much worse than the champion the lower end of the difference's interval may be, in the metric's unit.
    non_inferiority_margin: float = 0.1
    # What results of `nava eval score` must show (docs/gates.md); none by default.
    benchmark_rules: list[BenchmarkRule] = field(default_factory=list)
    bootstrap_samples: int = 2000
    actor: str = "nava-pipeline"

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_one_of(self, "promotion", "policy", ("auto", "manual"))
        require_at_least(self, "promotion", ("min_n", "bootstrap_samples"), 1)
        for number, rule in enumerate(self.benchmark_rules):
            rule.check(f"promotion.benchmark_rules[{number}]")
