"""Task files: those that come along are sound, and wrong ones are refused by file and field."""

import dataclasses

import pytest
import yaml

from nava.evaluation.benchmark.item import Item, Spoken
from nava.evaluation.benchmark.task import TASKS, Routing, load_task, manifest_sha256, parse_task, task_names
from nava.runtime.errors import InputError


def test_every_task_that_comes_along_names_metrics_and_subsets_that_there_are() -> None:
    assert {"verse_bench", "seed_tts_en", "seed_tts_zh", "builtin"} <= set(task_names())
    for name in task_names():
        task = load_task(name)
        assert task.task_id == name
        assert task.metrics
        assert task.column == f"{name}.{task.edition}.v1"


def test_verse_bench_routes_metrics_as_its_publisher_does() -> None:
    routed = {routing.metric: routing for routing in load_task("verse_bench").metrics}
    assert routed["fd.pair_clap"].subsets == ("set2",)
    assert routed["kl.passt"].subsets == ("set2",)
    assert routed["audiobox_pq"].subsets == ("set1", "set2")
    assert routed["identity.verse_bench"].subsets == ()
    silent, spoken = (Item("a", "set3", "p", speech=speech) for speech in ((), (Spoken("hello"),)))
    assert not routed["wer.verse_bench"].takes(silent)
    assert routed["wer.verse_bench"].takes(spoken)


def a_file(**changes: object) -> dict:
    value = yaml.safe_load((TASKS / "builtin.yaml").read_text())
    return {**value, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "tiny: schema_version must be 1"),
        ({"colour": 1}, "tiny: unknown field colour"),
        ({"aggregation": "median"}, "tiny: aggregation is 'median'"),
        ({"metrics": [{"metric": "beauty"}]}, r"tiny: metrics\[0\]: there is no metric 'beauty'"),
        ({"metrics": [{"metric": "flicker", "subsets": ["set9"]}]}, r"metrics\[0\]: there is no subset set9"),
        ({"metrics": [{"metric": "flicker", "only": ["taste"]}]}, r"metrics\[0\]: only names taste"),
        ({"metrics": [{"metric": "flicker", "backends": ["eyes"]}]}, r"flicker has no backend eyes"),
        ({"metrics": [{"metrik": "flicker"}]}, r"metrics\[0\]: unknown field metrik"),
        ({"subsets": {"talk": {"items": 3}}}, "subsets.talk: field about is missing"),
    ],
)
def test_a_wrong_task_file_is_refused_by_field(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_task(a_file(**changes), "tiny", "")


def test_a_missing_field_and_a_task_that_is_not_there_are_named() -> None:
    value = a_file()
    del value["licence"]
    with pytest.raises(InputError, match="tiny: field licence is missing"):
        parse_task(value, "tiny", "")
    with pytest.raises(InputError, match="there is no benchmark task 'verse_bank'; there are builtin"):
        load_task("verse_bank")


def test_other_items_or_another_task_are_another_manifest() -> None:
    task, items = load_task("builtin"), [Item("a", "talk", "p"), Item("b", "talk", "q")]
    same = manifest_sha256(task, items)
    assert same == manifest_sha256(task, list(items))
    assert same != manifest_sha256(task, items[:1])
    assert same != manifest_sha256(task, [items[0], dataclasses.replace(items[1], speech=(Spoken("x"),))])
    assert same != manifest_sha256(dataclasses.replace(task, sha256="1" * 64), items)


def test_a_routing_takes_its_subsets_alone() -> None:
    routing = Routing("flicker", subsets=("talk",))
    assert routing.takes(Item("a", "talk", "p"))
    assert not routing.takes(Item("a", "music", "p"))
