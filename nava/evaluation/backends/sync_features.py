"""What is kept of a clip for Sync-C and Sync-D: SyncNet's vectors of each face track, in one set of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nava.evaluation.extraction.features import Features
from nava.evaluation.scoring.sync_protocols import ClipSync, ScoredTrack, combine_tracks, sync_protocol
from nava.evaluation.scoring.sync_scoring import sync_score


@dataclass(frozen=True)
class TrackVectors:
    """A face track and its sound as SyncNet sees them.

    Attributes:
        first_frame: of the track, at 25 fps.
        n_frames: frames in which the face was found.
        picture_ND: a vector per window [N, 1024].
        sound_ND: one per window of the same time.
    """

    first_frame: int
    n_frames: int
    picture_ND: np.ndarray  # noqa: N815
    sound_ND: np.ndarray  # noqa: N815


def sync_features(protocol: str, tracks: Sequence[TrackVectors], left_out: Sequence[str]) -> Features:
    """`video_ND` and `audio_ND`, the tracks' windows one after another; `tracks` says where each begins.

    Args:
        protocol: name of the variant that found and cropped the faces, and by which they must be scored.
        tracks: at least one.
        left_out: why other faces are not among them.
    """
    values = {
        "protocol": protocol,
        "tracks": [
            {"first_frame": track.first_frame, "n_frames": track.n_frames, "windows": len(track.picture_ND)}
            for track in tracks
        ],
        "left_out": list(left_out),
    }
    arrays = {
        "video_ND": np.concatenate([track.picture_ND for track in tracks]),
        "audio_ND": np.concatenate([track.sound_ND for track in tracks]),
    }
    return Features(values, arrays)


def clip_sync(features: Features) -> ClipSync:
    """The clip's scores by the protocol that its features are of."""
    ends = np.cumsum([track["windows"] for track in features.values["tracks"]])[:-1]
    parts = zip(
        features.values["tracks"],
        np.split(features.array("video_ND"), ends),
        np.split(features.array("audio_ND"), ends),
        strict=True,
    )
    tracks = [ScoredTrack(int(track["n_frames"]), sync_score(seen_ND, heard_ND)) for track, seen_ND, heard_ND in parts]
    return combine_tracks(tracks, sync_protocol(str(features.values["protocol"])))
