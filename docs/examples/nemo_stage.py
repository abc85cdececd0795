"""A stage written for NeMo Curator, run unmodified in this pipeline.

    .venv/bin/python docs/examples/nemo_stage.py MEDIA OUT

Curates MEDIA into OUT with one more filter: clips in which little moves are dropped.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nava.artifacts.clip_manifest import Reason
from nava.config.annotation import AnnotationConfig
from nava.config.curation import CurationConfig
from nava.config.source import SourceConfig
from nava.config.speech import SpeechConfig
from nava.data.curation.folder import FolderCuration
from nava.data.curation.nemo_adapter import NemoStage
from nava.data.curation.plan import CurationPlan
from nava.data.curation.step import account_lines
from nava.runtime.progress import Progress


@dataclass
class MotionScoreFilter:
    """As one would write it for NeMo Curator: it knows its tasks, and nothing of this project."""

    score_threshold: float = 0.5
    name: str = "motion_score_filter"
    batch_size: int = 1

    def inputs(self):
        return ["data"], ["clips"]

    def outputs(self):
        return ["data"], ["clips", "filtered_clips"]

    def setup(self, worker_metadata=None):
        pass

    def process(self, task):
        video = task.data
        passed = []
        for clip in video.clips:
            frames = next(iter(clip.extracted_frames.values())).astype(np.int16)
            clip.motion_score_global_mean = float(np.abs(np.diff(frames, axis=0)).mean())
            (passed if clip.motion_score_global_mean >= self.score_threshold else video.filtered_clips).append(clip)
        video.clips = passed
        return task


def main(media: str, out: str) -> None:
    """Curate with the extra stage."""
    stage = NemoStage(MotionScoreFilter(), Reason.STATIC_PICTURE, {"motion_score_global_mean": "motion"})
    plan = CurationPlan(CurationConfig(), SpeechConfig(), AnnotationConfig(), extra=[stage])
    curated = FolderCuration(plan, Path(out).resolve(), Progress()).run(SourceConfig(uri=str(Path(media).resolve())))
    print("\n".join(account_lines(curated.rows)))


if __name__ == "__main__":
    main(*sys.argv[1:])
