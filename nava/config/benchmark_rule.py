"""A rule on a benchmark's figure: what a model's result must show in itself, and against the champion's."""

import math
from dataclasses import dataclass

from nava.config.checks import require, require_at_least, require_one_of

ON_INTERVAL, ON_VALUE = "interval", "value"
NON_INFERIORITY, SIGNIFICANT_LOSS = "non_inferiority", "significant_loss"
# With 4000 resamples a smaller one would be told by less than two of them at each end.
LEAST_SIGNIFICANCE = 0.001
DEFAULT_COVERAGE = 0.9


@dataclass
class BenchmarkRule:
    """One rule. A bound holds if it is met exactly; whether a metric may have it depends on what of it is better.

    Attributes:
        task: the result's task with edition and version, as `summary.json` names it.
        metric, backend: whose figure; both, because a figure of another backend is another figure.
        minimum, maximum: bound of a metric of which higher, or lower, is better.
        bound_on: `interval`: its worse end must keep the bound; `value`: the figure alone.
        max_regression: how much worse than the champion, in the metric's unit; paired over the items of both.
        regression_test: `non_inferiority`: the interval of the difference must exclude a greater loss;
            `significant_loss`: the rule is broken only if the whole interval shows a greater loss.
        significance: of that interval, two-sided: 0.05 is the 95 % interval.
        min_coverage: share of the eligible items with a value, 0.9 if None; a rule may consist of it alone.
        min_items: with fewer values, or fewer pairs, nothing is decided.
        required: what cannot be decided (no result, no figure, an unproven backend) breaks the rule; else it is
            recorded as not applicable.
        allow_unproven: whether a backend that has never run on its real weights may decide.
    """

    task: str
    metric: str
    backend: str
    minimum: float | None = None
    maximum: float | None = None
    bound_on: str = ON_INTERVAL
    max_regression: float | None = None
    regression_test: str = NON_INFERIORITY
    significance: float = 0.05
    min_coverage: float | None = None
    min_items: int = 12
    required: bool = True
    allow_unproven: bool = False

    @property
    def column(self) -> str:
        """What the figure is called."""
        return f"{self.metric}[{self.backend}]"

    @property
    def least_coverage(self) -> float:
        """The coverage that is asked for."""
        return DEFAULT_COVERAGE if self.min_coverage is None else self.min_coverage

    def check(self, where: str) -> None:
        """Refuse a rule that nothing could follow from. InputError names the field, after `where`."""
        for name in ("task", "metric", "backend"):
            value = getattr(self, name)
            require(bool(value.strip()), f"{where}.{name}", value, "a name")
        for name in ("minimum", "maximum", "max_regression", "significance", "min_coverage"):
            value = getattr(self, name)
            require(value is None or math.isfinite(value), f"{where}.{name}", value, "a finite number")
        require_one_of(self, where, "bound_on", (ON_INTERVAL, ON_VALUE))
        require_one_of(self, where, "regression_test", (NON_INFERIORITY, SIGNIFICANT_LOSS))
        require_at_least(self, where, ("min_items",), 2)
        regression, significance = self.max_regression, self.significance
        require(regression is None or regression >= 0, f"{where}.max_regression", regression, "0 or more")
        allowed = f"between {LEAST_SIGNIFICANCE:g} and 0.5"
        require(LEAST_SIGNIFICANCE <= significance <= 0.5, f"{where}.significance", significance, allowed)
        require(0 <= self.least_coverage <= 1, f"{where}.min_coverage", self.min_coverage, "between 0 and 1")
        both = self.minimum is not None and self.maximum is not None
        require(not both, f"{where}.maximum", self.maximum, "absent where there is a minimum: one way is better")
        criteria = (self.minimum, self.maximum, self.max_regression, self.min_coverage)
        asked = any(value is not None for value in criteria)
        require(asked, where, self.column, "given minimum, maximum, max_regression or min_coverage: it asks nothing")
