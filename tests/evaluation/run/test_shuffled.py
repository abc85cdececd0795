"""Shuffled sound: nobody keeps their own, the picture stays bit by bit, and what is made is made once."""

from pathlib import Path

import numpy as np
import pytest

from nava.evaluation.benchmark.item import Item
from nava.evaluation.run.shuffled import derangement, shuffle_clip, sound_partners
from nava.generation.media import read_mp4, write_mp4, write_wav
from nava.runtime.errors import InputError
from tests.evaluation.benchmark_items import FPS, RATE_HZ, clip


@pytest.mark.parametrize("count", [2, 3, 4, 7, 24])
def test_everybody_gets_anothers_and_every_one_goes_once(count: int) -> None:
    names = [f"item{number}" for number in range(count)]
    for seed in range(20):
        given = derangement(names, seed)
        assert sorted(given) == sorted(given.values()) == sorted(names)
        assert all(name != other for name, other in given.items())


def test_the_seed_decides_and_nothing_else() -> None:
    names = [f"item{number:02d}" for number in range(12)]
    assert derangement(names, 3) == derangement(list(reversed(names)), 3)
    assert len({str(derangement(names, seed)) for seed in range(10)}) == 10
    assert derangement(["alone"], 0) == derangement([], 0) == {}


def test_sound_stays_within_a_subset_and_among_what_was_made() -> None:
    items = [Item(f"{subset}{number}", subset, "") for subset in ("a", "b", "c") for number in range(3)]
    made = {item.item_id: Path(item.item_id) for item in items if item.item_id not in ("b0", "c0", "c1")}
    partners = sound_partners(items, made, 0)
    assert partners.keys() == {"a0", "a1", "a2", "b1", "b2"}, "of c there is only one"
    assert all(name[0] == other[0] for name, other in partners.items())


def test_the_picture_is_the_ones_and_the_sound_the_others_as_they_were(tmp_path: Path) -> None:
    first, second = clip(tmp_path / "a.mp4", 1), clip(tmp_path / "b.mp4", 2, events_s=(0.5,))
    made = tmp_path / "out" / "a.mp4"
    shuffle_clip(first, second, made)
    picture, sound, found = read_mp4(first), read_mp4(second), read_mp4(made)
    np.testing.assert_array_equal(found.frames, picture.frames)
    np.testing.assert_array_equal(found.samples, sound.samples)
    assert found.fps == picture.fps
    assert not np.array_equal(found.samples, picture.samples)
    shuffle_clip(first, second, tmp_path / "again" / "a.mp4")
    assert made.read_bytes() == (tmp_path / "again" / "a.mp4").read_bytes()


@pytest.mark.parametrize(("own_s", "other_s"), [(1.0, 2.0), (2.0, 1.0)])
def test_sound_of_another_length_ends_with_the_picture_or_before(tmp_path: Path, own_s: float, other_s: float) -> None:
    first, second = clip(tmp_path / "a.mp4", 1, own_s), clip(tmp_path / "b.mp4", 2, other_s)
    shuffle_clip(first, second, tmp_path / "out.mp4")
    found = read_mp4(tmp_path / "out.mp4")
    assert len(found.frames) == own_s * FPS
    packet = 1024
    assert len(found.samples) <= min(own_s, other_s) * RATE_HZ + packet
    assert len(found.samples) >= min(own_s, other_s) * RATE_HZ - packet


def test_a_finished_clip_is_left_alone_and_a_changed_one_made_again(tmp_path: Path) -> None:
    first, second, third = (clip(tmp_path / f"{name}.mp4", seed) for seed, name in enumerate("abc"))
    made = tmp_path / "out.mp4"
    shuffle_clip(first, second, made)
    before = made.stat().st_mtime_ns
    shuffle_clip(first, second, made)
    assert made.stat().st_mtime_ns == before
    whole = made.read_bytes()
    made.write_bytes(whole[:100])
    shuffle_clip(first, second, made)
    assert made.read_bytes() == whole
    shuffle_clip(first, third, made)
    assert made.read_bytes() != whole


def test_what_has_no_sound_gives_none_and_recordings_change_places(tmp_path: Path) -> None:
    first = clip(tmp_path / "a.mp4", 1)
    write_mp4(tmp_path / "mute.mp4", np.zeros((10, 32, 32, 3), np.uint8), FPS, None, RATE_HZ)
    with pytest.raises(InputError, match=r"mute\.mp4 has no sound to give"):
        shuffle_clip(first, tmp_path / "mute.mp4", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    for name, level in (("x", 0.1), ("y", 0.2)):
        write_wav(tmp_path / f"{name}.wav", np.full(RATE_HZ, level, np.float32), RATE_HZ)
    shuffle_clip(tmp_path / "x.wav", tmp_path / "y.wav", tmp_path / "out.wav")
    assert (tmp_path / "out.wav").read_bytes() == (tmp_path / "y.wav").read_bytes()
