"""A clip's files as parts of a request: the video as it is, frames of it as images, the sound as it is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from nava.artifacts.clip_manifest import ClipRow
from nava.config.annotation import EndpointConfig
from nava.data.annotation.request import Media, MediaKind
from nava.data.clip_media import read_video

_JPEG_QUALITY = 90


def picture_parts(folder: Path, row: ClipRow, config: EndpointConfig) -> list[str | Media]:
    """What a model sees of a clip's picture.

    Args:
        folder: that the row's files are relative to.
        row: of a clip with pictures.
        config: whether as a video, or as how many frames.
    """
    path = folder / row["video_path"]
    if config.picture_input == "video":
        return [Media(MediaKind.VIDEO, "video/mp4", path.read_bytes())]
    frames_THWC = read_video(path)
    parts: list[str | Media] = []
    for number in frame_numbers(len(frames_THWC), config.frames):
        parts += [f"At {number / row['fps']:.2f} s:", _jpeg(frames_THWC[number])]
    return parts


def sound_parts(folder: Path, row: ClipRow) -> list[str | Media]:
    """What a model hears of a clip: the model's own sound, 16 kHz mono."""
    return [Media(MediaKind.AUDIO, "audio/wav", (folder / row["audio_path"]).read_bytes())]


def frame_numbers(n_frames: int, count: int) -> list[int]:
    """The middles of `count` equal parts of a clip, or every frame of a shorter one."""
    count = min(count, n_frames)
    return [int((part + 0.5) * n_frames / count) for part in range(count)]


def _jpeg(picture_HWC: npt.NDArray[np.uint8]) -> Media:
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    encoded, data = cv2.imencode(".jpg", cv2.cvtColor(picture_HWC, cv2.COLOR_RGB2BGR), quality)
    assert encoded, "a picture in memory always encodes"
    return Media(MediaKind.IMAGE, "image/jpeg", data.tobytes())
