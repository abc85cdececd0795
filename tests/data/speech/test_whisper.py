import socket

import numpy as np
import pytest

from nava.config.speech import RecognitionConfig
from nava.data.speech.recognition import Recording, build_recogniser
from nava.runtime.errors import InputError
from tests.data.speech.sounds import in_clip, spoken
from tests.data.speech.whisper_folder import write_whisper

pytest.importorskip("faster_whisper")


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory):
    return write_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def settings(folder, **changes):
    return RecognitionConfig(backend="faster_whisper", model=str(folder), language="en", beam_size=2, **changes)


def test_a_model_of_the_real_layout_gives_words_with_times_and_no_network(whisper_folder, no_network, tmp_path):
    recogniser = build_recogniser(settings(whisper_folder))
    assert recogniser.backend == "faster_whisper:whisper-random (unproven)"
    recording = Recording(in_clip((0.2, spoken())), tmp_path / "unread.wav")
    words = recogniser.words(recording)
    assert words
    assert all(0 <= word.t0_s <= word.t1_s <= 30.0 for word in words)
    assert not any("<" in word.text or ">" in word.text or word.text != word.text.strip() for word in words)
    assert recogniser.words(recording) == words


@pytest.mark.parametrize("missing", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_file_that_is_missing_is_named_before_anything_is_loaded(whisper_folder, no_network, tmp_path, missing):
    for file in whisper_folder.iterdir():
        if file.name != missing:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(InputError, match=f"lacks {missing} of a Whisper model.*ct2-transformers-converter"):
        build_recogniser(settings(tmp_path))


def test_a_damaged_model_is_refused(whisper_folder, tmp_path):
    for file in whisper_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[: 1000 if file.name == "model.bin" else None])
    with pytest.raises(InputError, match="cannot be loaded as a Whisper model"):
        build_recogniser(settings(tmp_path))


def test_silence_gives_a_list_of_words_too(whisper_folder, tmp_path):
    recogniser = build_recogniser(settings(whisper_folder))
    words = recogniser.words(Recording(np.zeros(16_000, np.float32), tmp_path / "unread.wav"))
    assert all(word.t0_s <= word.t1_s for word in words)
