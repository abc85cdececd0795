"""S3FD: the published layout, its boxes in closed form, and what the picture is before it is seen."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from nava.evaluation.backends.s3fd import S3FDDetector, S3FDNetwork, UnitLength, scaled_picture
from nava.evaluation.extraction.features import UnmeasurableError
from nava.runtime.errors import InputError
from tests.evaluation.backends.published_layouts import one_face_state, s3fd_shapes


def detector(folder: Path, state: dict[str, torch.Tensor]) -> S3FDDetector:
    torch.save(state, folder / "sfd_face.pth")
    return S3FDDetector(folder / "sfd_face.pth", "cpu")


def test_the_published_layout_is_the_whole_network() -> None:
    with torch.device("meta"):
        network = S3FDNetwork()
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == s3fd_shapes()
    # The published file has 89,844,381 bytes, of which tensors are these.
    assert sum(4 * math.prod(shape) for shape in s3fd_shapes().values()) == 89_836_440


def test_a_face_is_where_the_corrections_put_it(tmp_path: Path) -> None:
    """In a picture of 140 x 132 pixels: it is seen as 35 x 33, and boxes are scaled by what it really was."""
    box_N4 = detector(tmp_path, one_face_state(16.0, 24.0)).detect(np.zeros((132, 140, 3), np.uint8))
    assert box_N4 == pytest.approx(np.array([[16.0, 16.0, 112.0, 112.0]]), abs=1e-3)
    uneven = detector(tmp_path, one_face_state(16.0, 24.0)).detect(np.zeros((134, 142, 3), np.uint8))
    x, y = 142 / 36, 134 / 34
    assert uneven == pytest.approx(np.array([[4 * x, 4 * y, 28 * x, 28 * y]]), abs=1e-3)


@pytest.mark.parametrize(("score", "faces"), [(0.901, 1), (0.899, 0)])
def test_only_sure_faces_count(tmp_path: Path, score: float, faces: int) -> None:
    assert len(detector(tmp_path, one_face_state(16.0, 24.0, score)).detect(np.zeros((128, 128, 3), np.uint8))) == faces


def test_boxes_lie_in_the_middle_of_their_places() -> None:
    """Without corrections: the finest map has a box of 16 pixels every 4, and so on to 512 every 128."""
    network = S3FDNetwork()
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.inference_mode():
        box_N4, score_N = network(torch.zeros(1, 3, 256, 128))
    counts = [64 * 32, 32 * 16, 16 * 8, 8 * 4, 4 * 2, 2 * 1]
    assert len(box_N4) == sum(counts)
    firsts = np.cumsum([0, *counts])[:-1]
    centre_N2, side_N2 = (box_N4[:, :2] + box_N4[:, 2:]) / 2, box_N4[:, 2:] - box_N4[:, :2]
    assert centre_N2[firsts].tolist() == [[2, 2], [4, 4], [8, 8], [16, 16], [32, 32], [64, 64]]
    assert side_N2[firsts].tolist() == [[side] * 2 for side in (16, 32, 64, 128, 256, 512)]
    assert centre_N2[1].tolist() == [6, 2], "x runs first"
    assert centre_N2[-1].tolist() == [64, 192]
    assert torch.allclose(score_N, torch.tensor(0.5))


def test_the_finest_map_takes_the_likeliest_of_three_backgrounds() -> None:
    network = S3FDNetwork()
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        dict(network.named_parameters())["conf.0.bias"].copy_(torch.tensor([-3.0, 1.0, 0.5, 2.0]))
    with torch.inference_mode():
        _, score_N = network(torch.zeros(1, 3, 32, 32))
    assert score_N[0].item() == pytest.approx(1 / (1 + math.exp(1.0 - 2.0)))


def test_of_two_that_overlap_the_better_one_is_left(tmp_path: Path) -> None:
    """A picture with two places of the coarsest map: their boxes of 384 pixels lie 128 apart."""
    state = one_face_state(64.0, 512.0 * 0.75)
    found = detector(tmp_path, state).detect(np.zeros((512, 1024, 3), np.uint8))
    assert len(found) == 1
    apart = one_face_state(64.0, 100.0)
    assert len(detector(tmp_path, apart).detect(np.zeros((512, 1024, 3), np.uint8))) == 2


def test_the_picture_is_rgb_less_its_mean() -> None:
    seen = scaled_picture(np.full((128, 256, 3), (200, 100, 50), np.uint8))
    assert seen.shape == (1, 3, 32, 64)
    assert [seen[0, channel].unique().item() for channel in range(3)] == [200 - 123, 100 - 117, 50 - 104]


def test_a_picture_too_small_for_the_network_is_said() -> None:
    with pytest.raises(UnmeasurableError, match=r"64 x 480 pixels; S3FD needs 128 x 128"):
        scaled_picture(np.zeros((480, 64, 3), np.uint8))


def test_vectors_have_the_length_of_their_weight() -> None:
    norm = UnitLength(2)
    norm.weight.data = torch.tensor([10.0, 5.0])
    made = norm(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1))
    assert made.flatten().tolist() == pytest.approx([6.0, 4.0])


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    state = one_face_state(16.0, 24.0)
    del state["L2Norm5_3.weight"]
    with pytest.raises(InputError, match=r"sfd_face\.pth.*L2Norm5_3\.weight"):
        detector(tmp_path, state)
