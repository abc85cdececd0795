"""Scene cuts: hard cuts by perceptual hash, fades by brightness, and the scenes between them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scenedetect.common import FrameTimecode
from scenedetect.detectors import HashDetector, ThresholdDetector

from nava.artifacts.source_manifest import Segment
from nava.config.curation import SceneConfig
from nava.data.curation.decoding import SourceTrack

_NOMINAL_FPS = 24.0  # the detectors want a rate for their clock; only frame numbers are used
_CHANGED = 6  # steps (0-255) of the most changed channel


@dataclass(frozen=True)
class Scene:
    """Frames `first` to `last` (inclusive) of a source, and the times between which nothing is cut.

    Attributes:
        t0_s: time of the first frame. t1_s: time at which the last frame ends.
        fades_in, fades_out: whether a fade is at that end, so that its first or last frames are dim.
    """

    index: int
    first: int
    last: int
    t0_s: float
    t1_s: float
    fades_in: bool = False
    fades_out: bool = False

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.t1_s - self.t0_s


@dataclass
class SceneDetector:
    """PySceneDetect's HashDetector, confirmed by how much of the picture changes at once, and its ThresholdDetector for
    fades.

    The hash alone takes a large moving thing for a cut; a cut changes most of the picture. Dissolves are not found. The
    detectors see the small pictures of the one decode: nothing is decoded twice.
    """

    thresholds: SceneConfig

    def detect(self, source: SourceTrack) -> list[Scene]:
        """The scenes of a source in order; frames that are faded out belong to none."""
        if not len(source.times_s):
            return []
        luma_THW = source.small_luma_THW
        cuts = self._hash_cuts(luma_THW, source.small_THWC)
        fades, faded_T = self._fades(luma_THW)
        bounds = [0, *self._merge(cuts, fades), len(source.times_s)]
        frame_s = source.frame_s or 1.0 / _NOMINAL_FPS
        scenes: list[Scene] = []
        for first, end in itertools.pairwise(bounds):
            visible = np.flatnonzero(~faded_T[first:end]) + first
            # A scene that is dark throughout is a picture too; only the dark ends of a fade are cut off.
            start, stop = (int(visible[0]), int(visible[-1])) if len(visible) else (first, end - 1)
            t1_s = (
                float(source.times_s[stop + 1])
                if stop + 1 < len(source.times_s)
                else float(source.times_s[stop]) + frame_s
            )
            ends = (first in fades, end in fades)
            scenes.append(Scene(len(scenes), start, stop, float(source.times_s[start]), t1_s, *ends))
        return scenes

    def _hash_cuts(self, small_THW: npt.NDArray[np.uint8], small_THWC: npt.NDArray[np.uint8]) -> set[int]:
        # Scenes that are too short are dealt with after confirmation: a false candidate must not hide a true cut close
        # by.
        detector = HashDetector(threshold=self.thresholds.hash_threshold, min_scene_len=1)
        cuts: set[int] = set()
        for number, luma_HW in enumerate(small_THW):
            frame_BGR = cv2.cvtColor(luma_HW, cv2.COLOR_GRAY2BGR)
            found = detector.process_frame(FrameTimecode(number, _NOMINAL_FPS), frame_BGR)
            cuts.update(cut.frame_num for cut in found)
        return {
            cut
            for cut in cuts
            if changed_share(small_THWC[cut - 1], small_THWC[cut]) >= self.thresholds.min_changed_share
        }

    def _fades(self, small_THW: npt.NDArray[np.uint8]) -> tuple[set[int], npt.NDArray[np.bool_]]:
        """Cuts in the middle of fades through black or white, and which frames are faded out."""
        mean_T = small_THW.reshape(len(small_THW), -1).mean(axis=1)
        distance_T = np.minimum(mean_T, 255.0 - mean_T)
        detector = ThresholdDetector(threshold=1, min_scene_len=self.thresholds.min_scene_frames)
        cuts: set[int] = set()
        for number, distance in enumerate(distance_T / self.thresholds.fade_luma):
            found = detector.process_frame(FrameTimecode(number, _NOMINAL_FPS), np.array(distance))
            cuts.update(cut.frame_num for cut in found)
        return cuts, distance_T < self.thresholds.fade_luma

    def _merge(self, cuts: set[int], fades: set[int]) -> list[int]:
        """Cuts in order, at least a shortest scene apart; where a fade lies close to a hard cut, the fade is it."""
        near = self.thresholds.min_scene_frames
        alone = {cut for cut in cuts if all(abs(cut - fade) >= near for fade in fades)}
        merged: list[int] = []
        for cut in sorted(alone | fades):
            if cut >= near and (not merged or cut - merged[-1] >= near):
                merged.append(cut)
        return merged


def changed_share(before_HWC: npt.NDArray[np.uint8], after_HWC: npt.NDArray[np.uint8]) -> float:
    """Share of the pixels that differ between two pictures."""
    return float((cv2.absdiff(before_HWC, after_HWC).max(axis=2) > _CHANGED).mean())


def within_segments(scenes: list[Scene], track: SourceTrack, segments: Sequence[Segment]) -> list[Scene]:
    """The parts of scenes that lie in the spans that metadata point at, numbered anew; all of them without spans."""
    if not segments:
        return scenes
    parts: list[Scene] = []
    for segment in segments:
        t0_s, t1_s = segment.t0_us / 1e6, segment.t1_us / 1e6
        for scene in scenes:
            inside = np.flatnonzero((track.times_s >= t0_s - 5e-4) & (track.times_s < t1_s))
            inside = inside[(inside >= scene.first) & (inside <= scene.last)]
            if len(inside):
                first, last = int(inside[0]), int(inside[-1])
                ends = (scene.fades_in and first == scene.first, scene.fades_out and last == scene.last)
                end_s = min(scene.t1_s, t1_s)
                parts.append(Scene(len(parts), first, last, float(track.times_s[first]), end_s, *ends))
    return parts
