"""Sweep files: variants by name or by axes, and every mistake told with its field before anything is made."""

from pathlib import Path
from typing import Any

import pytest

from nava.evaluation.benchmark.item import Item
from nava.evaluation.benchmark.task import task_names
from nava.evaluation.sweep.sweep import Selection, load_sweep, parse_sweep, sweep_names
from nava.runtime.errors import InputError
from tests.evaluation.sweep.sweeps import VALUE, small_sweep


def test_shipped_sweeps_are_of_shipped_tasks_and_differ_in_the_paper_s_scales() -> None:
    assert sweep_names() == ["guidance_demo", "guidance_paper", "guidance_paper_timbre"]
    for name in sweep_names():
        sweep = load_sweep(name)
        assert sweep.task in task_names()
        assert sweep.layout
        assert all(block.without_variant == sweep.baseline for block in sweep.layout)
    without, with_align = (dict(variant.settings) for variant in load_sweep("guidance_paper").variants)
    assert without == {"video_align": 0, "audio_align": 0}
    assert with_align == {"video_align": 3, "audio_align": 2}
    timbre = load_sweep("guidance_paper_timbre")
    assert [variant.settings["audio_timbre"] for variant in timbre.variants] == [0, 3]
    assert timbre.generate.task == "T2A"


def test_axes_are_crossed_in_their_order_and_the_baseline_is_named_by_its_values() -> None:
    value = {key: entry for key, entry in VALUE.items() if key not in ("variants", "layout")}
    axes = [{"name": "guidance.video_align", "values": [0, 2]}, {"name": "steps", "values": [5, 10]}]
    sweep = parse_sweep({**value, "axes": axes, "baseline": {"guidance.video_align": 0, "steps": 5}}, "s.yaml")
    assert [variant.name for variant in sweep.variants] == [
        "video_align=0,steps=5", "video_align=0,steps=10", "video_align=2,steps=5", "video_align=2,steps=10",
    ]  # fmt: skip
    assert sweep.baseline == "video_align=0,steps=5"
    assert sweep.variants[3].overrides().video_align == 2
    assert sweep.variants[3].overrides().audio_align is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_version": 2}, "schema_version must be 1"),
        ({"seed": 1}, "unknown field seed"),
        ({"axes": []}, "either axes or variants"),
        ({"seeds": []}, "seeds must be a list"),
        ({"seeds": [True]}, "seeds must be a list"),
        ({"seeds": [1, 1]}, "a seed is there twice"),
        ({"baseline": "none"}, "baseline is 'none', which is no variant; there are off, on"),
        ({"variants": {"off": {}}}, "at least two variants"),
        ({"variants": {"../x": {}, "off": {}}}, "it names a folder"),
        ({"variants": {"off": {"guidance.picture": 1}, "on": {}}}, "no sampler setting 'guidance.picture'"),
        ({"variants": {"off": {"steps": "many"}, "on": {}}}, "steps is 'many'; it must be a number"),
        ({"variants": {"off": {"steps": True}, "on": {}}}, "steps is True"),
        ({"variants": {"off": {"guidance.video_align": -1}, "on": {}}}, "variants.off: guidance of video by align"),
        ({"variants": {"off": {"mode": "odd"}, "on": {}}}, "generation.mode is 'odd'"),
        ({"layout": [{"block": "align", "without": "off", "with": "up"}]}, "with is 'up', which is no variant"),
        ({"items": {"per_subset": 0}}, "per_subset must be a whole number"),
        ({"items": {"few": 1}}, "unknown field few"),
        ({"generate": {"task": "T2X"}}, "'T2X' is unknown"),
        ({"generate": {"image": "no"}}, "image and voice must be true or false"),
    ],
)
def test_mistakes_name_their_field(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        small_sweep(**changes)


def test_a_file_says_what_is_there_and_finds_the_task_beside_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no sweep 'guidance'; there are guidance_demo"):
        load_sweep("guidance")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(InputError, match="is not YAML"):
        load_sweep(tmp_path / "bad.yaml")
    (tmp_path / "mine.yaml").write_text("")
    lines = "schema_version: 1\nid: x\ntitle: X\ntask: mine.yaml\nseeds: [0]\nbaseline: a\nvariants: {a: , b: }\n"
    (tmp_path / "sweep.yaml").write_text(lines)
    sweep = load_sweep(tmp_path / "sweep.yaml")
    assert sweep.task == str(tmp_path / "mine.yaml")
    assert len(sweep.sha256) == 64


def test_items_are_selected_by_subset_count_and_id() -> None:
    items = [Item(f"{subset}-{n}", subset, "p") for subset in ("a", "b") for n in range(3)]
    assert Selection().of(items) == items
    assert [i.item_id for i in Selection(per_subset=1).of(items)] == ["a-0", "b-0"]
    assert [i.item_id for i in Selection(subsets=("b",), per_subset=2).of(items)] == ["b-0", "b-1"]
    assert [i.item_id for i in Selection(ids=("b-2", "a-1")).of(items)] == ["a-1", "b-2"]
    with pytest.raises(InputError, match=r"items.subsets of the sweep names c"):
        Selection(subsets=("c",)).of(items)
    with pytest.raises(InputError, match=r"items.ids of the sweep names a-9"):
        Selection(ids=("a-9",)).of(items)
