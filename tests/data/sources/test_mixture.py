import pytest

from nava.config.source import CollectionConfig
from nava.data.sources.candidates import Candidate
from nava.data.sources.mixture import draw, realised
from nava.runtime.errors import InputError


def parts(**shares):
    return [CollectionConfig(name, f"/{name}", share=share) for name, share in shares.items()]


def candidates(count, weight=1.0, start=0):
    return [Candidate(f"{number:05d}.mp4", weight=weight) for number in range(start, start + count)]


def drawn(shares, found, seed=0):
    """Paths drawn, by collection."""
    return {name: [item.path for item in chosen] for name, (chosen, _) in draw(parts(**shares), found, seed).items()}


@pytest.mark.parametrize(
    ("shares", "available", "wanted"),
    [
        ({"koala": 0.2, "own": 0.8}, (1000, 80), (20, 80)),
        ({"koala": 0.2, "own": 0.8}, (10, 1000), (10, 40)),
        ({"a": 0.5, "b": 0.3, "c": 0.2}, (50, 30, 20), (50, 30, 20)),
        ({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, (7, 9, 8), (7, 7, 7)),
        ({"a": 0.999, "b": 0.001}, (10, 10), (10, 1)),
    ],
)
def test_the_whole_is_as_large_as_the_shares_allow(shares, available, wanted):
    found = {name: candidates(count) for name, count in zip(shares, available, strict=True)}
    assert tuple(map(len, drawn(shares, found).values())) == wanted


def test_what_is_drawn_and_what_is_left_are_all_there_is_in_order():
    found = {"a": candidates(40), "b": candidates(10)}
    chosen, left = draw(parts(a=0.5, b=0.5), found, 0)["a"]
    assert sorted([*chosen, *left], key=lambda item: item.path) == found["a"]
    assert chosen == sorted(chosen, key=lambda item: item.path)
    assert (len(chosen), len(left)) == (10, 30)


def test_the_draw_depends_on_seed_and_paths_only():
    found = {"a": candidates(100), "b": candidates(20)}
    again = {"b": found["b"][::-1], "a": found["a"][::-1]}
    shares = {"a": 0.5, "b": 0.5}
    assert set(drawn(shares, found)["a"]) == set(drawn(shares, again)["a"])
    assert drawn(shares, found, seed=1)["a"] != drawn(shares, found)["a"]


def test_more_sources_in_the_short_collection_only_add():
    shares, a = {"a": 0.5, "b": 0.5}, candidates(400)
    before = drawn(shares, {"a": a, "b": candidates(100)})
    after = drawn(shares, {"a": a, "b": candidates(150)})
    assert set(before["a"]) < set(after["a"])
    assert set(before["b"]) < set(after["b"])


def test_more_sources_in_the_long_collection_replace_few():
    shares, b = {"a": 0.5, "b": 0.5}, candidates(100)
    before = set(drawn(shares, {"a": candidates(400), "b": b})["a"])
    after = set(drawn(shares, {"a": candidates(440), "b": b})["a"])
    new = {item.path for item in candidates(40, start=400)}
    assert after - before <= new, "nothing that was left before is drawn now"
    assert len(after - before) < 25, "about one in eleven is expected"


def test_another_collection_leaves_the_order_of_the_first_alone():
    a = candidates(400)
    two = set(drawn({"a": 0.5, "b": 0.5}, {"a": a, "b": candidates(100)})["a"])
    three = set(drawn({"a": 0.25, "b": 0.5, "c": 0.25}, {"a": a, "b": candidates(100), "c": candidates(90)})["a"])
    assert three < two


def test_heavier_sources_are_drawn_rather():
    light, heavy = candidates(500), candidates(500, weight=4.0, start=500)
    chosen = drawn({"a": 0.5, "b": 0.5}, {"a": [*light, *heavy], "b": candidates(100)})["a"]
    assert sum(path >= "00500" for path in chosen) > 65, "four in five are expected"


def test_a_collection_with_nothing_cannot_have_its_share():
    with pytest.raises(InputError, match="collection 'b' of the mixture has no usable media"):
        draw(parts(a=0.5, b=0.5), {"a": candidates(3), "b": []}, 0)


def test_wanted_and_realised_shares_are_reported():
    first, second = realised(parts(a=0.2, b=0.8), {"a": 100, "b": 81}, {"a": 20, "b": 60})
    assert (first.name, first.wanted_share, first.realised_share, first.available, first.sources) == (
        "a",
        0.2,
        0.25,
        100,
        20,
    )
    assert second.realised_share == 0.75
    assert realised(parts(a=1.0), {"a": 0}, {})[0].realised_share == 0.0
