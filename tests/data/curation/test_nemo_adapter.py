"""A stage in NeMo Curator's shape, as it is, between ours."""

import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest

from docs.examples.nemo_stage import MotionScoreFilter
from nava.artifacts.clip_manifest import Reason
from nava.config.annotation import AnnotationConfig
from nava.config.curation import ClipConfig, CurationConfig
from nava.config.speech import SpeechConfig
from nava.data.curation.nemo_adapter import NemoStage
from nava.data.curation.plan import CurationPlan
from nava.data.curation.stage import Clip, SourceTask
from nava.data.curation.transcode import write_mp4, write_wav
from nava.runtime.hashing import sha256_file
from tests.data.curation.conftest import RATE_HZ, draw_flash, draw_room
from tests.data.curation.toy_stages import source


@pytest.fixture
def task(tmp_path):
    """A moving clip, a still one, and one of sound alone."""
    task = SourceTask(source("film"), "", tmp_path)
    pictures = {"moving": draw_flash(seconds=2.1)[0][:49], "still": draw_room(0, 49), "sound": None}
    for number, (name, frames) in enumerate(pictures.items()):
        row = {"clip_id": name, "modality": "av" if frames is not None else "audio", "audio_sr": RATE_HZ}
        row |= {"t0_us": number * 2_000_000, "t1_us": number * 2_000_000 + 2_041_667, "audio_path": f"{name}.wav"}
        write_wav(tmp_path / f"{name}.wav", np.zeros(33_280, np.float32), RATE_HZ)
        row["audio_sha256"] = sha256_file(tmp_path / f"{name}.wav")
        if frames is not None:
            write_mp4(tmp_path / f"{name}.mp4", frames, np.zeros((1, 99_840), np.float32), ClipConfig())
            row |= {"video_path": f"{name}.mp4", "video_sha256": sha256_file(tmp_path / f"{name}.mp4")}
        task.clips.append(Clip(row))
    return task


def stage(inner, **changes):
    return NemoStage(inner, Reason.STATIC_PICTURE, {"motion_score_global_mean": "motion"}, **changes)


def run(inner, task):
    wrapped = stage(inner)
    wrapped.setup()
    wrapped.process([task])
    return {clip.row["clip_id"]: clip.row for clip in task.clips}


def test_a_filter_drops_what_it_filters_and_its_scores_are_kept(task):
    rows = run(MotionScoreFilter(), task)
    assert "status" not in rows["moving"]
    assert rows["moving"]["motion"] > 0.5
    assert (rows["still"]["status"], rows["still"]["drop_reason"]) == ("dropped", "static_picture")
    assert rows["still"]["detail"].startswith("nemo:motion_score_filter filtered it (motion_score_global_mean")
    assert "motion" not in rows["sound"]


@dataclass
class Writer:
    """Returns what its field says; notes its set-up and what it saw."""

    answer: str
    name: str = "writer"
    seen: list = field(default_factory=list)

    def setup_on_node(self, node_info, worker_metadata):
        self.seen.append("node")

    def setup(self, worker_metadata=None):
        self.seen.append("worker")

    def process(self, task):
        self.seen += [(clip.source_video, clip.duration, clip.buffer[4:8]) for clip in task.data.clips]
        if self.answer == "error":
            task.data.clips[0].errors["decode"] = "broken"
        return {"none": None, "list": [task]}.get(self.answer, task)


def test_a_stage_is_set_up_and_sees_the_clips_as_nemo_curator_shows_them(task):
    inner = Writer("task")
    rows = run(inner, task)
    assert inner.seen[:2] == ["node", "worker"]
    assert inner.seen[2] == ("film.mp4", pytest.approx(2.041667), b"ftyp")
    assert len(inner.seen) == 4
    assert all("status" not in row for row in rows.values())


def test_none_filters_every_clip_with_a_picture(task):
    rows = run(Writer("none"), task)
    assert rows["moving"]["status"] == rows["still"]["status"] == "dropped"
    assert "status" not in rows["sound"]


def test_a_list_of_tasks_passes_its_clips(task):
    assert all("status" not in row for row in run(Writer("list"), task).values())


def test_an_error_that_a_stage_notes_on_a_clip_is_the_clips(task):
    rows = run(Writer("error"), task)
    assert (rows["moving"]["status"], rows["moving"]["drop_reason"]) == ("failed", "stage_error")
    assert "broken" in rows["moving"]["detail"]
    assert "status" not in rows["still"]


def test_a_column_outside_the_manifest_is_refused():
    with pytest.raises(ValueError, match="beauty"):
        NemoStage(MotionScoreFilter(), Reason.STATIC_PICTURE, {"aesthetic_score": "beauty"})


def test_it_stands_in_a_plan_with_a_version_of_its_own_and_pickles():
    plans = [
        CurationPlan(
            CurationConfig(), SpeechConfig(), AnnotationConfig(), extra=[stage(MotionScoreFilter(), revision=n)]
        )
        for n in "12"
    ]
    assert plans[0].versions["nemo:motion_score_filter"] == "MotionScoreFilter/1"
    assert plans[0].look_key != plans[1].look_key
    assert pickle.loads(pickle.dumps(plans[0].look[-1])).stage == MotionScoreFilter()
