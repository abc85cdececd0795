"""DINO features: preparation against its definition, the right token, and rows of a run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from nava.evaluation.backends.dino_identity import (
    MEAN_RGB,
    STD_RGB,
    DinoV3Cls,
    DinoV3TokenMinus2,
    dinov2_picture,
    dinov3_picture,
)
from nava.evaluation.benchmark.item import Item
from nava.evaluation.extraction import feature_cache
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.extractor import ENTRIES, needs_weights
from nava.evaluation.extraction.feature_cache import FeatureCache
from nava.evaluation.run.score import ScoringSettings, score_outputs
from nava.generation.media import write_mp4
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_path
from tests.evaluation.backends.tiny_dino import (
    ENTRIES_OF_TINY,
    TinyCls,
    TinyTokenMinus2,
    TinyV2,
    dinov2_folder,
    dinov3_folder,
    extract_tiny,
)
from tests.evaluation.benchmark_items import a_task


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return dinov3_folder(tmp_path_factory.mktemp("dino") / "dinov3")


def a_frame(height: int = 60, width: int = 90, seed: int = 0) -> np.ndarray:
    """Blots of colour."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def tent(size: int, to: int) -> np.ndarray:
    """Weights [to, size] of linear interpolation; where it shrinks, of all pixels under a tent as wide."""
    scale = size / to
    reach = max(scale, 1.0)
    centre = (np.arange(to) + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs((np.arange(size) + 0.5)[None] - centre[:, None]) / reach)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("height", "width"), [(60, 90), (300, 400), (224, 224)])
def test_dinov3_sees_the_whole_picture_in_a_square(height: int, width: int) -> None:
    frame_HWC = a_frame(height, width)
    scaled = tent(height, 224) @ (frame_HWC.transpose(2, 0, 1) / 255) @ tent(width, 224).T
    expected = (scaled - np.array(MEAN_RGB)[:, None, None]) / np.array(STD_RGB)[:, None, None]
    seen = dinov3_picture(frame_HWC)
    assert (seen.dtype, seen.shape) == (np.float32, (3, 224, 224))
    assert np.abs(seen - expected).max() < 1e-4


def test_dinov2_sees_the_middle() -> None:
    """Twice as wide as high: scaled to 512 x 256, rows 16 to 240 and columns 144 to 368 are left."""
    frame_HWC = np.zeros((256, 512, 3), np.uint8)
    frame_HWC[16:240, 144:368] = (255, 0, 128)
    seen = dinov2_picture(frame_HWC)
    for channel, value in enumerate((255, 0, 128)):
        expected = (value / 255 - MEAN_RGB[channel]) / STD_RGB[channel]
        assert np.abs(seen[channel] - expected).max() < 1e-5
    assert dinov2_picture(a_frame(300, 200)).shape == (3, 224, 224)


def test_each_backend_takes_its_own_token(settings: dict[str, str], tmp_path: Path) -> None:
    from transformers import DINOv3ViTModel

    frames = np.stack([a_frame(64, 96, seed) for seed in range(3)])
    write_mp4(tmp_path / "clip.mp4", frames, 25, None, 16_000, crf=0)
    clip = ClipFile(tmp_path / "clip.mp4")
    pictures = torch.from_numpy(np.stack([dinov3_picture(frame) for frame in clip.frames_THWC]))
    with torch.inference_mode():
        tokens = DINOv3ViTModel.from_pretrained(settings["weights"]).eval()(pictures).last_hidden_state
    assert tokens.shape[1] == 1 + 4 + 14 * 14
    last_but_one, whole = (kind(**settings).extract(clip).arrays["frames_TD"] for kind in (TinyTokenMinus2, TinyCls))
    assert last_but_one == pytest.approx(tokens[:, -2].numpy(), abs=1e-5)
    assert whole == pytest.approx(tokens[:, 0].numpy(), abs=1e-5)
    assert np.abs(whole - last_but_one).max() > 0.1


def test_the_file_has_the_published_names(settings: dict[str, str]) -> None:
    names = set(load_file(Path(settings["weights"]) / "model.safetensors"))
    assert {
        "embeddings.cls_token",
        "embeddings.register_tokens",
        "layer.0.attention.q_proj.weight",
        "norm.bias",
    } < names
    assert "layer.1.mlp.up_proj.weight" in names


def test_from_a_folder_of_weights_to_rows(
    settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip of the given picture is like it, another one is less so; without a picture there is no value."""
    monkeypatch.setattr(feature_cache, "extract", extract_tiny)
    for name, entry in ENTRIES_OF_TINY.items():
        monkeypatch.setitem(ENTRIES, name, entry)
    given, other = a_frame(64, 96, 1), a_frame(64, 96, 2)
    Image.fromarray(given).save(tmp_path / "given.png")
    for name, frame in (("same", given), ("other", other)):
        write_mp4(tmp_path / f"{name}.mp4", np.stack([frame] * 2), 25, None, 16_000, crf=0)
    item = Item("same", "one", "blots", first_frame=tmp_path / "given.png")
    items = [item, replace(item, item_id="other"), replace(item, item_id="gone")]
    outputs = {name: tmp_path / f"{name}.mp4" for name in ("same", "other", "gone")}
    cache = FeatureCache(tmp_path / "cache", dict.fromkeys(ENTRIES_OF_TINY, settings))
    task = a_task("identity.verse_bench", "identity.cls")
    one = ScoringSettings(workers=1, attempts=1)
    scored = score_outputs(task, items, outputs, cache, one, lambda done, _n, _label: done)
    found: dict[tuple[str, str], Any] = {(row.metric, row.item_id): row for row in scored.rows}
    for metric in ("identity.verse_bench", "identity.cls"):
        assert found[metric, "same"].value > 0.98
        assert found[metric, "other"].value < found[metric, "same"].value - 0.01
        assert (found[metric, "gone"].value, found[metric, "gone"].reason) == (None, "the file gone.mp4 is missing")
    assert {figure.tier for figure in scored.figures} == {"paper"}
    assert all(figure.unproven for figure in scored.figures)


def test_dinov2_runs_the_same_way(tmp_path: Path) -> None:
    write_mp4(tmp_path / "clip.mp4", np.stack([a_frame(64, 96, seed) for seed in range(2)]), 25, None, 16_000)
    found = TinyV2(**dinov2_folder(tmp_path / "dinov2")).extract(ClipFile(tmp_path / "clip.mp4"))
    assert found.arrays["frames_TD"].shape == (2, 32)


def test_other_weights_are_refused(settings: dict[str, str], tmp_path: Path) -> None:
    assert needs_weights("dinov3_vitl16_cls")
    with pytest.raises(InputError, match=r"config\.json: hidden_size is 32, dinov3_vitl16_cls is of a model with 1024"):
        DinoV3Cls(**settings)
    with pytest.raises(InputError, match=r"but 0{64} is wanted"):
        TinyCls(weights=settings["weights"], sha256="0" * 64)
    with pytest.raises(InputError, match=r"config\.json .* copy it from the hub repository facebook/dinov3-vitl16"):
        DinoV3TokenMinus2(weights=str(tmp_path), sha256="0" * 64)
    with pytest.raises(InputError, match="model_type is 'dinov2'"):
        TinyCls(**dinov2_folder(tmp_path / "dinov2"))


@pytest.mark.parametrize("change", ["lacks", "extra"])
def test_tensors_are_all_there_and_no_others(tmp_path: Path, change: str) -> None:
    folder = Path(dinov3_folder(tmp_path / "dinov3")["weights"])
    state = load_file(folder / "model.safetensors")
    if change == "lacks":
        del state["norm.weight"]
    else:
        state["head.weight"] = torch.zeros(3)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"model\.safetensors.*(norm|head)\.weight"):
        TinyCls(weights=str(folder), sha256=sha256_path(folder))


def test_a_config_that_is_no_json_is_said(settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"config\.json is not JSON"):
        TinyCls(weights=str(tmp_path), sha256=settings["sha256"])
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov3_vit", "hidden_size": 32}))
    with pytest.raises(InputError, match="does not hold a DINOv3ViTModel"):
        TinyCls(weights=str(tmp_path), sha256=sha256_path(tmp_path))
