from fractions import Fraction

import av
import numpy as np
import pytest

from nava.data.media_files import (
    AUDIO_EXTENSIONS,
    MEDIA_EXTENSIONS,
    VIDEO_EXTENSIONS,
    decodes,
    local_copy,
    open_media,
)
from nava.data.media_root import BucketRoot
from nava.data.synthetic.files import Film, write_audio, write_mp4
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes
from tests.data.conftest import fill, put_s3

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


# Sources as files of this machine.


def remote(uri, data=b"a whole film", name="a film.mp4"):
    fill(uri, {name: data})
    return uri, name, sha256_bytes(data)


def test_a_file_of_this_machine_is_used_as_it_is(tmp_path):
    (tmp_path / "media" / "b").mkdir(parents=True)
    (tmp_path / "media" / "b" / "a.mp4").write_bytes(b"film")
    found = local_copy(str(tmp_path / "media"), "b/a.mp4", "0" * 64, tmp_path / "scratch")
    assert found == tmp_path / "media" / "b" / "a.mp4"
    assert not (tmp_path / "scratch").exists()


def test_an_object_is_fetched_once_and_keeps_its_extension(tmp_path, memory_bucket, monkeypatch):
    place = remote(memory_bucket, name="Film.MP4")
    copy = local_copy(*place, tmp_path)
    assert (copy.read_bytes(), copy.parent, copy.suffix) == (b"a whole film", tmp_path, ".mp4")
    monkeypatch.setattr(BucketRoot, "open", lambda *_: pytest.fail("fetched again"))
    assert local_copy(*place, tmp_path) == copy


def test_an_object_of_s3_is_fetched_by_its_address_alone(tmp_path, s3_bucket):
    put_s3(s3_bucket, {"talk.sph": b"sound"})
    assert local_copy(s3_bucket, "talk.sph", sha256_bytes(b"sound"), tmp_path).read_bytes() == b"sound"


def test_another_content_than_the_ingested_is_refused_and_leaves_nothing(tmp_path, memory_bucket):
    uri, name, _ = remote(memory_bucket)
    with pytest.raises(InputError, match=r"a film\.mp4 is not the file that was ingested"):
        local_copy(uri, name, sha256_bytes(b"another"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_objects_of_one_name_do_not_take_each_others_place(tmp_path, memory_bucket):
    one, two = remote(f"{memory_bucket}/1", b"one"), remote(f"{memory_bucket}/2", b"two")
    assert local_copy(*one, tmp_path).read_bytes() == b"one"
    assert local_copy(*two, tmp_path).read_bytes() == b"two"


def test_what_is_gone_is_a_clear_error(tmp_path, memory_bucket):
    uri, _, _ = remote(memory_bucket)
    for root in (uri, str(tmp_path)):
        with pytest.raises(InputError, match=r"gone\.mp4"):
            local_copy(root, "gone.mp4", "0" * 64, tmp_path / "scratch")


@pytest.mark.parametrize("path", ["../secret.mp4", "/etc/passwd", "a/../../secret.mp4", ""])
def test_no_path_leads_out_of_the_root(tmp_path, path):
    (tmp_path / "media").mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"x")
    with pytest.raises(InputError, match="leads out"):
        local_copy(str(tmp_path / "media"), path, "0" * 64, tmp_path / "scratch")


def test_no_link_leads_out_of_the_root(tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (tmp_path / "media" / "a.mp4").symlink_to(tmp_path / "secret.mp4")
    with pytest.raises(InputError, match="leads out"):
        local_copy(str(tmp_path / "media"), "a.mp4", "0" * 64, tmp_path / "scratch")


def test_sound_in_nist_sphere_decodes(tmp_path):
    fields = ["NIST_1A", "   1024", "channel_count -i 1", "sample_rate -i 16000", "sample_n_bytes -i 2"]
    fields += ["sample_byte_format -s2 01", "sample_coding -s3 pcm", "sample_count -i 1600", "end_head", ""]
    header = "\n".join(fields).encode().ljust(1024)
    (tmp_path / "talk.sph").write_bytes(header + (500).to_bytes(2, "little") * 1600)
    assert decodes(tmp_path / "talk.sph")
