"""Decoded media within one worker: stages that follow each other on the same file decode it once.

The caches change no result: what is in them is a function of the file's bytes. A stage that runs in another process
than the one before it (on Ray, on a GPU node) decodes again.
"""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from nava.artifacts.clip_manifest import THUMBNAIL_DIR, ClipRow, Reason
from nava.artifacts.store_faults import patiently
from nava.config.curation import IntegrityConfig
from nava.data.clip_media import read_small_video, read_video, read_wav
from nava.data.curation.decoding import SourceTrack, decode_source
from nava.data.curation.stage import Clip, SourceRejectedError, SourceTask
from nava.data.media_files import local_copy
from nava.runtime.errors import InputError, RunStoppedError, UnavailableError

T = TypeVar("T")
SCRATCH_DIR = "source"
_TRACKS = 1  # a long source's small pictures take 300 MB
_CLIPS = 8
_SMALLS = 32
_THUMBNAIL_SIDE = 96  # pixels
_JPEG_QUALITY = 80


class RecentlyUsed(Generic[T]):
    """The last few values that were made, by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made if it is not there."""
        if key not in self._values:
            self._values[key] = make()
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]


_tracks: RecentlyUsed[SourceTrack] = RecentlyUsed(_TRACKS)
_clips: RecentlyUsed[ClipMedia] = RecentlyUsed(_CLIPS)
_smalls: RecentlyUsed[npt.NDArray[np.uint8]] = RecentlyUsed(_SMALLS)


@dataclass(frozen=True)
class ClipMedia:
    """A clip as its files hold it.

    Attributes:
        frames_THWC: uint8, or None for sound alone.
        audio: float32 [samples], mono, at `audio_sr` of the row.
    """

    frames_THWC: npt.NDArray[np.uint8] | None  # noqa: N815
    audio: npt.NDArray[np.float32]


def source_file(task: SourceTask) -> Path:
    """The source as a local file: where it lies, or a verified copy of a remote one.

    Raises:
        SourceRejectedError: it is gone, or is not what was ingested.
        RunStoppedError: the bucket does not answer: no source is to blame, and a later run goes on.
    """
    source = task.source
    try:
        return patiently(lambda: local_copy(task.media_root, source.path, source.sha256, task.folder / SCRATCH_DIR))
    except UnavailableError as error:
        raise RunStoppedError(f"{error}; run the same again when it does") from error
    except InputError as error:
        raise SourceRejectedError(Reason.UNREADABLE, str(error)) from error


def release_source(task: SourceTask) -> None:
    """Remove the copy of a remote source when nothing will read it any more."""
    shutil.rmtree(task.folder / SCRATCH_DIR, ignore_errors=True)


def source_track(task: SourceTask, sample_rate_hz: int, limits: IntegrityConfig) -> SourceTrack:
    """The source after its one full decode.

    Raises:
        SourceRejectedError: see `decode_source`.
    """
    key = (task.media_root, task.source.path, task.source.sha256, sample_rate_hz)
    return _tracks.get(key, lambda: decode_source(source_file(task), sample_rate_hz, limits))


def clip_media(task: SourceTask, clip: Clip) -> ClipMedia:
    """Pictures and the model's sound of a clip that has been transcoded."""
    row = clip.row
    key = (str(task.folder), row["audio_path"], row["audio_sha256"], row.get("video_sha256"))
    return _clips.get(key, lambda: _read(task.folder, row))


def clip_at_a_glance(task: SourceTask, clip: Clip) -> npt.NDArray[np.uint8]:
    """The small pictures of a clip with pictures that has been transcoded, see `small_pictures`. They are never made
    from what `clip_media` holds: then the last bit would depend on what was decoded before.
    """
    path = clip.row["video_path"]
    key = (str(task.folder), path, clip.row.get("video_sha256"))
    return _smalls.get(key, lambda: read_small_video(task.folder / path))


def _read(folder: Path, row: ClipRow) -> ClipMedia:
    video_path = row.get("video_path")
    frames_THWC = read_video(folder / video_path) if video_path else None
    return ClipMedia(frames_THWC, read_wav(folder / row["audio_path"], row["audio_sr"]))


def write_thumbnail(folder: Path, clip_id: str, picture_HWC: npt.NDArray[np.uint8]) -> str:
    """A small JPEG of a picture; returns its path relative to `folder`."""
    path = Path(THUMBNAIL_DIR) / f"{clip_id}.jpg"
    height, width = picture_HWC.shape[:2]
    size = (_THUMBNAIL_SIDE, max(round(_THUMBNAIL_SIDE * height / width), 1))
    shrinks = size[0] < width
    resized = cv2.resize(picture_HWC, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    encoded, data = cv2.imencode(".jpg", cv2.cvtColor(resized, cv2.COLOR_RGB2BGR), quality)
    assert encoded, "a picture in memory always encodes"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data.tobytes())
    return path.as_posix()
