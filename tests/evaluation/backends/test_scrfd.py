"""SCRFD through onnxruntime: a model of its inputs and outputs, whose faces are known."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from nava.evaluation.backends.scrfd import ScrfdDetector, fitted_picture
from nava.runtime.errors import InputError
from tests.conditioning.onnx_bytes import FLOAT, attribute, field, node, tensor

PLACES = {8: 9600, 16: 2400, 32: 600}
WIDTHS = {"score": 1, "box": 4, "points": 10}


def model(faces: Mapping[tuple[int, int], tuple[float, tuple[float, ...]]], outputs: int = 9, places: int = 0) -> bytes:
    """A detector that sees these faces, by stride and number of the place, in every picture that is not black.

    Faces are score and distances to the four sides in strides. Scores are times the lightest value of the picture,
    which is 1 for white and -1 for black.
    """
    shapes = {
        f"{kind}{stride}": (places or count, width)
        for kind, width in WIDTHS.items()
        for stride, count in PLACES.items()
    }
    arrays = {name: np.zeros(shape, np.float32) for name, shape in list(shapes.items())[:outputs]}
    for (stride, place), (score, distances) in faces.items():
        arrays[f"score{stride}"][place], arrays[f"box{stride}"][place] = score, distances
    axes = attribute("axes", ints=[1, 2, 3]) + attribute("keepdims", integer=1)
    nodes = [node("ReduceMax", ["picture"], ["light4"], axes), node("Squeeze", ["light4", "squeezed"], ["light"], b"")]
    for name in arrays:
        kind = "Mul" if name.startswith("score") else "Identity"
        nodes.append(node(kind, [f"{name}_kept", "light"][: 1 + (kind == "Mul")], [name], b""))
    initializers = [_initializer(f"{name}_kept", array) for name, array in arrays.items()]
    squeezed = field(1, 2) + field(2, 7) + field(8, "squeezed") + field(9, struct.pack("<2q", 2, 3))
    graph = b"".join(field(1, item) for item in nodes) + field(2, "faces")
    graph += b"".join(field(5, item) for item in (*initializers, squeezed))
    graph += field(11, tensor("picture", [1, 3, "h", "w"]))
    graph += b"".join(field(12, tensor(name, list(array.shape))) for name, array in arrays.items())
    return field(1, 8) + field(8, field(1, "") + field(2, 13)) + field(7, graph)


def _initializer(name: str, array: np.ndarray) -> bytes:
    dims = b"".join(field(1, size) for size in array.shape)
    return dims + field(2, FLOAT) + field(8, name) + field(9, array.astype("<f4").tobytes())


def place(stride: int, x: int, y: int, which: int = 0) -> tuple[int, int]:
    """Where the outputs of a stride have the place at x, y of its map; each has two boxes."""
    return stride, (y * (640 // stride) + x) * 2 + which


def detector(folder: Path, data: bytes) -> ScrfdDetector:
    (folder / "det_10g.onnx").write_bytes(data)
    return ScrfdDetector(folder / "det_10g.onnx")


WHITE = np.full((240, 320, 3), 255, np.uint8)


def test_boxes_are_distances_from_their_place_in_strides(tmp_path: Path) -> None:
    """A frame of half the size: place (10, 5) of stride 16 is at pixel (160, 80), (80, 40) of the frame."""
    faces = {place(16, 10, 5, 1): (0.9, (2.0, 1.0, 3.0, 4.0)), place(8, 60, 40): (0.8, (4.0, 4.0, 4.0, 4.0))}
    found = detector(tmp_path, model(faces)).detect(WHITE)
    assert found == pytest.approx(np.array([[64, 32, 104, 72], [224, 144, 256, 176]]))


def test_the_best_comes_first_and_hides_those_that_overlap_it(tmp_path: Path) -> None:
    reach = (3.0, 3.0, 3.0, 3.0)
    faces = {place(32, 10, 7): (0.7, reach), place(32, 10, 7, 1): (0.95, reach), place(32, 3, 3): (0.96, reach)}
    found = detector(tmp_path, model(faces)).detect(WHITE)
    assert found[:, 0].tolist() == [0.0, (320 - 96) / 2]


@pytest.mark.parametrize(("score", "faces"), [(0.503, 1), (0.501, 0)])
def test_unsure_faces_and_dark_pictures_have_none(tmp_path: Path, score: float, faces: int) -> None:
    found = detector(tmp_path, model({place(32, 4, 4): (score, (1.0, 1.0, 1.0, 1.0))}))
    # White is not quite 1, but (255 - 127.5) / 128 = 0.9961.
    assert len(found.detect(WHITE)) == faces
    assert found.detect(np.zeros_like(WHITE)).shape == (0, 4)


def test_the_picture_is_fitted_into_the_upper_left_corner() -> None:
    red = np.zeros((400, 200, 3), np.uint8)
    red[..., 0] = 255
    seen, ratio = fitted_picture(red)
    assert (seen.shape, ratio) == ((1, 3, 480, 640), 1.2)
    black, full = -127.5 / 128, 127.5 / 128
    assert (seen[0, 0, :, :240] == full).all()
    assert (seen[0, 0, :, 240:] == black).all()
    assert (seen[0, 1:] == black).all(), "red comes first"
    wide, ratio = fitted_picture(np.full((100, 320, 3), 255, np.uint8))
    assert ratio == 2.0
    assert (wide[0, :, :200] == full).all()
    assert (wide[0, :, 200:] == black).all()


def test_models_without_places_of_eyes_are_the_same(tmp_path: Path) -> None:
    faces = {place(16, 10, 5): (0.9, (2.0, 1.0, 3.0, 4.0))}
    assert len(detector(tmp_path, model(faces, outputs=6)).detect(WHITE)) == 1


def test_other_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 3 outputs, SCRFD has 6 or 9"):
        detector(tmp_path, model({}, outputs=3))
    with pytest.raises(InputError, match=r"at stride 8 scores are \[7, 1\].*it is not det_10g\.onnx"):
        detector(tmp_path, model({}, places=7)).detect(WHITE)
    with pytest.raises(InputError, match="is not an ONNX model"):
        detector(tmp_path, b"no model")
