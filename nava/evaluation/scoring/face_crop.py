"""Where SyncNet cuts the face out: smoothed boxes, the crop around them (section 1.2 of the evaluation reference)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nava.evaluation.scoring.score import checked_array
from nava.runtime.errors import InputError

PADDING_VALUE = 110  # grey level outside of the picture
CROP_SIZE = 224  # pixels, what the network sees


@dataclass(frozen=True)
class FaceBoxes:
    """A face's boxes over a track: centre and half of the longer side, pixels, [T] each."""

    centre_x_T: np.ndarray  # noqa: N815
    centre_y_T: np.ndarray  # noqa: N815
    half_size_T: np.ndarray  # noqa: N815


@dataclass(frozen=True)
class CropBox:
    """Rows and columns of a crop in a picture that is padded by ``padding`` pixels on every side; ends exclusive."""

    top: int
    bottom: int
    left: int
    right: int
    padding: int


def face_boxes(box_T4: np.ndarray, smoothing_kernel: int | None) -> FaceBoxes:
    """Centres and half sizes of a track's boxes (x1, y1, x2, y2) [T, 4], pixels; smoothed by a median filter.

    As published, the filter sees zeros beyond both ends of the track, so it takes the smallest of the first and last
    few values. ``smoothing_kernel``: frames, odd; None for none.
    """
    from scipy.signal import medfilt

    box_T4 = checked_array(box_T4, "face boxes", "TX")
    if box_T4.shape[1] != 4:
        raise InputError(f"a face box is x1, y1, x2, y2, got {box_T4.shape[1]} values")
    if smoothing_kernel is not None and (smoothing_kernel < 1 or smoothing_kernel % 2 == 0):
        raise InputError(f"a median filter has an odd number of frames, not {smoothing_kernel}")
    left_T, top_T, right_T, bottom_T = box_T4.T
    if (right_T <= left_T).any() or (bottom_T <= top_T).any():
        frame = int(np.argmax((right_T <= left_T) | (bottom_T <= top_T)))
        raise InputError(f"the face box of frame {frame} has no area: {box_T4[frame].tolist()}")
    tracks = [(left_T + right_T) / 2, (top_T + bottom_T) / 2, np.maximum(right_T - left_T, bottom_T - top_T) / 2]
    if smoothing_kernel is not None:
        # scipy warns about a kernel longer than the track; padding with the zeros it would use says the same in peace.
        edge = smoothing_kernel // 2
        tracks = [medfilt(np.pad(track_T, edge), smoothing_kernel)[edge : edge + len(track_T)] for track_T in tracks]
    return FaceBoxes(*tracks)


def crop_box(centre_x: float, centre_y: float, half_size: float, crop_scale: float) -> CropBox:
    """Rows cy - bs .. cy + bs (1 + 2c) and columns cx ± bs (1 + c), in a picture padded by bs (1 + 2c) pixels.

    More below than above: chin and jaw move. All numbers are cut to whole pixels after padding, as published.
    """
    padding = int(half_size * (1 + 2 * crop_scale))
    x, y = centre_x + padding, centre_y + padding
    reach = half_size * (1 + crop_scale)
    return CropBox(
        top=int(y - half_size),
        bottom=int(y + half_size * (1 + 2 * crop_scale)),
        left=int(x - reach),
        right=int(x + reach),
        padding=padding,
    )


def crop_face(frame_HWC: np.ndarray, box: CropBox) -> np.ndarray:
    """The crop [h, w, C] of a frame [H, W, C], grey where it leaves the picture. InputError if nothing is left."""
    if frame_HWC.ndim != 3:
        raise InputError(f"a frame is [H, W, C], got {frame_HWC.shape}")
    margin = ((box.padding, box.padding), (box.padding, box.padding), (0, 0))
    padded_HWC = np.pad(frame_HWC, margin, constant_values=PADDING_VALUE)
    crop_HWC = padded_HWC[max(0, box.top) : max(0, box.bottom), max(0, box.left) : max(0, box.right)]
    if not crop_HWC.size:
        raise InputError(f"the face box {box} lies outside of the frame of {frame_HWC.shape[:2]} pixels")
    return crop_HWC
