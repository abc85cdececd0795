"""Whisper from folders of the hub's and of CTranslate2's layout, with random weights."""

import json

import numpy as np
import pytest

from nava.evaluation.backends.whisper_words import WhisperLargeV3, fourier_resampled
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import UnmeasurableError
from nava.generation.media import write_wav
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_path
from tests.data.speech.whisper_folder import write_whisper

pytest.importorskip("faster_whisper")
pytestmark = pytest.mark.usefixtures("no_network")
RATE = 16_000


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    return write_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="module")
def published(converted):
    folder = converted.parent / "published"
    write_generation_config(folder)
    return folder


def write_generation_config(folder, **changes):
    """With the fields of the published file."""
    path = folder / "generation_config.json"
    saved = json.loads(path.read_text())
    del saved["_from_model_config"]
    tokens = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    ids = {token["content"]: token["id"] for token in tokens}
    published = {
        "is_multilingual": True,
        "task_to_id": {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]},
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "max_length": 12,
        "return_timestamps": False,
    }
    path.write_text(json.dumps(saved | published | changes))


def noise(path, seconds=1.0, channels=0):
    shape = (channels, int(seconds * RATE)) if channels else int(seconds * RATE)
    write_wav(path, (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32), RATE)
    return ClipFile(path)


def test_the_hubs_layout_gives_text_under_the_forced_prompt(published, tmp_path, monkeypatch):
    backend = WhisperLargeV3(str(published), sha256_path(published))
    asked = {}
    generate = backend._engine._model.generate

    def watched(features, **settings):
        tokens = generate(features, **settings)
        asked.update(settings, features=tuple(features.shape))
        return tokens

    monkeypatch.setattr(backend._engine._model, "generate", watched)
    features = backend.extract(noise(tmp_path / "a.wav"))
    assert features.values["engine"] == "transformers"
    assert isinstance(features.values["text"], str)
    assert "<|" not in features.values["text"]
    assert asked["features"] == (1, 80, 3_000)
    assert (asked["language"], asked["task"], asked["num_beams"]) == ("en", "transcribe", 1)
    assert backend.extract(noise(tmp_path / "b.wav")).values == features.values, "greedy: no dice"


def test_the_decoder_is_told_language_and_task(published, tmp_path, monkeypatch):
    """What begins the sequence is what Seed-TTS-eval forces: start, English, transcribe, no time stamps."""
    backend = WhisperLargeV3(str(published), sha256_path(published))
    model, seen = backend._engine._model, []
    forward = model.forward

    def watched(*args, **kwargs):
        seen.append(kwargs["decoder_input_ids"].tolist())
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", watched)
    backend.extract(noise(tmp_path / "a.wav"))
    tokens = backend._engine._tokenizer.convert_ids_to_tokens(seen[0][0])
    assert tokens == ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"]


def test_a_converted_folder_is_taken_too_and_says_so(converted, tmp_path):
    backend = WhisperLargeV3(str(converted), sha256_path(converted))
    clip = noise(tmp_path / "a.wav")
    features = backend.extract(clip)
    assert features.values["engine"] == "ctranslate2"
    assert isinstance(features.values["text"], str)
    assert backend.extract(clip).values == features.values
    assert backend.weights_sha256 == sha256_path(converted)


def test_silence_is_recognised_and_a_blip_or_no_sound_is_not(converted, tmp_path):
    backend = WhisperLargeV3(str(converted), sha256_path(converted))
    write_wav(tmp_path / "silent.wav", np.zeros(RATE, np.float32), RATE)
    assert isinstance(backend.extract(ClipFile(tmp_path / "silent.wav")).values["text"], str)
    with pytest.raises(UnmeasurableError, match=r"lasts 0\.10 s"):
        backend.extract(noise(tmp_path / "blip.wav", 0.1))


def test_thirty_seconds_are_heard_and_it_is_said(converted, tmp_path):
    backend = WhisperLargeV3(str(converted), sha256_path(converted))
    values = backend.extract(noise(tmp_path / "long.wav", 31.5)).values
    assert (values["seconds"], values["heard_s"]) == (31.5, 30.0)


def test_resampling_is_that_of_the_protocol():
    times = np.arange(4_800) / 48_000
    tone = np.sin(2 * np.pi * 1_000 * times)
    found = fourier_resampled(tone.astype(np.float32), 48_000)
    np.testing.assert_allclose(found, tone[::3], atol=1e-4)
    assert found.dtype == np.float32
    assert len(fourier_resampled(np.zeros(44_100 + 3, np.float32), 44_100)) == int(44_103 * 16_000 / 44_100)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "generation_config.json"])
def test_a_missing_file_is_named(published, tmp_path, name):
    for file in published.iterdir():
        if file.name != name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match=f"{name} .*openai/whisper-large-v3"):
        WhisperLargeV3(str(tmp_path), sha256_path(tmp_path))


def test_a_folder_whose_language_cannot_be_forced_is_refused(published, tmp_path):
    for file in published.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "generation_config.json").write_text("{}")
    with pytest.raises(InputError, match="no lang_to_id"):
        WhisperLargeV3(str(tmp_path), sha256_path(tmp_path))


def test_a_damaged_conversion_is_refused(converted, tmp_path):
    for file in converted.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[: 1000 if file.name == "model.bin" else None])
    with pytest.raises(InputError, match=r"backend whisper_large_v3: .*cannot be loaded"):
        WhisperLargeV3(str(tmp_path), sha256_path(tmp_path))
    with pytest.raises(InputError, match="has sha256"):
        WhisperLargeV3(str(tmp_path), "0" * 64)
