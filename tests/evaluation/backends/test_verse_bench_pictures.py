"""AS and VQ: the predictor against its definition, and rows of a run from a folder of weights."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from nava.evaluation.backends.siglip_aesthetics import AestheticHead, siglip_picture
from nava.evaluation.backends.verse_bench_pictures import HEAD, VerseBenchAesthetic
from nava.evaluation.benchmark.item import Item
from nava.evaluation.catalogue.scorers import SCORERS
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.extractor import ENTRIES
from nava.evaluation.extraction.feature_cache import FeatureCache
from nava.evaluation.extraction.features import Features, scored
from nava.evaluation.extraction.unit import extract
from nava.evaluation.run import score as run
from nava.evaluation.run.records import read_rows, write_rows
from nava.evaluation.run.score import ScoringSettings, score_outputs
from nava.evaluation.scoring.score import Score
from nava.generation.media import write_mp4
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_path
from tests.evaluation.backends.picture_checkpoints import (
    SMALL,
    SmallAesthetic,
    SmallVideoQuality,
    write_judges,
)
from tests.evaluation.benchmark_items import a_task


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return write_judges(tmp_path_factory.mktemp("judges") / "all", dino=True)


def frames(seed, count=2, height=64, width=96):
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    one = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.stack([np.roll(one, 3 * number, axis=1) for number in range(count)])


def clip(path, *arguments, **named):
    write_mp4(path, frames(*arguments, **named), 25, None, 16_000, crf=0)
    return ClipFile(path)


def test_siglip_sees_the_whole_picture_in_a_square_from_minus_one_to_one():
    flat = np.full((40, 90, 3), (0, 51, 255), np.uint8)
    seen = siglip_picture(flat, 56)
    assert (seen.shape, seen.dtype) == ((3, 56, 56), np.float32)
    np.testing.assert_allclose(seen[:, 10, 10], [-1, -0.6, 1], atol=1e-6)
    edge = np.zeros((56, 112, 3), np.uint8)
    edge[:, 56:] = 255
    assert (siglip_picture(edge, 56)[:, :, :26] == -1).all()
    assert (siglip_picture(edge, 56)[:, :, 30:] == 1).all()


def test_the_head_has_the_published_names_and_asks_for_direction_alone():
    with torch.device("meta"):
        names = {name: tuple(tensor.shape) for name, tensor in AestheticHead(1152).state_dict().items()}
    widths = (1152, 1024, 128, 64, 16, 1)
    expected = {}
    for place, (source, target) in enumerate(pairwise(widths)):
        expected |= {f"scoring_head.{2 * place}.weight": (target, source), f"scoring_head.{2 * place}.bias": (target,)}
    assert names == expected
    head, embedding = AestheticHead(8).eval().requires_grad_(False), torch.randn(1, 8)
    assert float(head(embedding)) == pytest.approx(float(head(7 * embedding)), abs=1e-6)


def test_as_is_the_mean_of_three_scaled_means_over_all_frames(settings, tmp_path):
    from transformers import SiglipModel

    judge = SmallAesthetic(**settings)
    seen = clip(tmp_path / "clip.mp4", 0, 3)
    found = judge.extract(seen)
    scores_T3 = found.arrays["scores_T3"]
    assert scores_T3.shape == (3, 3)
    by_hand = scores_T3.mean(axis=0) / [10, 100, 1]
    assert found.values["aesthetic"] == pytest.approx(by_hand.mean())
    pictures = torch.from_numpy(np.stack([siglip_picture(frame, 56) for frame in seen.frames_THWC]))
    both_halves = SiglipModel.from_pretrained(f"{settings['weights']}/siglip-so400m-patch14-384").eval()
    layers = torch.load(f"{settings['weights']}/{HEAD.file}", weights_only=True)
    with torch.inference_mode():
        x = both_halves.vision_model(pixel_values=pictures).pooler_output
    x = x / x.norm(dim=1, keepdim=True)
    for place in range(0, 10, 2):
        x = x @ layers[f"scoring_head.{place}.weight"].T + layers[f"scoring_head.{place}.bias"]
    np.testing.assert_allclose(scores_T3[:, 0], x[:, 0].numpy(), atol=1e-5)
    assert np.ptp(scores_T3, axis=0).min() > 0, "other frames have other scores"
    assert np.array_equal(judge.extract(ClipFile(tmp_path / "clip.mp4")).arrays["scores_T3"], scores_T3)


def test_vq_is_the_mean_of_both_or_says_what_is_missing():
    still = Features(arrays={"frames_TD": np.array([[1.0, 0.0]])})
    turned = np.array([[1.0, 0.0], [0.6, 0.8]])
    generated = Features(scored(aesthetic=Score(0.5)), {"frames_TD": turned})
    assert SCORERS["video_quality"]({"generated": generated, "first_frame": still}, None).value == pytest.approx(0.65)
    small = Features(scored(aesthetic=Score.missing("too small")), {"frames_TD": turned})
    found = SCORERS["video_quality"]({"generated": small, "first_frame": still}, None)
    assert (found.value, found.reason) == (None, "too small")


def test_from_a_folder_of_weights_to_rows(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "extract_all", lambda units, *_: ((unit, extract(unit)) for unit in units))
    for name, entry in SMALL.items():
        monkeypatch.setitem(ENTRIES, name, entry)
    # The given picture may be smaller than MANIQA can take: nobody asks how beautiful it is.
    Image.fromarray(frames(1)[0]).resize((48, 32)).save(tmp_path / "given.png")
    clip(tmp_path / "same.mp4", 1)
    clip(tmp_path / "tiny.mp4", 1, height=48, width=96)
    item = Item("same", "one", "blots", first_frame=tmp_path / "given.png")
    items = [item, replace(item, item_id="tiny"), replace(item, item_id="gone")]
    outputs = {name: tmp_path / f"{name}.mp4" for name in ("same", "tiny", "gone")}
    cache = FeatureCache(tmp_path / "cache", dict.fromkeys(SMALL, settings))
    task = a_task("aesthetic.verse_bench", "video_quality.verse_bench")
    one = ScoringSettings(workers=1, attempts=1)
    found = score_outputs(task, items, outputs, cache, one, lambda done, _n, _label: done)
    rows = {(row.metric, row.item_id): row for row in found.rows}
    aesthetic, quality = (
        rows[metric, "same"].value for metric in ("aesthetic.verse_bench", "video_quality.verse_bench")
    )
    assert aesthetic is not None
    assert 2 * quality - aesthetic == pytest.approx(1, abs=0.1), "what is left is the cosine with the same picture"
    for metric in ("aesthetic.verse_bench", "video_quality.verse_bench"):
        assert rows[metric, "tiny"].value is None
        assert rows[metric, "tiny"].reason == "the picture has 96 x 48 pixels; MANIQA needs 64 x 64"
        assert rows[metric, "gone"].reason == "the file gone.mp4 is missing"
    assert {figure.tier for figure in found.figures} == {"paper"}
    assert all(figure.unproven for figure in found.figures)
    write_rows(tmp_path / "rows.jsonl", found.rows)
    assert sorted(read_rows(tmp_path / "rows.jsonl"), key=str) == sorted(found.rows, key=str)


def test_wrong_files_are_refused_by_name(settings, tmp_path):
    with pytest.raises(InputError, match=r"aesthetic_predictor_v2_5\.pth .* is not at"):
        VerseBenchAesthetic(str(tmp_path), "0" * 64)
    with pytest.raises(InputError, match=r"but 0{64} is wanted"):
        SmallAesthetic(settings["weights"], "0" * 64)
    fewer = write_judges(tmp_path / "fewer", change=lambda tensors: tensors.pop("conv2.bias"))
    with pytest.raises(InputError, match=r"ckpt_koniq10k\.pt.*lacks tensor 'conv2\.bias'"):
        SmallAesthetic(**fewer)
    folder = tmp_path / "no_dino"
    without = write_judges(folder)
    assert without["sha256"] == sha256_path(folder)
    with pytest.raises(InputError, match=r"config\.json .* facebook/dinov3-vitl16"):
        SmallVideoQuality(**without)
