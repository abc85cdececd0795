"""Scene cuts against the labelled transitions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.data_accuracy_corpus import Corpus, Row, Span, expected
from benchmarks.data_accuracy_statistics import Score, Tally, bootstrap_f1, share
from nava.data.synthetic.labels import CutLabel, FileLabel

TOLERANCE_S = 0.1
FADES = ("fade", "fade_white")


@dataclass
class Matched:
    """The transitions of one source: found and missed ones, and boundaries where there is none."""

    path: str
    found: list[CutLabel] = field(default_factory=list)
    missed: list[CutLabel] = field(default_factory=list)
    false: list[Span] = field(default_factory=list)

    def tally(self, kinds: Sequence[str]) -> Tally:
        """Only transitions of these kinds; a boundary at another kind is neither right nor wrong."""
        found, missed = (sum(cut.kind in kinds for cut in cuts) for cuts in (self.found, self.missed))
        return Tally(found, len(self.false), missed)


def boundaries(rows: Sequence[Row]) -> list[Span]:
    """Where one scene of a source ends and the next begins; between them may lie what belongs to neither, as in a
    fade."""
    scenes = sorted(
        {
            (row["scene_t0_us"] / 1e6, row["scene_t1_us"] / 1e6, row["scene"])
            for row in rows
            if row.get("scene_t1_us") is not None
        }
    )
    between = [(min(a[1], b[0]), max(a[1], b[0])) for a, b in itertools.pairwise(scenes)]
    # A first scene that does not begin the film has another before it, which left no record.
    return [(scenes[0][0], scenes[0][0]), *between] if scenes and scenes[0][2] > 0 else between


def match(label: FileLabel, rows: Sequence[Row]) -> Matched:
    """Each transition takes the nearest boundary within `TOLERANCE_S` of it that none has taken."""
    result = Matched(label.path)
    free = boundaries(rows)
    for cut in sorted(label.cuts, key=lambda cut: cut.time_s):
        near = [span for span in free if span[1] >= cut.start_s - TOLERANCE_S and span[0] <= cut.end_s + TOLERANCE_S]
        if not near:
            result.missed.append(cut)
            continue
        best = min(near, key=lambda span: abs((span[0] + span[1]) / 2 - cut.time_s))
        free.remove(best)
        result.found.append(cut)
    result.false = free
    return result


def _judged(corpus: Corpus) -> list[Matched]:
    """Every video that can be cut into scenes: the broken ones, and those rejected before for want of sound, cannot;
    nor are copies counted, whose cuts are those of their originals."""
    matched = []
    for label, rows in corpus.records():
        if label.modality != "video" or label.duplicate_of or expected(label)[0] == "quarantined":
            continue
        if label.defect == "without_audio" and not any(row.get("scene_t1_us") is not None for row in rows):
            continue
        matched.append(match(label, rows))
    return matched


def score_cuts(corpus: Corpus) -> list[Score]:
    """Precision, recall and F1; the promise counts transitions of every kind."""
    judged = _judged(corpus)
    kinds = sorted({cut.kind for one in judged for cut in (*one.found, *one.missed)})
    missed = [f"missed {cut.kind} {one.path} {cut.time_s:.2f} s" for one in judged for cut in one.missed]
    false = [f"false {one.path} {span[0]:.2f}-{span[1]:.2f} s" for one in judged for span in one.false]
    precision = [(True, "")] * sum(len(one.found) for one in judged) + [(False, where) for where in false]
    recall = [(True, "")] * sum(len(one.found) for one in judged) + [(False, where) for where in missed]
    scores = [
        _f1("cuts: F1", judged, kinds, 0.97, (*missed, *false)),
        _f1("cuts: F1 without dissolves", judged, [kind for kind in kinds if kind != "dissolve"]),
        _f1("cuts: F1 of hard cuts alone", judged, ["hard"]),
        share("cuts: precision", precision),
        share("cuts: recall", recall),
        _recall("cuts: fades through black and white found", judged, FADES, 0.97),
    ]
    return scores + [_recall(f"cuts: {kind} found", judged, [kind]) for kind in kinds]


def _f1(
    name: str, judged: Sequence[Matched], kinds: Sequence[str], at_least: float | None = None, where: Sequence[str] = ()
) -> Score:
    tallies = [one.tally(kinds) for one in judged]
    total = sum(tallies, Tally())
    return Score(
        name, total.f1, total.hits + total.missed, *bootstrap_f1(tallies), at_least=at_least, examples=tuple(where)
    )


def _recall(name: str, judged: Sequence[Matched], kinds: Sequence[str], at_least: float | None = None) -> Score:
    outcomes = [
        (hit, f"{cut.kind} {one.path} {cut.start_s:.2f}-{cut.end_s:.2f} s")
        for one in judged
        for hit, cuts in ((True, one.found), (False, one.missed))
        for cut in cuts
        if cut.kind in kinds
    ]
    return share(name, outcomes, at_least)
