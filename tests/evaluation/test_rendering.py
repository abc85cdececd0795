import json

import numpy as np
import pytest

from nava.evaluation.plan import Request
from nava.evaluation.rendering import Renderer, batches
from nava.generation.media import read_mp4
from nava.generation.pipeline import GeneratedClip
from tests.evaluation.drawn_clips import FPS, RATE, flash_clip


def requests(n, variant="guided", gallery=0):
    return [Request(f"c{i:02}", "flash", variant, "A red bar.", i, gallery=i < gallery) for i in range(n)]


class Maker:
    """Draws clips and remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, wanted):
        self.asked.append([request.clip_id for request in wanted])
        drawn = [flash_clip(request.seed) for request in wanted]
        return [GeneratedClip("", 0, clip.frames, FPS, clip.samples, RATE) for clip in drawn]


def test_batches_hold_one_variant_and_at_most_so_many_clips():
    plan = requests(3, "real") + requests(5, "guided")
    found = list(batches(plan, 2))
    assert [(batch.variant, len(batch.requests)) for batch in found] == [
        ("guided", 2),
        ("guided", 2),
        ("guided", 1),
        ("real", 2),
        ("real", 1),
    ]
    assert len({batch.name for batch in found}) == len(found)
    assert sorted(r.sample_id for batch in found for r in batch.requests) == sorted(r.sample_id for r in plan)


def test_samples_carry_their_requests_in_order(tmp_path):
    (batch,) = batches(requests(3), 8)
    samples = Renderer({"guided": Maker()}, tmp_path, zoom=2).render(batch)
    assert [sample.request for sample in samples] == list(batch.requests)
    assert len({sample.measures for sample in samples}) == 3


def test_only_gallery_clips_are_kept_enlarged_and_playable(tmp_path):
    (batch,) = batches(requests(3, gallery=1), 8)
    renderer = Renderer({"guided": Maker()}, tmp_path, zoom=2)
    renderer.render(batch)
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["c00-guided.mp4"]
    media = read_mp4(renderer.clip_path(batch.requests[0]))
    assert media.frames.shape == (49, 32, 32, 3)
    assert np.abs(media.samples).max() > 0.1


def test_a_finished_batch_is_not_made_again_and_gives_the_same_samples(tmp_path):
    first, second = batches(requests(4), 2)
    maker = Maker()
    before = Renderer({"guided": maker}, tmp_path, zoom=1).render(first)
    again = Renderer({"guided": maker}, tmp_path, zoom=1)
    assert again.render(first) == before
    again.render(second)
    assert maker.asked == [["c00", "c01"], ["c02", "c03"]]


def test_a_batch_that_was_interrupted_is_made_whole(tmp_path):
    (batch,) = batches(requests(2, gallery=2), 8)

    def dies(wanted):
        clips = Maker()(wanted)
        return [clips[0], GeneratedClip("", 0, np.zeros(3), FPS, clips[1].samples, RATE)]

    with pytest.raises(Exception, match="frames"):
        Renderer({"guided": dies}, tmp_path, zoom=1).render(batch)
    assert not (tmp_path / "batches").exists()
    assert len(Renderer({"guided": Maker()}, tmp_path, zoom=1).render(batch)) == 2
    assert len(list((tmp_path / "clips").glob("*.mp4"))) == 2


def test_a_maker_that_loses_clips_is_an_error(tmp_path):
    (batch,) = batches(requests(2), 8)
    with pytest.raises(RuntimeError, match="2 clips wanted, 0 made"):
        Renderer({"guided": lambda wanted: []}, tmp_path, zoom=1).render(batch)


def test_batch_files_are_plain_json(tmp_path):
    (batch,) = batches(requests(1), 8)
    Renderer({"guided": Maker()}, tmp_path, zoom=1).render(batch)
    found = json.loads((tmp_path / "batches" / "guided-00000.json").read_text())
    assert set(found) == {"c00-guided"}
    assert len(found["c00-guided"]["envelope"]) == 49
