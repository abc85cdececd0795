from fractions import Fraction

import av
import numpy as np
import pytest

from nava.data.media_files import AUDIO_EXTENSIONS, MEDIA_EXTENSIONS, VIDEO_EXTENSIONS, decodes, open_media
from nava.data.synthetic.files import Film, write_audio, write_mp4

SOUND = np.full((1, 4800), 0.1, np.float32)


def test_extensions_are_lower_case_and_of_one_kind():
    assert VIDEO_EXTENSIONS.isdisjoint(AUDIO_EXTENSIONS)
    assert all(name.startswith(".") and name == name.lower() for name in MEDIA_EXTENSIONS)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_sound_decodes(tmp_path, suffix):
    write_audio(tmp_path / f"a.{suffix}", SOUND, 48_000)
    assert decodes(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("sound", [SOUND, None])
def test_pictures_decode_with_and_without_sound(tmp_path, sound):
    write_mp4(tmp_path / "a.mp4", Film(np.zeros((3, 32, 48, 3), np.uint8), Fraction(24), sound, 48_000))
    assert decodes(tmp_path / "a.mp4")
    with open_media(tmp_path / "a.mp4") as container:
        assert len(list(container.decode(video=0))) == 3


@pytest.mark.parametrize(
    "data", [b"", b"a note", b"\0" * 5000, b"<html></html>", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2"]
)
def test_what_is_no_media_does_not(tmp_path, data):
    (tmp_path / "a.mp4").write_bytes(data)
    assert not decodes(tmp_path / "a.mp4")


def test_a_missing_file_does_not(tmp_path):
    assert not decodes(tmp_path / "missing.mp4")


def test_formats_that_name_other_files_are_refused(tmp_path):
    write_audio(tmp_path / "inside.wav", SOUND, 48_000)
    (tmp_path / "list.wav").write_text("ffconcat version 1.0\nfile inside.wav\n")
    with pytest.raises(av.FFmpegError), open_media(tmp_path / "list.wav"):
        pass
