"""Black bars around a picture."""

import numpy as np
import pytest

from nava.artifacts.source_manifest import Source
from nava.config.curation import ClipConfig, IntegrityConfig
from nava.data.curation import bars
from nava.data.curation.bars import BarsStage, inside_bars
from nava.data.curation.decoding import SourceTrack, Still
from nava.data.curation.stage import Clip, SourceTask


def picture(height=180, width=320, top=0, bottom=0, left=0, right=0, black=16, seed=0):
    rng = np.random.default_rng(seed)
    luma = np.full((height, width), black, np.uint8)
    inner = luma[top : height - bottom, left : width - right]
    inner[:] = rng.integers(40, 220, inner.shape)
    return luma


def test_a_letterbox_is_found_and_its_border_rows_with_it():
    place = inside_bars([picture(top=24, bottom=24, seed=seed) for seed in range(3)])
    assert place["y0"] == pytest.approx(24 / 180, abs=3 / 180)
    assert place["y0"] >= 24 / 180
    assert place["y1"] == 1 - place["y0"]
    assert (place["x0"], place["x1"]) == (0.0, 1.0)


def test_a_pillarbox_and_both_at_once():
    assert inside_bars([picture(left=60, right=60)])["x0"] > 60 / 320
    both = inside_bars([picture(top=20, bottom=20, left=40, right=40)])
    assert both["x0"] > 0
    assert both["y0"] > 0


@pytest.mark.parametrize(
    "stills",
    [
        [picture()],
        [picture(top=24)],  # a dark sky: one side alone
        [picture(top=2, bottom=2)],  # a coder's edge
        [np.full((180, 320), 16, np.uint8)],  # a picture that is black throughout
        [picture(top=24, bottom=24), picture(seed=1)],  # stills that disagree
        [picture(top=70, bottom=70)],  # hardly anything between
        [picture(top=24, bottom=24), np.zeros((90, 160), np.uint8)],  # sizes that differ
        [],
    ],
)
def test_what_is_no_bar(stills):
    assert inside_bars(stills) is None


def test_a_dark_picture_is_no_bar():
    night = np.random.default_rng(0).integers(8, 30, (180, 320)).astype(np.uint8)
    night[60:120] += 60
    assert inside_bars([night]) is None


def test_text_in_a_bar_keeps_it_for_the_text_stage():
    subtitled = picture(top=24, bottom=24)
    subtitled[160:170, 100:220:4] = 235
    assert inside_bars([subtitled]) is None


def test_the_form_of_a_clip_follows_what_is_inside(monkeypatch, tmp_path):
    clip = ClipConfig(buckets=["1280x704", "704x1280"])
    stills = [Still(0.5, picture(left=110, right=110)), Still(1.0, picture(left=110, right=110, seed=1))]
    silence = np.zeros(0, np.float32)
    smalls = np.zeros((1, 64, 64, 3), np.uint8)
    track = SourceTrack(np.zeros(1), smalls, stills, silence, 16_000, True, True, width=1920, height=1080)
    monkeypatch.setattr(bars, "source_track", lambda *arguments: track)
    row = {"clip_id": "a", "modality": "av", "t0_us": 0, "t1_us": 2_000_000, "n_frames": 49, "width": 1280}
    task = SourceTask(
        Source("s", "a.mp4", "0" * 64, 1, None, "", ""),
        str(tmp_path),
        tmp_path,
        clips=[Clip(dict(row)), Clip(dict(row))],
    )
    task.clips[1].row |= {"t0_us": 3_000_000, "t1_us": 5_000_000}
    BarsStage(clip, IntegrityConfig()).examine(task)
    seen, unseen = (clip.row for clip in task.clips)
    assert (seen["width"], seen["height"]) == (704, 1280)
    assert seen["bucket"].startswith("49x1280x704_")
    assert seen["crop"]["x0"] > 110 / 320
    assert "crop" not in unseen
    untouched = SourceTask(task.source, str(tmp_path), tmp_path, clips=[Clip(dict(row))])
    BarsStage(ClipConfig(crop_bars=False), IntegrityConfig()).examine(untouched)
    assert untouched.clips[0].row == row
