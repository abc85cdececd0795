"""The file of backends: paths beside it, and wrong entries by name."""

from pathlib import Path

import pytest

from nava.evaluation.benchmark.task import Routing
from nava.evaluation.extraction import extractor
from nava.evaluation.extraction.extractor import ExtractorEntry, identity
from nava.evaluation.extraction.feature_cache import FeatureCache, Wish
from nava.evaluation.extraction.features import Features
from nava.evaluation.run.backend_file import read_backend_file
from nava.evaluation.run.cells import columns
from nava.runtime.errors import InputError
from tests.evaluation.benchmark_items import a_task, clip, items_in


class Weighted:
    """A backend that must be told where its weights are."""

    version = 3
    needs_weights = True
    weights_sha256 = None

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu") -> None:
        if sha256 and sha256 != "right":
            raise InputError("weights are others than stated")

    def extract(self, _clip: object) -> Features:
        return Features({"flicker": 1.0})


@pytest.fixture(autouse=True)
def weighted(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ExtractorEntry("frames", f"{__name__}:Weighted")
    monkeypatch.setattr(extractor, "_class_of", lambda name: Weighted)
    monkeypatch.setitem(extractor.ENTRIES, "frames", entry)
    identity.cache_clear()


def test_paths_lie_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "backends.yaml"
    file.write_text("frames: {weights: net.pt, sha256: abc, device: cuda}\n")
    found = read_backend_file(file)
    assert found == {"frames": {"weights": str(tmp_path / "net.pt"), "sha256": "abc", "device": "cuda"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody: {weights: x}", "there is no backend 'nobody' here"),
        ("frames: {sha256: x}", "frames: field weights must be a path"),
        ("frames: {weights: x, colour: red}", "frames: unknown field colour"),
        ("- frames", "must name backends"),
        ("{", "is not YAML"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "b.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_backend_file(tmp_path / "b.yaml")
    with pytest.raises(InputError, match="there is no file of backends"):
        read_backend_file(tmp_path / "none.yaml")


def test_a_backend_without_weights_is_absent_with_the_reason(tmp_path: Path) -> None:
    task = a_task("flicker")
    found, absent = columns(task, items_in(tmp_path))
    assert found == []
    assert absent[0].reason == "no weights are configured for it: name them in the file of --backends"
    found, absent = columns(task, items_in(tmp_path), configured={"frames"})
    assert [column.name for column in found] == ["flicker[frames]"]
    assert Routing("flicker") in task.metrics


def test_other_weights_are_other_features(tmp_path: Path) -> None:
    media = clip(tmp_path / "a.mp4")
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        cache = FeatureCache(tmp_path / "cache", {"frames": {"weights": str(tmp_path / name)}})
        paths.append(cache.path(Wish(media, "frames")))
    assert paths[0] != paths[1]
    again = FeatureCache(tmp_path / "cache", {"frames": {"weights": str(tmp_path / "one"), "device": "cuda"}})
    assert again.path(Wish(media, "frames")) == paths[0], "where it computes decides nothing"
    missing = FeatureCache(tmp_path / "cache", {"frames": {"weights": str(tmp_path / "gone")}})
    with pytest.raises(InputError, match="there are no weights at"):
        missing.path(Wish(media, "frames"))


def test_wrong_weights_are_the_reason_of_rows_and_are_asked_again(tmp_path: Path) -> None:
    from nava.evaluation.extraction.unit import ExtractionUnit, Wanted, _loaded, extract

    _loaded.cache_clear()
    target = tmp_path / "f.safetensors"
    settings = (("sha256", "wrong"), ("weights", "w"))
    (found,) = extract(ExtractionUnit(clip(tmp_path / "a.mp4"), (Wanted("frames", target, settings),)))
    assert found.reason == "weights are others than stated"
    assert not target.exists()
