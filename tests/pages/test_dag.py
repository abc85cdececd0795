"""The drawing of the pipeline: every step placed, nothing on top of anything, only the edges that say something."""

from itertools import combinations
from xml.etree import ElementTree

import pytest

from nava.pages.dag import dag_svg, layers, layout, reduce_edges, step_words
from nava.pages.run_facts import StepFacts

CHAIN = {f"s{index}": [f"s{index - 1}"] if index else [] for index in range(14)}
DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
SKIP = {"a": [], "b": ["a"], "c": ["b"], "x": [], "d": ["c", "x"]}


def test_layers_are_longest_paths() -> None:
    assert layers({"a": [], "b": ["a"], "c": ["a", "b"]}) == {"a": 0, "b": 1, "c": 2}


def test_a_circle_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="circle, through 'a'"):
        layers({"a": ["b"], "b": ["a"]})


def test_names_that_are_no_step_are_ignored() -> None:
    assert layers({"a": ["elsewhere"]}) == {"a": 0}
    assert reduce_edges({"a": ["elsewhere"], "b": ["a", "elsewhere"]}) == [("a", "b")]


def test_edges_that_a_longer_path_implies_are_left_out() -> None:
    depends_on = {"a": [], "b": ["a"], "c": ["a", "b"], "d": ["a", "b", "c", "c"]}
    assert reduce_edges(depends_on) == [("a", "b"), ("b", "c"), ("c", "d")]


def test_reduction_keeps_who_can_be_reached() -> None:
    def reachable(edges: list[tuple[str, str]]) -> set[tuple[str, str]]:
        pairs = set(edges)
        while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
            pairs |= more
        return pairs

    depends_on = DIAMOND | {"e": ["a", "d", "b"]}
    every = [(parent, name) for name, parents in depends_on.items() for parent in parents]
    assert reachable(reduce_edges(depends_on)) == reachable(every)


@pytest.mark.parametrize("depends_on", [CHAIN, DIAMOND, SKIP, {"only": []}])
@pytest.mark.parametrize("columns", [1, 2, 5])
def test_nodes_lie_inside_the_drawing_and_apart(depends_on: dict[str, list[str]], columns: int) -> None:
    placed = layout(depends_on, columns=columns, node_width=150, column_gap=28)
    assert set(placed.nodes) == set(depends_on)
    for node in placed.nodes.values():
        assert node.x >= 0
        assert node.x + 150 <= placed.width
        assert node.y >= 0
        assert node.y + 66 <= placed.height
    for one, two in combinations(placed.nodes.values(), 2):
        assert abs(one.x - two.x) >= 150 or abs(one.y - two.y) >= 66


def test_a_long_chain_folds_into_rows() -> None:
    placed = layout(CHAIN, columns=5)
    assert placed.nodes["s0"].y == placed.nodes["s4"].y < placed.nodes["s5"].y < placed.nodes["s10"].y
    assert placed.nodes["s0"].x == placed.nodes["s5"].x == placed.nodes["s10"].x


def test_an_edge_over_layers_has_a_slot_of_its_own_in_each() -> None:
    placed = layout(SKIP, columns=5)
    (chain,) = [edge for edge in placed.edges if edge[0] == placed.nodes["x"]]
    assert len(chain) == 4
    taken = {(node.x, node.y) for node in placed.nodes.values()}
    assert not any((slot.x, slot.y) in taken for slot in chain[1:-1])


def draw(*steps: StepFacts) -> ElementTree.Element:
    return ElementTree.fromstring(dag_svg(steps))


def nodes(drawing: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {element.attrib["data-step"]: element for element in drawing.iter("a")}


def test_nodes_show_state_time_and_link_to_their_details() -> None:
    drawing = nodes(
        draw(StepFacts("curate", "succeeded", 74.0), StepFacts("train_1", "failed", 2.0, depends_on=["curate"]))
    )
    assert drawing["curate"].attrib["class"] == "node is-succeeded"
    assert drawing["curate"].attrib["href"] == "#step-curate"
    assert drawing["curate"].attrib["aria-label"] == "Step curate: succeeded, 1 min 14 s"
    assert drawing["train-1"].attrib["class"] == "node is-failed"
    assert drawing["train-1"].attrib["data-needs"] == "curate"


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (StepFacts("s", "succeeded", 0.04, cached=True), "reused"),
        (StepFacts("s", "pending"), "not reached"),
        (StepFacts("s", "gate_failed", 3.0), "gate said no"),
        (StepFacts("s", "failed", 3.0), "3.0 s"),
        (StepFacts("s", "interrupted"), "interrupted"),
        (StepFacts("s", "running"), "running"),
    ],
)
def test_words_of_a_step(step: StepFacts, words: str) -> None:
    assert step_words(step) == words
    assert words in ElementTree.tostring(draw(step), encoding="unicode")


def test_the_slowest_step_has_the_longest_bar_and_a_reused_one_none() -> None:
    drawing = nodes(draw(StepFacts("slow", "succeeded", 100.0), StepFacts("half", "succeeded", 50.0),
                         StepFacts("old", "succeeded", 900.0, cached=True)))  # fmt: skip
    width = {
        name: float(next(e for e in node.iter("rect") if e.get("class") == "share").attrib["width"])
        for name, node in drawing.items()
    }
    assert width["slow"] == pytest.approx(2 * width["half"])
    assert width["old"] == 0.0


def test_names_are_escaped_and_shortened_in_the_box_but_spoken_whole() -> None:
    name = "<script>alert(1)</script> and a long tail"
    drawing = draw(StepFacts(name, "succeeded", 1.0))
    text = ElementTree.tostring(drawing, encoding="unicode")
    assert "<script>" not in text
    assert nodes(drawing).popitem()[1].attrib["aria-label"].startswith(f"Step {name}")
    shown = next(element.text for element in drawing.iter("text") if element.get("class") == "name")
    assert shown is not None
    assert shown.endswith("…")


def test_no_steps_no_drawing() -> None:
    assert dag_svg([]) == ""
