"""How far a distribution moved between two versions: summary statistics, and two distances that need no assumption.

The two-sample Kolmogorov-Smirnov statistic is the largest gap between the cumulative distributions (0 same, 1 apart).
The population stability index sums (new - old) * ln(new / old) over the shares of bins; by convention below 0.1 is
stable and above 0.25 a large move. Versions share most of their clips, so neither is a test of significance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# Manifest columns in the order in which they are shown, with their units.
NUMERIC_COLUMNS = {
    "duration_s": "s",
    "sharpness": "",
    "blockiness": "",
    "motion": "",
    "static_ratio": "share of frames",
    "exposure": "",
    "lufs": "LUFS",
    "peak_db": "dBFS",
    "clip_ratio": "share of samples",
    "silence_ratio": "share of time",
    "speech_ratio": "share of time",
    "av_offset_s": "s",
    "av_conf": "",
}
CATEGORY_COLUMNS = (
    "modality",
    "split",
    "bucket",
    "licence",
    "origin",
    "collection",
    "tags",
    "audio_tags",
    "visual_tags",
    "speakers",
    "subsets",
    "caption_backend",
    "asr_backend",
)
_PSI_BINS = 10
_PLOT_BINS = 24
# Added to the count of every bin that either version fills, so that none has a share of zero.
_PSI_PRIOR = 0.5
_QUANTILES = {"min": 0.0, "p05": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NumericShift:
    """A measured column in two versions.

    Attributes:
        column: its name in the manifest. unit: of its values.
        old: `n`, `missing` (clips without a value), `mean`, `std` and quantiles of the old version; the statistics are
            absent where nothing was measured. new: of the new one.
        ks: Kolmogorov-Smirnov statistic. psi: population stability index over the old version's deciles. None where a
            version has no value.
        edges: of the bins of both histograms. old_share, new_share: share of the values in each bin.
    """

    column: str
    unit: str
    old: dict[str, float]
    new: dict[str, float]
    ks: float | None
    psi: float | None
    edges: list[float]
    old_share: list[float]
    new_share: list[float]


@dataclass(frozen=True)
class CategoryShift:
    """A column of names in two versions; of a column of lists every name counts once for each clip.

    Attributes:
        column: its name in the manifest.
        old: clips by value, most frequent first, '' for clips without one. new: of the new version.
        psi: population stability index; None where a version has no clip.
    """

    column: str
    old: dict[str, int]
    new: dict[str, int]
    psi: float | None


def numeric_shift(column: str, old: pa.Table, new: pa.Table) -> NumericShift:
    """Compare a column that both manifests have."""
    before, after = _values(old, column), _values(new, column)
    edges = _plot_edges(before, after)
    ks = psi = None
    if before.size and after.size:
        ks, psi = ks_statistic(before, after), _numeric_psi(before, after)
    return NumericShift(
        column=column,
        unit=NUMERIC_COLUMNS.get(column, ""),
        old=_summary(before, old.num_rows),
        new=_summary(after, new.num_rows),
        ks=ks,
        psi=psi,
        edges=edges,
        old_share=_shares(before, edges),
        new_share=_shares(after, edges),
    )


def category_shift(column: str, old: pa.Table, new: pa.Table) -> CategoryShift:
    """Compare a column that both manifests have."""
    before, after = _counts(old, column), _counts(new, column)
    names = sorted(set(before) | set(after))
    psi = None
    if before and after:
        psi = stability_index([before.get(name, 0) for name in names], [after.get(name, 0) for name in names])
    return CategoryShift(column, before, after, psi)


def ks_statistic(old: Values, new: Values) -> float:
    """The two-sample Kolmogorov-Smirnov statistic of two samples that are not empty."""
    points = np.concatenate([old, new])
    below_old = np.searchsorted(np.sort(old), points, side="right") / old.size
    below_new = np.searchsorted(np.sort(new), points, side="right") / new.size
    return float(np.abs(below_old - below_new).max())


def stability_index(old: Sequence[int], new: Sequence[int]) -> float:
    """The population stability index of two histograms over the same bins."""
    counts = np.asarray([pair for pair in zip(old, new, strict=True) if any(pair)], dtype=np.float64)
    before, after = counts.T + _PSI_PRIOR
    before, after = before / before.sum(), after / after.sum()
    return float(((after - before) * np.log(after / before)).sum())


def _numeric_psi(old: Values, new: Values) -> float:
    # Deciles of the old values; the outer bins are open, so that new values beyond the old ones are counted.
    inner = np.unique(np.quantile(old, np.linspace(0, 1, _PSI_BINS + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(inner, values, side="left"), minlength=inner.size + 1) for values in (old, new)
    ]
    return stability_index(counts[0].tolist(), counts[1].tolist())


def _values(table: pa.Table, column: str) -> Values:
    values = np.asarray([value for value in table[column].to_pylist() if value is not None], dtype=np.float64)
    return values[np.isfinite(values)]


def _summary(values: Values, clips: int) -> dict[str, float]:
    result: dict[str, float] = {"n": values.size, "missing": clips - values.size}
    if values.size:
        result |= {"mean": float(values.mean()), "std": float(values.std())}
        result |= {name: float(np.quantile(values, q)) for name, q in _QUANTILES.items()}
    return result


def _plot_edges(old: Values, new: Values) -> list[float]:
    """Bins over what both versions hold, but for the outermost half per cent on either side."""
    values = np.concatenate([old, new])
    if not values.size:
        return []
    low, high = np.quantile(values, [0.005, 0.995])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return [float(edge) for edge in np.linspace(low, high, _PLOT_BINS + 1)]


def _shares(values: Values, edges: list[float]) -> list[float]:
    if not values.size or not edges:
        return []
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=np.asarray(edges))
    return [float(count) / values.size for count in counts]


def _counts(table: pa.Table, column: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for value in table[column].to_pylist():
        names: list[Any] = sorted(set(value)) if isinstance(value, list) else [value]
        counts.update("" if name is None else str(name) for name in names or [""])
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
