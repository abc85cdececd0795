"""Licences of weights that a package refers to, whoever describes them."""

import json

import pytest

from nava.artifacts.licences import licence_section, referenced_files
from nava.artifacts.weight_files import WEIGHT_FILES
from nava.artifacts.weight_reference import WeightReference
from nava.runtime.errors import InputError


def reference(name, **changes):
    weight = WEIGHT_FILES[name]
    known = {"file": weight.file, "sha256": name[:1] * 64, "repository": weight.repository, "licence": weight.licence}
    return known | changes


def describe(codec, part, value):
    (codec / part).mkdir(parents=True, exist_ok=True)
    (codec / part / "config.json").write_text(json.dumps(value))


@pytest.fixture
def codec(tmp_path):
    describe(tmp_path, "video", {"type": "wan_video", "reference": reference("wan_video_vae", size_bytes=7)})
    describe(tmp_path, "audio", {"type": "ltx_audio", "reference": reference("ltx_audio_vae", size_bytes=7)})
    umt5 = {
        "weights": reference("umt5", size=1, obtain=""),
        "tokenizer": reference("umt5_tokenizer", size=1, obtain=""),
    }
    describe(tmp_path, "text", {"type": "umt5"} | umt5)
    return tmp_path


def test_every_reference_is_found(codec):
    found = referenced_files(codec)
    assert [(file.part, file.file) for file in found] == [
        ("audio", "ltx-2.3-22b-dev_audio_vae.safetensors"),
        ("text", "google/umt5-xxl/tokenizer.json"),
        ("text", "models_t5_umt5-xxl-enc-bf16.pth"),
        ("video", "Wan2.2_VAE.pth"),
    ]
    assert found[0].licence == "LTX-2 Community License"
    assert found[0].repository == "Lightricks/LTX-2.3"


def test_a_reference_as_the_encoders_write_it(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"weights")
    written = WeightReference.of(WEIGHT_FILES["redimnet"], path)
    describe(tmp_path, "timbre", {"type": "redimnet", "weights": written.to_json()})
    (found,) = referenced_files(tmp_path)
    assert (found.part, found.sha256, found.licence) == ("timbre", written.sha256, "MIT")


def test_the_section_lists_files_and_words_each_licence_once(codec):
    section = licence_section(codec)
    for name in ("Wan2.2_VAE.pth", "ltx-2.3-22b-dev_audio_vae.safetensors", "models_t5_umt5-xxl-enc-bf16.pth"):
        assert section.count(f"| {name} |") == 1
    assert section.count("\n- LTX-2 Community License (Lightricks): not an open-source licence.") == 1
    assert section.count("\n- Apache-2.0:") == 1
    assert "MIT" not in section


def test_an_unknown_licence_is_named(tmp_path):
    describe(tmp_path, "video", {"reference": reference("wan_video_vae", licence="Sunday Licence")})
    assert "- Sunday Licence: read its text in the repository of the weights." in licence_section(tmp_path)


def test_codecs_that_are_contained_need_no_section(tmp_path):
    describe(tmp_path, "video", {"type": "block_pca", "weights_sha256": "0" * 64})
    assert referenced_files(tmp_path) == []
    assert licence_section(tmp_path) == ""


def test_a_damaged_description_is_named(tmp_path):
    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"video/config\.json is not JSON"):
        referenced_files(tmp_path)
