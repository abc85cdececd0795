import hashlib
from pathlib import Path

import numpy as np
import pytest

from nava.config.annotation import AnnotationConfig
from nava.config.speech import AudioTagConfig
from nava.data.speech.audio_tags import AudioTag, build_tagger
from nava.data.speech.recognition import Recording
from nava.data.speech.yamnet import PATCH_SAMPLES, load_onnx, load_tflite, meaning, patches, read_class_map
from nava.runtime.errors import InputError
from tests.data.speech.yamnet_files import class_map, weights, write_onnx, write_tflite

LOUD = Recording(np.full(33_280, 0.5, np.float32), Path("no file is read"))


@pytest.fixture(params=["onnx", "tflite"])
def tagger(request, tmp_path):
    """Builds a tagger from scores of classes, as either kind of file."""
    if request.param == "tflite":
        pytest.importorskip("ai_edge_litert")

    def build(**scores):
        write = write_onnx if request.param == "onnx" else write_tflite
        path = write(tmp_path / f"yamnet.{request.param}", weights(**scores))
        config = AudioTagConfig("yamnet", str(path), class_map=str(class_map(tmp_path / "map.csv")))
        return build_tagger(config, AnnotationConfig())

    return build


@pytest.mark.parametrize(
    ("scores", "speakers", "kinds"),
    [
        ({"music": 0.8}, 0, {AudioTag.MUSIC}),
        ({"music": 0.8, "singing": 0.9}, 0, {AudioTag.MUSIC, AudioTag.SINGING}),
        ({"music": 0.8, "speech": 0.9}, 1, {AudioTag.MUSIC}),
        ({"speech": 0.9}, 1, set()),
        ({"rain": 0.7, "speech": 0.9}, 0, {AudioTag.AMBIENT}),
        ({"silence": 1.0}, 0, {AudioTag.SILENCE}),
        ({"music": 0.5}, 0, {AudioTag.MUSIC}),
        ({"music": 0.5}, 2, set()),
        ({"speech": 0.5}, 0, {AudioTag.AMBIENT}),
    ],
)
def test_scores_become_tags(tagger, scores, speakers, kinds):
    assert tagger(**scores).kinds(LOUD, speakers, 0.0) == kinds


def test_the_backend_names_the_file_by_its_hash(tagger, tmp_path):
    built = tagger(music=1.0)
    (path,) = tmp_path.glob("yamnet.*")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert built.backend == f"yamnet:{digest[:12]} (unproven)"


@pytest.mark.parametrize("samples", [PATCH_SAMPLES, -1])
def test_tflite_files_of_a_fixed_and_of_any_length(tmp_path, samples):
    pytest.importorskip("ai_edge_litert")
    score = load_tflite(write_tflite(tmp_path / "y.tflite", weights(music=1.0), samples))
    clip = np.zeros(33_280, np.float32)
    clip[-1] = 0.5
    scores = score(clip)
    assert scores.shape == ((4, 521) if samples > 0 else (1, 521))
    assert scores[-1, 132] == pytest.approx(0.5)
    assert scores[0, 132] == pytest.approx(0.0 if samples > 0 else 0.5)
    assert np.array_equal(score(clip), scores)


@pytest.mark.parametrize(("samples", "count"), [(1, 1), (15_600, 1), (15_601, 2), (23_400, 2), (33_280, 4)])
def test_patches_cover_the_clip(samples, count):
    parts = patches(np.arange(1, samples + 1, dtype=np.float32))
    assert [len(part) for part in parts] == [15_600] * count
    assert max(part.max() for part in parts) == samples
    assert len(set(np.concatenate(parts).tolist()) - {0.0}) == samples


def test_names_mean_tags():
    expected = {"Opera": AudioTag.AMBIENT, "Jazz": AudioTag.AMBIENT, "Classical music": AudioTag.MUSIC}
    expected |= {"Female singing": AudioTag.SINGING, "Conversation": None, "Silence": AudioTag.SILENCE}
    assert {name: meaning(name) for name in expected} == expected


def test_another_file_than_the_pinned_one_is_refused(tmp_path):
    path = write_onnx(tmp_path / "yamnet.onnx", weights(music=1.0))
    config = AudioTagConfig("yamnet", str(path), "0" * 64, str(class_map(tmp_path / "map.csv")))
    with pytest.raises(InputError, match=r"but speech\.audio_tags\.sha256 is 000"):
        build_tagger(config, AnnotationConfig())
    config.sha256 = hashlib.sha256(path.read_bytes()).hexdigest().upper()
    assert build_tagger(config, AnnotationConfig()).backend.startswith("yamnet:")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"where there is no file: copy yamnet.tflite \(4,126,810 bytes\)"):
        build_tagger(AudioTagConfig("yamnet", str(tmp_path / "yamnet.tflite"), class_map="x"), AnnotationConfig())
    with pytest.raises(InputError, match="cannot be read"):
        read_class_map(tmp_path / "map.csv")


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "index,mid,display_name\nx,/m/1,Speech\n"])
def test_another_table_is_no_class_map(tmp_path, text):
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(InputError, match=r"class map|521"):
        read_class_map(tmp_path / "map.csv")


def test_a_class_map_of_another_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="names 520 classes; YAMNet has 521"):
        read_class_map(class_map(tmp_path / "map.csv", 520))


@pytest.mark.parametrize(("load", "name"), [(load_onnx, "x.onnx"), (load_tflite, "x.tflite")])
def test_a_damaged_file_is_refused(tmp_path, load, name):
    if load is load_tflite:
        pytest.importorskip("ai_edge_litert")
    (tmp_path / name).write_bytes(b"not a model")
    with pytest.raises(InputError, match="is not"):
        load(tmp_path / name)


def test_a_model_without_the_classes_is_refused(tmp_path):
    score = load_onnx(write_onnx(tmp_path / "x.onnx", weights(music=1.0), classes=7))
    with pytest.raises(InputError, match=r"gives \[1, 7\]; YAMNet gives scores of 521 classes"):
        score(LOUD.samples_N)
