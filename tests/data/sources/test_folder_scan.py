import os
import shutil
from pathlib import Path

import pytest

from nava.artifacts.source_manifest import IgnoreReason
from nava.data.sources.folder import scan_folder


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder as people have them; nothing of it is opened here."""
    root = tmp_path / "holiday"
    (root / "day 2").mkdir(parents=True)
    for name in ("beach.mp4", "day 2/Küste.MP4", "voice.wav", "beach.vtt", "notes.txt"):
        (root / name).write_bytes(name.encode())
    return root


def ignored_reasons(root: Path) -> dict[str, IgnoreReason]:
    return {item.path: item.reason for item in scan_folder(root).ignored}


def test_media_and_their_transcripts_are_found_at_any_depth(folder):
    scan = scan_folder(folder)
    assert scan.media == ["beach.mp4", "day 2/Küste.MP4", "voice.wav"]
    assert scan.sidecars == {"beach.mp4": "beach.vtt"}
    assert ignored_reasons(folder) == {"notes.txt": IgnoreReason.NOT_MEDIA}


def test_every_entry_is_accounted_for(folder):
    (folder / "orphan.vtt").write_text("WEBVTT\n")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "._beach.mp4").write_bytes(b"AppleDouble")
    (folder / ".git" / "objects").mkdir(parents=True)
    (folder / ".git" / "objects" / "pack.mp4").write_bytes(b"x")
    os.mkfifo(folder / "pipe.mp4")
    assert ignored_reasons(folder) == {
        "notes.txt": IgnoreReason.NOT_MEDIA,
        "orphan.vtt": IgnoreReason.SIDECAR_WITHOUT_MEDIA,
        ".DS_Store": IgnoreReason.HIDDEN,
        "._beach.mp4": IgnoreReason.HIDDEN,
        ".git": IgnoreReason.HIDDEN,
        "pipe.mp4": IgnoreReason.NOT_A_REGULAR_FILE,
    }


def test_symlinks_do_not_lead_out_of_the_folder(tmp_path, folder):
    secret = tmp_path / "private" / "secret.mp4"
    secret.parent.mkdir()
    secret.write_bytes(b"x")
    (folder / "out.mp4").symlink_to(secret)
    (folder / "relative.mp4").symlink_to("../private/secret.mp4")
    (folder / "private").symlink_to(secret.parent)
    (folder / "nothing.mp4").symlink_to("missing.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "day two").symlink_to("day 2")
    (folder / "up").symlink_to(".")
    assert ignored_reasons(folder) == {
        "out.mp4": IgnoreReason.SYMLINK_OUTSIDE,
        "relative.mp4": IgnoreReason.SYMLINK_OUTSIDE,
        "private": IgnoreReason.SYMLINK_OUTSIDE,
        "nothing.mp4": IgnoreReason.SYMLINK_BROKEN,
        "loop.mp4": IgnoreReason.SYMLINK_BROKEN,
        "day two": IgnoreReason.SYMLINK_TO_FOLDER,
        "up": IgnoreReason.SYMLINK_TO_FOLDER,
        "notes.txt": IgnoreReason.NOT_MEDIA,
    }


def test_a_symlink_to_a_file_of_the_folder_is_that_file(folder):
    store = folder / ".store"
    store.mkdir()
    shutil.move(folder / "beach.mp4", store / "ab12cd")
    (folder / "beach.mp4").symlink_to(".store/ab12cd")
    assert "beach.mp4" in scan_folder(folder).media


def test_what_may_not_be_read_is_listed(folder, monkeypatch):
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "beach.mp4" and access(path, mode))
    assert ignored_reasons(folder)["beach.mp4"] == IgnoreReason.NOT_READABLE
    assert "voice.wav" in scan_folder(folder).media


def test_a_folder_that_may_not_be_listed_is_one_entry(folder, monkeypatch):
    scandir = os.scandir

    def denied(path):
        if Path(path).name == "day 2":
            raise PermissionError(13, "denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    assert ignored_reasons(folder)["day 2"] == IgnoreReason.NOT_READABLE


def test_a_name_that_is_no_utf8_is_listed_and_does_not_stop_the_rest(folder):
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mp4")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert ignored_reasons(folder)["caf\\xe9.mp4"] == IgnoreReason.NAME_NOT_UTF8
    assert len(scan_folder(folder).media) == 3


def test_the_walk_does_not_depend_on_the_order_of_creation(tmp_path):
    names = ["b/z.wav", "a.wav", "b.wav", "b/a.wav", "B.wav"]
    for root, order in (("one", names), ("two", names[::-1])):
        for name in order:
            (tmp_path / root / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / root / name).write_bytes(name.encode())
    assert scan_folder(tmp_path / "one").media == scan_folder(tmp_path / "two").media
    assert sorted(scan_folder(tmp_path / "one").media) == sorted(names)
