"""Tracks of faces: linked, ended and filled as the published pipelines do it; and the pictures cut out of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nava.evaluation.backends.face_tracks import (
    FaceTrack,
    face_pictures,
    linked_tracks,
    shots_of,
    unbroken_runs,
    unusable,
)
from nava.evaluation.scoring.sync_protocols import MOVA, OFFICIAL, VERSE_BENCH
from nava.generation.media import read_mp4, write_mp4
from nava.runtime.errors import InputError

NOBODY = np.empty((0, 4))


def box(x: float = 0.0, y: float = 0.0, side: float = 100.0) -> list[float]:
    return [x, y, x + side, y + side]


def frames_of(*faces: Sequence[float]) -> np.ndarray:
    return np.array(faces, float) if faces else NOBODY


def test_two_faces_are_two_tracks_whoever_comes_first() -> None:
    left, right = box(0), box(300)
    boxes = [frames_of(left, right), frames_of(right, left), frames_of(right, left)]
    first, second = linked_tracks(boxes, [range(3)])
    assert first.box_T4.tolist() == [left] * 3
    assert second.box_T4.tolist() == [right] * 3
    assert (first.detections, second.detections) == (3, 3)


def test_a_face_goes_on_where_boxes_share_more_than_a_half() -> None:
    """Two boxes of 100 x 100 that lie x apart share (100 - x) / (100 + x): a half at a third of the side."""
    third = 100 / 3
    near = linked_tracks([frames_of(box(0)), frames_of(box(third - 0.1))], [range(2)])
    far = linked_tracks([frames_of(box(0)), frames_of(box(third + 0.1))], [range(2)])
    assert [len(tracks) for tracks in (near, far)] == [1, 2]


def test_it_is_compared_with_where_it_was_last() -> None:
    moving = [frames_of(box(20.0 * frame)) for frame in range(30)]
    (track,) = linked_tracks(moving, [range(30)])
    assert track.detections == 30


@pytest.mark.parametrize(("gap", "tracks"), [(25, 1), (26, 2)])
def test_a_track_ends_after_25_frames_without(gap: int, tracks: int) -> None:
    boxes = [frames_of(box()) if frame in (0, 1, 1 + gap) else NOBODY for frame in range(60)]
    found = linked_tracks(boxes, [range(60)])
    assert len(found) == tracks
    assert sum(track.detections for track in found) == 3


def test_gaps_are_filled_along_a_line_and_do_not_count_as_found() -> None:
    boxes = [frames_of(box(0)), NOBODY, NOBODY, NOBODY, frames_of(box(20, 8, 96))]
    (track,) = linked_tracks(boxes, [range(5)])
    assert track.box_T4[2] == pytest.approx([10, 4, 108, 102])
    assert (track.first_frame, track.end_frame, track.detections) == (0, 5, 2)
    assert track.side == pytest.approx(98)


def test_no_track_crosses_a_cut() -> None:
    boxes = [frames_of(box()) for _ in range(10)]
    found = linked_tracks(boxes, [range(6), range(6, 10)])
    assert [(track.first_frame, track.end_frame) for track in found] == [(0, 6), (6, 10)]


def test_runs_of_verse_bench_break_at_each_miss_and_take_the_best_face_of_anybody() -> None:
    left, right = box(0), box(300)
    boxes = [NOBODY, frames_of(left, right), frames_of(right), NOBODY, frames_of(left)]
    first, second = unbroken_runs(boxes)
    assert (first.first_frame, first.box_T4.tolist()) == (1, [left, right])
    assert (second.first_frame, second.detections) == (4, 1)
    assert unbroken_runs([NOBODY]) == []


def a_track(frames: int, side: float = 120.0, detections: int | None = None) -> FaceTrack:
    return FaceTrack(5, np.array([box(40, 50, side)] * frames), frames if detections is None else detections)


def test_what_a_protocol_leaves_out_is_said() -> None:
    assert unusable(a_track(101), OFFICIAL, 100.0) == ""
    assert unusable(a_track(100), OFFICIAL, 100.0) == "frames 5 to 104: found in 100 frames, not in more than 100"
    assert "found in 99 frames" in unusable(a_track(110, detections=99), OFFICIAL, 100.0), "filled gaps do not count"
    assert unusable(a_track(21, 100.0), MOVA, 100.0) == "frames 5 to 25: 100 pixels large, not more than 100"
    assert unusable(a_track(49), VERSE_BENCH, 0.0).endswith("not in at least 50")
    assert unusable(a_track(50, 3.0), VERSE_BENCH, 0.0) == ""


def test_cuts_are_found_and_noise_is_none() -> None:
    rng = np.random.default_rng(0)
    scenes = [np.full((90, 300, 3), colour) for colour in ((200, 30, 30), (20, 40, 220))]
    frames = np.stack([scenes[frame >= 20] + rng.integers(0, 9, (90, 300, 3)) for frame in range(45)]).astype(np.uint8)
    assert shots_of(frames) == [range(20), range(20, 45)]
    assert shots_of(frames[:20]) == [range(20)]


def test_cuts_are_those_of_the_published_pipeline(tmp_path: Path) -> None:
    """Its scene manager reads a file, and joins scenes of less than 15 frames to the one before."""
    from scenedetect import ContentDetector, SceneManager, open_video

    rng = np.random.default_rng(5)
    scenes = [rng.integers(0, 256, (6, 8, 3)).repeat(40, axis=0).repeat(50, axis=1) for _ in range(5)]
    lengths = (20, 9, 24, 16, 5)
    frames = [np.roll(scene, 2 * k, axis=1) for scene, n in zip(scenes, lengths, strict=True) for k in range(n)]
    write_mp4(tmp_path / "cuts.mp4", np.stack(frames).astype(np.uint8), 25, None, 16_000, crf=10)
    manager = SceneManager()
    manager.add_detector(ContentDetector())
    manager.detect_scenes(open_video(str(tmp_path / "cuts.mp4")))
    published = [range(first.frame_num, end.frame_num) for first, end in manager.get_scene_list()]
    assert len(published) > 2
    assert shots_of(read_mp4(tmp_path / "cuts.mp4").frames) == published


def test_the_picture_of_a_face_is_where_it_is_and_a_little_lower() -> None:
    """A box of 160 pixels around (200, 150) with a margin of 0.4: rows 70 to 294, columns 88 to 312; 224 both ways."""
    rows, columns = np.mgrid[:400, :420]
    frame = np.stack([rows % 256, columns % 256, np.full_like(rows, 7)], axis=-1).astype(np.uint8)
    track = FaceTrack(1, np.array([[120, 70, 280, 230]] * 13, float), 13)
    pictures = face_pictures(np.stack([np.zeros_like(frame), *[frame] * 13]), track, MOVA)
    assert pictures.shape == (13, 224, 224, 3)
    middle = pictures[0]
    assert np.array_equal(middle[..., 2], rows[70:294, 88:312] % 256), "red, which the network takes last"
    assert np.array_equal(middle[..., 1], columns[70:294, 88:312] % 256)
    assert (middle[..., 0] == 7).all()


def test_beyond_the_picture_it_is_grey() -> None:
    frame = np.full((200, 200, 3), 255, np.uint8)
    (picture,) = face_pictures(frame[None], FaceTrack(0, np.array([box(0, 0, 120)], float), 1), VERSE_BENCH)
    assert (picture[:, 0] == 110).all()
    assert (picture[100, 200] == 255).all()


def test_a_box_without_an_area_is_refused() -> None:
    track = FaceTrack(0, np.array([[10, 10, 10, 50]], float), 1)
    with pytest.raises(InputError, match="no area"):
        face_pictures(np.zeros((1, 80, 80, 3), np.uint8), track, VERSE_BENCH)
