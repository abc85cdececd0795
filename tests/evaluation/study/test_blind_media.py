"""Clips keep their pictures and sounds, and lose what could name who made them."""

from pathlib import Path

import av
import pytest

from nava.evaluation.study.blind_media import checked_source, place_video
from nava.evaluation.study.study_file import VIDEO_TYPES
from nava.runtime.errors import InputError
from tests.evaluation.study.small_study import MODELS, write_clip


def packets(path: Path) -> list[tuple[str, int, bytes]]:
    with av.open(str(path)) as container:
        return [
            (packet.stream.type, packet.pts, bytes(packet)) for packet in container.demux() if packet.dts is not None
        ]


def test_a_clip_without_tags_is_the_same_file(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "given.mp4", 1)
    place_video(source, tmp_path / "study" / "media" / "a.mp4")
    assert (tmp_path / "study" / "media" / "a.mp4").samefile(source)


@pytest.mark.parametrize("name", ["title", "comment", "artist", "description", "encoder"])
def test_tags_go_and_the_streams_stay(tmp_path: Path, name: str) -> None:
    source = write_clip(tmp_path / "given.mp4", 1, tags={name: f"made by {MODELS[0]}"})
    if name != "encoder":  # bit-exact muxers leave this one out by themselves
        assert MODELS[0].encode() in source.read_bytes()
    place_video(source, tmp_path / "a.mp4")
    assert MODELS[0].encode() not in (tmp_path / "a.mp4").read_bytes()
    assert sorted(packets(tmp_path / "a.mp4")) == sorted(packets(source))
    with av.open(str(tmp_path / "a.mp4")) as copied, av.open(str(source)) as given:
        assert [stream.codec.name for stream in copied.streams] == [stream.codec.name for stream in given.streams]
        assert copied.duration == given.duration


def test_a_link_to_a_clip_is_followed(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "given.mp4", 1)
    (tmp_path / "link.mp4").symlink_to(source)
    place_video(tmp_path / "link.mp4", tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").is_symlink()
    assert (tmp_path / "a.mp4").read_bytes() == source.read_bytes()


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"text\.mp4 cannot be read as a video"):
        place_video(tmp_path / "text.mp4", tmp_path / "a.mp4")
    (tmp_path / "empty.mp4").touch()
    for name, said in (("empty.mp4", "is empty"), ("gone.mp4", "is missing"), ("clip.avi", "is no .mp4")):
        with pytest.raises(InputError, match=f"case 'x': .*{name} {said}"):
            checked_source(tmp_path / name, VIDEO_TYPES, "case 'x'")
    assert checked_source(tmp_path / "text.mp4", VIDEO_TYPES, "x") == ".mp4"
