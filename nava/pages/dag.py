"""The pipeline as a drawing: a layered layout, folded into rows so that a long chain stays readable.

Layers are longest paths from the start; edges that a longer path already implies are left out (the steps' details name
every dependency); an edge over several layers passes through a slot of its own in each (after Sugiyama et al., 1981).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from statistics import fmean

from nava.pages.formats import format_seconds
from nava.pages.run_facts import StepFacts
from nava.pages.shell import anchor

_HEIGHT, _ROW_GAP, _BAND_GAP, _MARGIN = 66.0, 14.0, 40.0, 18.0
_ICONS = {
    "succeeded": "M-3.5 0.3l2.4 2.6 4.6-5.4",
    "failed": "M-3-3l6 6m0-6l-6 6",
    "gate_failed": "M-3-3l6 6m0-6l-6 6",
    "running": "M0-3.5a3.5 3.5 0 1 1-3.5 3.5",
    "interrupted": "M0-3.5v4M0 3.4v.1",
}
_WORDS = {
    "pending": "not reached",
    "skipped": "skipped",
    "running": "running",
    "gate_failed": "gate said no",
    "interrupted": "interrupted",
}


@dataclass(frozen=True)
class Placed:
    """A node's slot: `layer` from the start, its top left corner, and the top of its row of layers, in pixels."""

    layer: int
    x: float
    y: float
    band_top: float


@dataclass(frozen=True)
class Layout:
    """Where nodes are, which edges to draw, each as the slots it passes through, and the drawing's size in pixels."""

    nodes: Mapping[str, Placed]
    edges: Sequence[Sequence[Placed]]
    width: float
    height: float


def layers(depends_on: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The longest path to each node, in edges. Names that are no node are ignored.

    Raises:
        ValueError: the nodes depend on each other in a circle.
    """
    depth: dict[str, int] = {}
    open_names: set[str] = set()

    def visit(name: str) -> int:
        if name in open_names:
            raise ValueError(f"steps depend on each other in a circle, through '{name}'")
        if name not in depth:
            open_names.add(name)
            depth[name] = max((visit(parent) + 1 for parent in depends_on[name] if parent in depends_on), default=0)
            open_names.remove(name)
        return depth[name]

    for name in depends_on:
        visit(name)
    return depth


def reduce_edges(depends_on: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """The edges (from, to) that no longer path implies: the transitive reduction."""
    depth = layers(depends_on)
    above: dict[str, set[str]] = {}
    for name in sorted(depends_on, key=depth.__getitem__):
        parents = [parent for parent in depends_on[name] if parent in depends_on]
        above[name] = set(parents).union(*(above[parent] for parent in parents))
    return [
        (parent, name)
        for name, parents in depends_on.items()
        for parent in dict.fromkeys(parents)
        if parent in depends_on
        and not any(parent in above[other] for other in parents if other in depends_on and other != parent)
    ]


def _lanes(depth: Mapping[str, int], edges: Sequence[tuple[str, str]]) -> tuple[list[list[str]], list[list[str]]]:
    """Slots of each layer, ordered by the mean lane of their parents, and each edge as the slots it passes."""
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name, layer in depth.items():
        columns[layer].append(name)
    chains: list[list[str]] = []
    parents: dict[str, list[str]] = {}
    for number, (start, end) in enumerate(edges):
        between = [f"\0{number}:{layer}" for layer in range(depth[start] + 1, depth[end])]
        for offset, slot in enumerate(between):
            columns[depth[start] + 1 + offset].append(slot)
        chain = [start, *between, end]
        chains.append(chain)
        for first, second in pairwise(chain):
            parents.setdefault(second, []).append(first)
    lane: dict[str, float] = {}
    for column in columns:
        middles = {slot: fmean([lane[parent] for parent in parents.get(slot, [])] or [0.0]) for slot in column}
        column.sort(key=middles.__getitem__)
        lane.update({slot: index - (len(column) - 1) / 2 for index, slot in enumerate(column)})
    return columns, chains


def layout(
    depends_on: Mapping[str, Sequence[str]], columns: int = 5, node_width: float = 150.0, column_gap: float = 28.0
) -> Layout:
    """Place the nodes of a DAG: layers left to right, `columns` of them in a row, then on in the next row.

    Raises:
        ValueError: the nodes depend on each other in a circle.
    """
    depth = layers(depends_on)
    slots, chains = _lanes(depth, reduce_edges(depends_on))
    places: dict[str, Placed] = {}
    top = 2.0
    for start in range(0, len(slots), columns):
        band = slots[start : start + columns]
        lanes = max(len(column) for column in band)
        for offset, column in enumerate(band):
            first = top + (lanes - len(column)) * (_HEIGHT + _ROW_GAP) / 2
            x = _MARGIN + offset * (node_width + column_gap)
            for lane, slot in enumerate(column):
                places[slot] = Placed(start + offset, x, first + lane * (_HEIGHT + _ROW_GAP), top)
        top += lanes * (_HEIGHT + _ROW_GAP) - _ROW_GAP + _BAND_GAP
    width = 2 * _MARGIN + min(columns, max(1, len(slots))) * (node_width + column_gap) - column_gap
    edges = [[places[slot] for slot in chain] for chain in chains]
    return Layout({name: places[name] for name in depends_on}, edges, width, max(top - _BAND_GAP + 2, 0.0))


def _link(start: Placed, end: Placed, node_width: float, last: bool) -> str:
    """Path from one slot to the next: a curve beside each other, around through the gap when a row ends."""
    x1, y1 = start.x + node_width, start.y + _HEIGHT / 2
    x2, y2 = end.x - (5 if last else 0), end.y + _HEIGHT / 2
    if x2 > x1:
        middle = (x1 + x2) / 2
        return f"L{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    out, back, r = x1 + _MARGIN / 2, end.x - _MARGIN * 0.7, 7.0
    gap = end.band_top - _BAND_GAP / 2
    return (
        f"L{x1:.1f} {y1:.1f}H{out - r:.1f}q{r} 0 {r} {r}V{gap - r:.1f}q0 {r} {-r} {r}H{back + r:.1f}"
        f"q{-r} 0 {-r} {r}V{y2 - r:.1f}q0 {r} {r} {r}H{x2:.1f}"
    )


def _edge(chain: Sequence[Placed], node_width: float) -> str:
    start = chain[0]
    path = f"M{start.x + node_width:.1f} {start.y + _HEIGHT / 2:.1f}"
    for index, (one, two) in enumerate(pairwise(chain)):
        path += _link(one, two, node_width, last=index == len(chain) - 2)
    return f'<path class="edge" d="{path}"/>'


def step_words(step: StepFacts) -> str:
    """What happened to a step, in a word or a duration: `12 s`, `reused`, `running`, `not reached`."""
    if step.cached:
        return "reused"
    if step.state in ("succeeded", "failed"):
        return format_seconds(step.seconds)
    return _WORDS[step.state]


def _shorten(text: str, width: float) -> str:
    room = int((width - 48) / 7.4)
    return text if len(text) <= room else text[: room - 1] + "…"


def _node(step: StepFacts, place: Placed, node_width: float, slowest: float) -> str:
    words = step_words(step)
    state = "cached" if step.cached and step.state == "succeeded" else step.state
    share = 0.0 if step.cached or not step.seconds or slowest <= 0 else step.seconds / slowest
    own = anchor(step.name)
    spoken = escape(f"Step {step.name}: {step.state.replace('_', ' ')}, {words}", quote=True)
    icon = _ICONS.get(step.state, "M-3 0h6")
    needs = escape(" ".join(anchor(name) for name in step.depends_on), quote=True)
    length = max(3.0, (node_width - 28) * share) if share else 0.0
    return (
        f'<a class="node is-{state}" href="#step-{own}" data-step="{own}" data-needs="{needs}" '
        f'aria-label="{spoken}" transform="translate({place.x:.1f} {place.y:.1f})"><title>{spoken}</title>'
        f'<rect class="box" width="{node_width:g}" height="{_HEIGHT:g}" rx="11"/>'
        f'<g transform="translate(22 24)"><circle class="state" r="9"/><path class="sign" d="{icon}"/></g>'
        f'<text class="name" x="39" y="28.5">{escape(_shorten(step.name, node_width))}</text>'
        f'<text class="time" x="14" y="49">{escape(words)}</text>'
        f'<rect class="share" x="14" y="{_HEIGHT - 9:g}" width="{length:.1f}" height="3" rx="1.5"/></a>'
    )


def dag_svg(steps: Sequence[StepFacts], columns: int = 5, node_width: float = 150.0, column_gap: float = 28.0) -> str:
    """Draw steps and what they wait for. Each node links to `#step-<name>`; a thin bar compares the times.

    Returns:
        SVG text, or an empty string when there are no steps.

    Raises:
        ValueError: the steps depend on each other in a circle.
    """
    if not steps:
        return ""
    placed = layout({step.name: step.depends_on for step in steps}, columns, node_width, column_gap)
    slowest = max((step.seconds or 0.0 for step in steps if not step.cached), default=0.0)
    edges = "".join(_edge(chain, node_width) for chain in placed.edges)
    nodes = "".join(_node(step, placed.nodes[step.name], node_width, slowest) for step in steps)
    return (
        f'<svg class="dag" viewBox="0 0 {placed.width:g} {placed.height:g}" width="{placed.width:g}" role="group" '
        f'aria-label="Pipeline of {len(steps)} steps"><defs><marker id="arrow-{columns}" viewBox="0 0 8 8" refX="5" '
        'refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="arrow" d="M1 1l5 3-5 3z"/></marker>'
        f'</defs><g class="edges" marker-end="url(#arrow-{columns})">{edges}</g>{nodes}</svg>'
    )
