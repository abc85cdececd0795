"""ImageBind from a file of the published layout to rows: aggregation, both protocols, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nava.evaluation.backends.imagebind import CHECKPOINT, ImageBind, ImageBindOfficial
from nava.evaluation.backends.imagebind_input import avbench_pictures, official_pictures, sound_clips
from nava.evaluation.backends.imagebind_network import ImageBindNetwork
from nava.evaluation.benchmark.item import Item
from nava.evaluation.catalogue.scorers import SCORERS
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.extractor import ENTRIES, needs_weights
from nava.evaluation.extraction.feature_cache import FeatureCache, Wish
from nava.evaluation.extraction.features import Features
from nava.evaluation.extraction.unit import extract
from nava.evaluation.run import score as run
from nava.evaluation.run.records import Row, read_rows, write_rows
from nava.evaluation.run.score import Scored, ScoringSettings, score_outputs
from nava.generation.media import write_mp4, write_wav
from nava.runtime.errors import InputError
from tests.evaluation.backends.imagebind_checkpoint import (
    SMALL,
    SmallAvbench,
    SmallOfficial,
    Tensors,
    small_tensors,
    write_imagebind,
)
from tests.evaluation.benchmark_items import a_task

RATE = 16_000
KINDS = {"imagebind_huge_official": SmallOfficial, "imagebind_huge_avbench": SmallAvbench}
METRICS = {"imagebind.official": "imagebind_huge_official", "imagebind.avbench": "imagebind_huge_avbench"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_imagebind(tmp_path_factory.mktemp("imagebind"))


@pytest.fixture(autouse=True)
def _small_and_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in KINDS.items():
        place = f"{kind.__module__}:{kind.__name__}"
        monkeypatch.setitem(ENTRIES, name, replace(ENTRIES[name], place=place))
    monkeypatch.setattr(run, "extract_all", lambda units, *_: ((unit, extract(unit)) for unit in units))


def film(seconds: float, seed: int) -> np.ndarray:
    """Blots of colour that change with every frame, 10 per second."""
    coarse = np.random.default_rng(seed).integers(0, 256, (int(seconds * 10), 4, 6, 3)).astype(np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


def noise(seconds: float, seed: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_mp4(folder / "a.mp4", film(8, 0), 10, noise(8, 0), RATE)
    write_mp4(folder / "b.mp4", film(8, 1), 10, noise(8, 1), RATE)
    write_mp4(folder / "short.mp4", film(3, 0), 10, noise(3, 0), RATE)
    write_mp4(folder / "mute.mp4", film(5, 0), 10, None, RATE)
    write_mp4(folder / "silent.mp4", film(5, 0), 10, np.zeros(5 * RATE, np.float32), RATE)
    write_wav(folder / "sound.wav", noise(5, 0), RATE)
    (folder / "torn.mp4").write_bytes(b"nothing")
    return folder


def scored(media: Path, cache: Path, settings: dict[str, str], *names: str) -> Scored:
    items = [Item(name, "one", "blots") for name in (*names, "gone")]
    outputs = {name: next(media.glob(f"{name}.*")) for name in names} | {"gone": media / "gone.mp4"}
    own = FeatureCache(cache, dict.fromkeys(KINDS, settings))
    runs = ScoringSettings(workers=1, attempts=1)
    return score_outputs(a_task(*METRICS), items, outputs, own, runs, lambda done, *_: done)


def rows_of(found: Scored) -> dict[tuple[str, str], Row]:
    return {(row.metric, row.item_id): row for row in found.rows}


def test_from_a_file_of_weights_to_rows(media: Path, tmp_path: Path, settings: dict[str, str]) -> None:
    found = scored(media, tmp_path, settings, "a", "b", "short")
    rows = rows_of(found)
    assert set(rows) == {(metric, item) for metric in METRICS for item in ("a", "b", "short", "gone")}
    for (metric, item), row in rows.items():
        assert (row.backend, row.tier) == (METRICS[metric], "paper")
        if item == "gone":
            assert (row.value, row.reason) == (None, "the file gone.mp4 is missing")
        elif (metric, item) == ("imagebind.avbench", "short"):
            assert (row.value, row.reason) == (None, "the picture lasts 3.00 s; at least 4 s are needed")
        else:
            assert row.value is not None
            assert -1 <= row.value <= 1
            assert row.reason == ""
    values = [rows[metric, item].value for metric in METRICS for item in ("a", "b")]
    assert len({round(value, 6) for value in values if value is not None}) == 4, "each clip and protocol has its own"
    assert all(figure.unproven and figure.tier == "paper" for figure in found.figures)
    write_rows(tmp_path / "rows.jsonl", found.rows)
    assert sorted(read_rows(tmp_path / "rows.jsonl"), key=str) == sorted(found.rows, key=str)


def test_a_value_is_the_cosine_of_means_of_unit_vectors(media: Path, tmp_path: Path, settings: dict[str, str]) -> None:
    rows = rows_of(scored(media, tmp_path, settings, "a"))
    network = ImageBindNetwork(SMALL)
    network.load_state_dict(small_tensors())
    clip = ClipFile(media / "a.mp4")
    for metric, pictures in (("imagebind.official", official_pictures), ("imagebind.avbench", avbench_pictures)):
        with torch.no_grad():
            seen_BD = network.picture(torch.from_numpy(pictures(clip.frames_THWC, clip.fps))).double()
            heard_BD = network.sound(torch.from_numpy(sound_clips(clip.samples_at(RATE)))).double()
        assert len(seen_BD) == {"imagebind.official": 15, "imagebind.avbench": 9}[metric]
        assert seen_BD.norm(dim=1).numpy() == pytest.approx(1, abs=1e-5)
        seen_D, heard_D = seen_BD.mean(dim=0), heard_BD.mean(dim=0)
        expected = (seen_D @ heard_D / seen_D.norm() / heard_D.norm()).item()
        assert rows[metric, "a"].value == pytest.approx(expected, abs=1e-5)
        mean_of_cosines = torch.cosine_similarity(seen_BD[:, None], heard_BD[None], dim=-1).mean().item()
        assert abs(mean_of_cosines - expected) > 1e-4, "the other order would be seen"
        features = FeatureCache(tmp_path, dict.fromkeys(KINDS, settings)).find(Wish(clip.path, METRICS[metric]))
        assert features is not None
        assert set(features.arrays) == {"picture_D", "sound_D"}
        assert features.arrays["picture_D"] == pytest.approx(seen_D.numpy(), abs=1e-5)
        assert np.linalg.norm(features.arrays["picture_D"]) < 0.9999


def test_what_has_no_picture_or_no_sound_is_null_with_a_reason(
    media: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    rows = rows_of(scored(media, tmp_path, settings, "mute", "sound", "torn", "silent"))
    for metric in METRICS:
        for item, reason in (("mute", "the clip has no sound"), ("sound", "the clip has no picture")):
            assert (rows[metric, item].value, rows[metric, item].reason) == (None, reason)
        assert rows[metric, "torn"].value is None
        assert "torn.mp4" in rows[metric, "torn"].reason
        assert rows[metric, "silent"].value is not None, "the network has a vector for silence too"


def test_a_second_run_computes_nothing_and_gives_the_same(
    media: Path, tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scored(media, tmp_path, settings, "a")
    monkeypatch.setattr(run, "extract_all", lambda units, *_: pytest.fail("extracted again") if units else iter(()))
    assert scored(media, tmp_path, settings, "a") == first


def test_the_scorer_takes_picture_and_sound() -> None:
    arrays = {"picture_D": np.array([0.0, 2.0]), "sound_D": np.array([3.0, 3.0])}
    item = Item("x", "one", "blots")
    assert SCORERS["embedding_pair"]({"generated": Features(arrays=arrays)}, item).value == pytest.approx(0.5**0.5)
    nothing = {**arrays, "sound_D": np.zeros(2)}
    assert "has no direction" in SCORERS["embedding_pair"]({"generated": Features(arrays=nothing)}, item).reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("modality_trunks.audio.blocks.1.attn.bias_k"),
            r"lacks tensor 'modality_trunks\.audio.*bias_k'",
        ),
        (
            lambda t: t.update({"modality_trunks.smell.x": torch.zeros(1)}),
            r"unknown tensor 'modality_trunks\.smell\.x'",
        ),
        (
            lambda t: t.update({"modality_trunks.vision.blocks.2.norm_1.bias": torch.zeros(16)}),
            r"unknown tensor 'modality_trunks\.vision\.blocks\.2\.norm_1\.bias'",
        ),
        (
            lambda t: t.update({"modality_heads.vision.2.weight": torch.zeros(8, 12)}),
            r"'modality_heads\.vision\.2\.weight' has shape \[8, 12\], expected \[8, 16\]",
        ),
    ],
)
def test_tensors_are_all_there_and_no_others(tmp_path: Path, change: Callable[[Tensors], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SmallOfficial(**write_imagebind(tmp_path, change))


def test_towers_that_are_not_used_may_be_absent(tmp_path: Path) -> None:
    def only_two_towers(tensors: Tensors) -> None:
        for name in set(tensors) - set(small_tensors()):
            del tensors[name]

    assert SmallAvbench(**write_imagebind(tmp_path, only_two_towers)).weights_sha256


def test_other_weights_are_refused(tmp_path: Path, settings: dict[str, str]) -> None:
    assert all(needs_weights(name) for name in KINDS)
    with pytest.raises(InputError, match=r"imagebind_huge\.pth .*CC-BY-NC-SA-4\.0.*dl\.fbaipublicfiles\.com"):
        ImageBindOfficial(str(tmp_path), "0" * 64)
    with pytest.raises(InputError, match=r"backend imagebind_huge_avbench: .* but 0{64} is wanted"):
        SmallAvbench(settings["weights"], "0" * 64)
    with pytest.raises(InputError, match="sha256 must be"):
        SmallOfficial(settings["weights"])
    with pytest.raises(InputError, match=r"lacks tensor|has shape"):
        ImageBindOfficial(**settings)


def test_the_file_alone_is_taken_as_its_folder_is(tmp_path: Path, settings: dict[str, str], media: Path) -> None:
    from nava.runtime.hashing import sha256_path

    file = Path(settings["weights"]) / CHECKPOINT.file
    clip = ClipFile(media / "short.mp4")
    alone = SmallOfficial(str(file), sha256_path(file)).extract(clip)
    assert np.array_equal(alone.arrays["sound_D"], SmallOfficial(**settings).extract(clip).arrays["sound_D"])


def test_the_two_protocols_share_all_but_the_pictures() -> None:
    with pytest.raises(NotImplementedError):
        ImageBind._pictures(object.__new__(ImageBind), ClipFile(Path("none")))
    assert {kind.name for kind in KINDS.values()} == set(KINDS)
