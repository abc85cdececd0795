"""Faces over time: detections of single frames linked to tracks, and the pictures that SyncNet sees of them.

Section 1.2 of the evaluation reference: SyncNet's pipeline links by overlap inside of a shot, Verse-Bench takes
unbroken runs of whatever face comes first.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nava.evaluation.backends.box_overlap import intersection_over_union
from nava.evaluation.scoring.face_crop import CROP_SIZE, crop_box, crop_face, face_boxes
from nava.evaluation.scoring.sync_protocols import SyncProtocol
from nava.evaluation.scoring.sync_scoring import FPS

MIN_OVERLAP = 0.5
MAX_MISSED_FRAMES = 25
MIN_SIDE = 100.0  # pixels; the mean of width or height must be more
_CUT_WIDTH = 256  # pixels of the longer side in which cuts are looked for


@dataclass(frozen=True)
class FaceTrack:
    """A face over consecutive frames.

    Attributes:
        first_frame: at 25 fps.
        box_T4: x1, y1, x2, y2 in pixels, one row per frame.
        detections: frames in which it was found; in the others the box is interpolated.
    """

    first_frame: int
    box_T4: np.ndarray  # noqa: N815
    detections: int

    @property
    def end_frame(self) -> int:
        """The frame after its last one."""
        return self.first_frame + len(self.box_T4)

    @property
    def side(self) -> float:
        """Mean width or mean height, whichever is more."""
        return float((self.box_T4[:, 2:] - self.box_T4[:, :2]).mean(axis=0).max())

    def __str__(self) -> str:
        return f"frames {self.first_frame} to {self.end_frame - 1}"


def linked_tracks(boxes_by_frame: Sequence[np.ndarray], shots: Sequence[range]) -> list[FaceTrack]:
    """Tracks of all faces, shot by shot: a face goes on where a box overlaps its last one by more than a half.

    A track ends after 25 frames without; between detections boxes are interpolated linearly.

    Args:
        boxes_by_frame: x1, y1, x2, y2 in pixels [K, 4], best first.
        shots: frames of each.
    """
    tracks: list[FaceTrack] = []
    for shot in shots:
        left = {frame: [np.asarray(box_4, float) for box_4 in boxes_by_frame[frame]] for frame in shot}
        while any(left.values()):
            tracks.append(_interpolated(_next_track(left)))
    return tracks


def _next_track(left: dict[int, list[np.ndarray]]) -> list[tuple[int, np.ndarray]]:
    """Take the first face that is left, and what follows it, out of `left`."""
    track: list[tuple[int, np.ndarray]] = []
    for frame, boxes in left.items():
        if not track:
            if boxes:
                track.append((frame, boxes.pop(0)))
            continue
        last_frame, last_4 = track[-1]
        if frame - last_frame > MAX_MISSED_FRAMES:
            break
        overlaps = intersection_over_union(last_4, np.array(boxes)) if boxes else np.empty(0)
        if len(following := np.flatnonzero(overlaps > MIN_OVERLAP)):
            track.append((frame, boxes.pop(int(following[0]))))
    return track


def _interpolated(track: Sequence[tuple[int, np.ndarray]]) -> FaceTrack:
    found = np.array([frame for frame, _ in track])
    box_K4 = np.stack([box_4 for _, box_4 in track])
    frames = np.arange(found[0], found[-1] + 1)
    box_T4 = np.stack([np.interp(frames, found, side_K) for side_K in box_K4.T], axis=1)
    return FaceTrack(int(found[0]), box_T4, len(track))


def unbroken_runs(boxes_by_frame: Sequence[np.ndarray]) -> list[FaceTrack]:
    """Runs of frames with a face, of which each frame's best counts, whoever it belongs to."""
    runs: list[list[int]] = []
    for frame, box_K4 in enumerate(boxes_by_frame):
        if len(box_K4):
            if not runs or runs[-1][-1] != frame - 1:
                runs.append([])
            runs[-1].append(frame)
    return [
        FaceTrack(run[0], np.stack([np.asarray(boxes_by_frame[frame][0], float) for frame in run]), len(run))
        for run in runs
    ]


def shots_of(frames_THWC: np.ndarray) -> list[range]:
    """Frames between cuts, as PySceneDetect's content detector finds them with its defaults.

    As its scene manager does, frames are looked at small.

    Args:
        frames_THWC: uint8 RGB at 25 fps.
    """
    import cv2
    from scenedetect.common import FrameTimecode
    from scenedetect.detectors import ContentDetector

    height, width = frames_THWC.shape[1:3]
    factor = max(1.0, max(height, width) / _CUT_WIDTH)
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    detector = ContentDetector()
    cuts = {0, len(frames_THWC)}
    for number, frame_HWC in enumerate(frames_THWC):
        small_HWC = cv2.resize(frame_HWC, size, interpolation=cv2.INTER_LINEAR) if factor > 1 else frame_HWC
        found = detector.process_frame(FrameTimecode(number, float(FPS)), np.ascontiguousarray(small_HWC[..., ::-1]))
        cuts.update(cut.frame_num for cut in found)
    cuts.update(cut.frame_num for cut in detector.post_process(FrameTimecode(len(frames_THWC) - 1, float(FPS))))
    edges = sorted(cuts)
    return [range(first, end) for first, end in itertools.pairwise(edges)]


def unusable(track: FaceTrack, protocol: SyncProtocol, min_side: float) -> str:
    """Why a protocol leaves a track out; empty if it does not. `min_side`: pixels that the face must exceed."""
    if not protocol.long_enough(track.detections):
        limit = f"{'more than' if protocol.run_exceeds_min else 'at least'} {protocol.min_run_frames}"
        return f"{track}: found in {track.detections} frames, not in {limit}"
    if track.side <= min_side:
        return f"{track}: {track.side:.0f} pixels large, not more than {min_side:.0f}"
    return ""


def face_pictures(frames_THWC: np.ndarray, track: FaceTrack, protocol: SyncProtocol) -> np.ndarray:
    """What SyncNet sees of a track: uint8 BGR [T, 224, 224, 3].

    Args:
        frames_THWC: uint8 RGB frames of the clip.
        track: of a face in it.
        protocol: how boxes are smoothed and how much is around them.

    Raises:
        InputError: a box has no area or lies outside of the picture.
    """
    import cv2

    boxes = face_boxes(track.box_T4, protocol.smoothing_kernel)
    pictures: list[np.ndarray] = []
    for index, frame_HWC in enumerate(frames_THWC[track.first_frame : track.end_frame]):
        box = crop_box(boxes.centre_x_T[index], boxes.centre_y_T[index], boxes.half_size_T[index], protocol.crop_scale)
        picture_HWC = cv2.resize(crop_face(frame_HWC, box), (CROP_SIZE, CROP_SIZE))
        pictures.append(picture_HWC[..., ::-1])
    return np.stack(pictures)
