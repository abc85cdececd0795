"""The built-in benchmark: the same bytes every time, and its truth is true."""

from pathlib import Path

import numpy as np
import pytest

from nava.evaluation.benchmark.builtin import KINDS, BuiltinBenchmark, make_builtin
from nava.generation.media import read_mp4
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BuiltinBenchmark:
    return make_builtin(tmp_path_factory.mktemp("builtin") / "seed0", per_kind=1)


def test_there_is_a_clip_of_each_kind_with_what_is_known_of_it(made: BuiltinBenchmark) -> None:
    assert [item.subset for item in made.items] == list(KINDS)
    by_kind = {item.subset: item for item in made.items}
    assert by_kind["talk"].spoken_text
    assert by_kind["talk"].reference_voice is not None
    assert len(by_kind["dialog"].speech) >= 2
    assert len({part.speaker for part in by_kind["dialog"].speech}) == 2
    assert not by_kind["silent"].spoken_text
    for item in made.items:
        clip = read_mp4(made.true_clip(item))
        assert 4.4 <= len(clip.frames) / 25 < 9
        assert item.first_frame is not None
        assert item.first_frame.is_file()


def test_events_are_heard_when_they_are_said_to_be(made: BuiltinBenchmark) -> None:
    by_kind = {item.subset: item for item in made.items}
    for kind in ("impact", "flash"):
        clip = read_mp4(made.true_clip(by_kind[kind]))
        for time_s in by_kind[kind].truth["events_s"]:
            start = round(time_s * clip.sample_rate)
            before, after = clip.samples[start - 800 : start - 100], clip.samples[start : start + 800]
            assert np.sqrt(np.mean(after**2)) > 1.5 * np.sqrt(np.mean(before**2))


def test_it_is_the_same_again_and_another_with_another_seed(made: BuiltinBenchmark, tmp_path: Path) -> None:
    again = make_builtin(tmp_path / "again", per_kind=1)
    assert sha256_tree(again.folder) == sha256_tree(made.folder)
    other = make_builtin(tmp_path / "other", seed=1, per_kind=1)
    assert sha256_tree(other.folder) != sha256_tree(made.folder)
    assert make_builtin(made.folder, per_kind=1).items == made.items
    with pytest.raises(InputError, match="of other settings"):
        make_builtin(made.folder, per_kind=2)
