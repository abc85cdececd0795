"""SyncNet's features of the faces in a clip, by each of the three published ways to them.

Section 1.2 of the evaluation reference. Unlike in the published code, frames and crops do not go through MPEG-4 files
and JPEG pictures on their way, so that values may differ a little from its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from nava.artifacts.weight_files import WeightFile
from nava.evaluation.backends.face_tracks import (
    MIN_SIDE,
    FaceTrack,
    face_pictures,
    linked_tracks,
    shots_of,
    unbroken_runs,
    unusable,
)
from nava.evaluation.backends.frame_ticks import frame_ticks, shown_frames
from nava.evaluation.backends.published_files import S3FD, SCRFD, SYNCNET
from nava.evaluation.backends.sync_features import TrackVectors, sync_features
from nava.evaluation.backends.weights import file_in, verified_sha256
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features, UnmeasurableError
from nava.evaluation.scoring.mfcc import mfcc
from nava.evaluation.scoring.sync_protocols import MOVA, OFFICIAL, VERSE_BENCH, SyncProtocol
from nava.evaluation.scoring.sync_scoring import (
    FPS,
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    audio_windows,
    video_windows,
    window_count,
)
from nava.runtime.errors import InputError

BATCH_WINDOWS = 20
_INT16_SCALE = 32_768
_REASONS_SHOWN = 3


class FaceDetector(Protocol):
    """Finds faces in a picture."""

    def detect(self, frame_HWC: np.ndarray) -> np.ndarray:
        """Boxes x1, y1, x2, y2 in pixels [N, 4] of an RGB frame, best first."""
        ...


class Embedder(Protocol):
    """SyncNet's two streams."""

    def picture(self, window_NCTHW: np.ndarray) -> np.ndarray:
        """Windows of face pictures [N, 3, 5, 224, 224], BGR, to vectors [N, D]."""
        ...

    def sound(self, window_NCFT: np.ndarray) -> np.ndarray:
        """Windows of MFCC [N, 1, 13, 20] to vectors [N, D]."""
        ...


class TorchEmbedder:
    """SyncNet from its published file.

    Args:
        path: the file.
        device: of torch.
    """

    def __init__(self, path: Path, device: str) -> None:
        from nava.evaluation.backends.syncnet import load_syncnet

        self._network = load_syncnet(path, device)
        self._device = device

    def picture(self, window_NCTHW: np.ndarray) -> np.ndarray:
        """Windows [N, 3, 5, 224, 224] to [N, 1024]."""
        return self._run("picture", window_NCTHW)

    def sound(self, window_NCFT: np.ndarray) -> np.ndarray:
        """Windows [N, 1, 13, 20] to [N, 1024]."""
        return self._run("sound", window_NCFT)

    def _run(self, stream: str, windows: np.ndarray) -> np.ndarray:
        import torch

        run = getattr(self._network, stream)
        with torch.inference_mode():
            batches = [
                run(torch.from_numpy(windows[first : first + BATCH_WINDOWS].astype(np.float32)).to(self._device)).cpu()
                for first in range(0, len(windows), BATCH_WINDOWS)
            ]
        vectors_ND: np.ndarray = torch.cat(batches).numpy()
        return vectors_ND


class SyncNetExtractor:
    """One variant; subclasses say which.

    Args:
        weights: folder with `syncnet_v2.model` and the detector's file, `sfd_face.pth` or for Verse-Bench
            `det_10g.onnx`, and nothing else.
        sha256: of the folder, as `nava.runtime.hashing.sha256_path` gives it.
        device: of torch.

    Raises:
        InputError: files are missing, are others, or cannot be read safely.
    """

    version = 1
    needs_weights = True
    protocol: ClassVar[SyncProtocol]
    detector_file: ClassVar[WeightFile]
    min_side: ClassVar[float] = 0.0
    # Whether frames after the end of the sound are left out before faces are looked for.
    ends_with_sound: ClassVar[bool] = False
    # Frames at the end of a track whose sound is not taken.
    silent_frames: ClassVar[int] = 0

    def __init__(self, *, weights: str, sha256: str, device: str = "cpu") -> None:
        syncnet, detector = (file_in(weights, wanted) for wanted in (SYNCNET, self.detector_file))
        self.weights_sha256: str | None = verified_sha256(f"syncnet_{self.protocol.name}", weights, sha256)
        self._embedder: Embedder = TorchEmbedder(syncnet, device)
        self._detector = self._face_detector(detector, device)

    def _face_detector(self, path: Path, device: str) -> FaceDetector:
        raise NotImplementedError

    def _tracks(self, frames_THWC: np.ndarray) -> list[FaceTrack]:
        raise NotImplementedError

    def extract(self, clip: ClipFile) -> Features:
        """Vectors of every face that the protocol scores; UnmeasurableError says why there is none."""
        samples_N = int16_samples(clip.samples_at(SAMPLE_RATE_HZ))
        shown = frames_at_25(len(clip.frames_THWC), clip.fps)
        if self.ends_with_sound:
            shown = shown[: len(samples_N) // SAMPLES_PER_FRAME]
        frames_THWC = clip.frames_THWC[shown]
        tracks = self._tracks(frames_THWC)
        if not tracks:
            raise UnmeasurableError("no face was found")
        left_out: list[str] = []
        found: list[TrackVectors] = []
        for track in tracks:
            if reason := unusable(track, self.protocol, self.min_side):
                left_out.append(reason)
                continue
            try:
                found.append(self._vectors(frames_THWC, samples_N, track))
            except InputError as error:
                left_out.append(f"{track}: {error}")
        if not found:
            raise UnmeasurableError(f"no face can be scored: {_shortened(left_out)}")
        return sync_features(self.protocol.name, found, left_out)

    def _vectors(self, frames_THWC: np.ndarray, samples_N: np.ndarray, track: FaceTrack) -> TrackVectors:
        end_frame = track.end_frame - self.silent_frames
        heard_N = samples_N[track.first_frame * SAMPLES_PER_FRAME : end_frame * SAMPLES_PER_FRAME]
        windows = window_count(len(track.box_T4), len(heard_N))
        pictures_THWC = face_pictures(frames_THWC, track, self.protocol)
        return TrackVectors(
            first_frame=track.first_frame,
            n_frames=track.detections,
            picture_ND=self._embedder.picture(video_windows(pictures_THWC, windows)),
            sound_ND=self._embedder.sound(audio_windows(mfcc(heard_N, SAMPLE_RATE_HZ), windows)),
        )


class _S3FDTracks(SyncNetExtractor):
    """Faces by S3FD, tracks of all faces by overlap."""

    detector_file = S3FD
    min_side = MIN_SIDE

    def _face_detector(self, path: Path, device: str) -> FaceDetector:
        from nava.evaluation.backends.s3fd import S3FDDetector

        return S3FDDetector(path, device)

    def _tracks(self, frames_THWC: np.ndarray) -> list[FaceTrack]:
        boxes = [self._detector.detect(frame_HWC) for frame_HWC in frames_THWC]
        return linked_tracks(boxes, shots_of(frames_THWC)) if any(map(len, boxes)) else []


class SyncNetOfficial(_S3FDTracks):
    """The pipeline of SyncNet's repository: the longest track of more than 100 frames."""

    protocol = OFFICIAL


class SyncNetMova(_S3FDTracks):
    """MOVA's fork: the mean over all tracks of more than 20 frames."""

    protocol = MOVA


class SyncNetVerseBench(SyncNetExtractor):
    """Verse-Bench's scorer: the best face of each frame by insightface's detector, runs of 50 frames or more."""

    protocol = VERSE_BENCH
    detector_file = SCRFD
    ends_with_sound = True
    # It cuts the sound where the last frame begins.
    silent_frames = 1

    def _face_detector(self, path: Path, device: str) -> FaceDetector:
        from nava.evaluation.backends.scrfd import ScrfdDetector

        return ScrfdDetector(path)

    def _tracks(self, frames_THWC: np.ndarray) -> list[FaceTrack]:
        return unbroken_runs([self._detector.detect(frame_HWC) for frame_HWC in frames_THWC])


def frames_at_25(n_frames: int, fps: float) -> np.ndarray:
    """Which frame is shown at each tick of 25 fps: the last one whose time, in ticks, rounds to it or earlier.

    So ffmpeg's filter `fps` does it; frames are repeated or left out, never mixed.
    """
    count = int(frame_ticks(n_frames + 1, fps, FPS)[-1])
    return np.maximum(shown_frames(n_frames, fps, FPS, count), 0)


def int16_samples(samples_N: np.ndarray) -> np.ndarray:
    """Whole numbers of 16 bits of samples in -1..1."""
    scaled_N = np.rint(samples_N.astype(np.float64) * _INT16_SCALE)
    return np.clip(scaled_N, -_INT16_SCALE, _INT16_SCALE - 1).astype(np.int16)


def _shortened(reasons: Sequence[str]) -> str:
    more = len(reasons) - _REASONS_SHOWN
    return "; ".join(reasons[:_REASONS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
