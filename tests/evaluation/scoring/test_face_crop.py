import numpy as np
import pytest

from nava.evaluation.scoring.face_crop import PADDING_VALUE, CropBox, crop_box, crop_face, face_boxes
from nava.runtime.errors import InputError


def still(n, box=(10, 20, 30, 60)):
    return np.tile(np.array(box, dtype=float), (n, 1))


def test_centre_and_half_of_the_longer_side():
    boxes = face_boxes(still(3), None)
    assert boxes.centre_x_T.tolist() == [20.0] * 3
    assert boxes.centre_y_T.tolist() == [40.0] * 3
    assert boxes.half_size_T.tolist() == [20.0] * 3


def test_the_median_filter_removes_a_jump_of_six_frames_but_not_of_seven():
    for jump, left in ((6, 0), (7, 1)):
        box = still(41)
        box[15 : 15 + jump, [0, 2]] += 100
        assert (face_boxes(box, 13).centre_x_T == 120).sum() >= left
        assert ((face_boxes(box, 13).centre_x_T[6:-6] != 20).sum() == 0) == (jump == 6)


def test_the_filter_sees_zeros_beyond_the_ends_as_published():
    box = still(20)
    box[:, [0, 2]] += np.arange(20)[:, None]  # moves right by one pixel a frame
    x = face_boxes(box, 13).centre_x_T
    assert x[10] == 30  # the middle of a ramp is its own median
    assert x[0] == 20  # six zeros and 20..26: the seventh smallest of thirteen is the smallest real one
    # At the other end six zeros lie below 33..39: the seventh smallest is again the smallest real one.
    assert x[19] == 33


def test_a_track_shorter_than_the_filter_is_filtered_in_peace(recwarn):
    assert face_boxes(still(5), 13).half_size_T.tolist() == [0.0] * 5  # eight zeros out of thirteen
    assert not recwarn.list


def test_crop_arithmetic():
    # bs 50, c .4: padding 90; rows cy - 50 .. cy + 90, columns cx ± 70.
    assert crop_box(100, 120, 50, 0.4) == CropBox(top=160, bottom=300, left=120, right=260, padding=90)
    assert crop_box(100, 120, 50, 0.3) == CropBox(top=150, bottom=280, left=115, right=245, padding=80)


def test_the_crop_shows_what_is_there_and_grey_beyond():
    frame = np.zeros((100, 100, 3), dtype=np.uint8)
    frame[40, 30] = 255
    crop = crop_face(frame, crop_box(30, 40, 20, 0.4))
    assert crop.shape == (56, 56, 3)
    assert crop[20, 28].tolist() == [255] * 3  # row cy - 20, column cx - 28 is the corner
    assert (crop == PADDING_VALUE).sum() == 0
    corner = crop_face(frame, crop_box(0, 0, 20, 0.4))
    assert (corner[:20] == PADDING_VALUE).all()
    assert (corner[:, :28] == PADDING_VALUE).all()
    assert (corner[20:, 28:] == 0).all()


@pytest.mark.parametrize(
    ("boxes", "kernel", "message"),
    [
        (np.zeros((3, 3)), 13, "x1, y1, x2, y2"),
        (still(3), 12, "odd"),
        (np.vstack([still(2), [[5, 5, 5, 9]]]), 13, "frame 2 has no area"),
    ],
)
def test_unusable_boxes_are_refused(boxes, kernel, message):
    with pytest.raises(InputError, match=message):
        face_boxes(boxes, kernel)


def test_a_crop_outside_of_the_frame_is_refused():
    with pytest.raises(InputError, match="outside"):
        crop_face(np.zeros((10, 10, 3), dtype=np.uint8), crop_box(500, 500, 20, 0.4))
