"""The three published ways from a clip to its Sync-C and Sync-D. Their numbers do not compare.

Section 1.2 of the evaluation reference: `official` is the SyncNet repository's pipeline, `verse_bench` the scorer of
Verse-Bench, `mova` the fork in MOVA's evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nava.evaluation.scoring.score import Score
from nava.evaluation.scoring.sync_scoring import SyncScore
from nava.runtime.errors import InputError

Combination = Literal["longest_track", "mean_confidence", "mean"]


@dataclass(frozen=True)
class SyncProtocol:
    """Constants of one variant, for whoever finds and crops the faces, and how the tracks of a clip become one score.

    Attributes:
        name: part of the protocol id of every result.
        face_detector: what finds the faces.
        min_run_frames: shortest run of frames with the face, at 25 fps.
        run_exceeds_min: whether a run must be longer than that, instead of at least as long.
        crop_scale: margin of the crop relative to the half size of the box (`face_crop.crop_face`).
        smoothing_kernel: median filter over the boxes, frames; None for none.
        combination: how several tracks become one. "longest_track" is this project's choice where a user picks by eye.
        has_sync_d: whether the variant has a Sync-D at all.
        max_offset_frames: a clip with a track whose |offset| is larger has no score; None for no limit.
    """

    name: str
    face_detector: str
    min_run_frames: int
    run_exceeds_min: bool
    crop_scale: float
    smoothing_kernel: int | None
    combination: Combination
    has_sync_d: bool
    max_offset_frames: int | None

    def long_enough(self, n_frames: int) -> bool:
        """Whether a run of so many frames is scored."""
        return n_frames > self.min_run_frames if self.run_exceeds_min else n_frames >= self.min_run_frames


OFFICIAL = SyncProtocol(
    name="official",
    face_detector="S3FD, score above 0.9, scale 0.25",
    min_run_frames=100,
    run_exceeds_min=True,
    crop_scale=0.40,
    smoothing_kernel=13,
    combination="longest_track",
    has_sync_d=True,
    max_offset_frames=None,
)
VERSE_BENCH = SyncProtocol(
    name="verse_bench",
    face_detector="insightface FaceAnalysis at 640x480, first face only",
    min_run_frames=50,
    run_exceeds_min=False,
    crop_scale=0.30,
    smoothing_kernel=None,
    combination="mean_confidence",
    # The third value of its scorer is the mean over all shifts, which is no Sync-D.
    has_sync_d=False,
    max_offset_frames=13,
)
MOVA = SyncProtocol(
    name="mova",
    face_detector="S3FD",
    min_run_frames=20,
    run_exceeds_min=True,
    crop_scale=0.40,
    smoothing_kernel=13,  # the fork keeps the official crop
    combination="mean",
    has_sync_d=True,
    max_offset_frames=None,
)
SYNC_PROTOCOLS = {protocol.name: protocol for protocol in (OFFICIAL, VERSE_BENCH, MOVA)}


@dataclass(frozen=True)
class ScoredTrack:
    """One face of one clip: how many frames it is there, and its score."""

    n_frames: int
    score: SyncScore


@dataclass(frozen=True)
class ClipSync:
    """Scores of a clip.

    Attributes:
        sync_c: Sync-C, or why there is none.
        sync_d: Sync-D, or why there is none.
        offset_frames: of the track or tracks used, in their order.
        too_short: lengths in frames of the tracks left out, since they are shorter than the variant wants.
    """

    sync_c: Score
    sync_d: Score
    offset_frames: tuple[int, ...]
    too_short: tuple[int, ...]


def combine_tracks(tracks: Sequence[ScoredTrack], protocol: SyncProtocol) -> ClipSync:
    """A clip's score from those of its tracks. A clip without a usable track has no score, and its reason."""
    used = [track for track in tracks if protocol.long_enough(track.n_frames)]
    too_short = tuple(track.n_frames for track in tracks if not protocol.long_enough(track.n_frames))
    if not used:
        reason = "no face was found"
        if too_short:
            limit = f"{'more than' if protocol.run_exceeds_min else 'at least'} {protocol.min_run_frames} frames"
            reason = f"the longest of {len(too_short)} face tracks has {max(too_short)} frames, not {limit}"
        return ClipSync(Score.missing(reason), Score.missing(reason), (), too_short)
    if protocol.combination == "longest_track":
        used = [max(used, key=lambda track: track.n_frames)]  # the first of equally long ones
    offsets = tuple(track.score.offset_frames for track in used)
    limit_frames = protocol.max_offset_frames
    if limit_frames is not None and max(map(abs, offsets)) > limit_frames:
        reason = f"{protocol.name} drops clips with an offset beyond ±{limit_frames} frames: {list(offsets)}"
        return ClipSync(Score.missing(reason), Score.missing(reason), offsets, too_short)
    sync_d = Score.missing(f"{protocol.name} has no Sync-D")
    if protocol.has_sync_d:
        sync_d = Score(float(np.mean([track.score.sync_d for track in used])))
    return ClipSync(Score(float(np.mean([track.score.sync_c for track in used]))), sync_d, offsets, too_short)


def sync_protocol(name: str) -> SyncProtocol:
    """The variant of that name; InputError for an unknown one."""
    try:
        return SYNC_PROTOCOLS[name]
    except KeyError:
        raise InputError(f"unknown Sync protocol {name!r}: known are {', '.join(SYNC_PROTOCOLS)}") from None
