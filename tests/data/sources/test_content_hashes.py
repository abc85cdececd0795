import multiprocessing
import os
import signal
import sqlite3
import time
from dataclasses import replace

import pytest

from nava.data.media_root import BucketRoot, FolderRoot, media_root
from nava.data.sources import content_hashes
from nava.data.sources.content_hashes import DATABASE, ContentHashes
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes
from tests.data.conftest import fill, put_s3


@pytest.fixture
def media(tmp_path, monkeypatch):
    """Three files, seen from a minute after they were made."""
    folder = tmp_path / "media"
    folder.mkdir()
    for name in ("a.wav", "b.wav", "c.wav"):
        (folder / name).write_bytes(name.encode() * 100)
    later(monkeypatch)
    return FolderRoot(folder)


def later(monkeypatch, after=None, seconds=60):
    """Set the clock to some seconds after a file's last change, or after now."""
    changed_ns = after.stat().st_ctime_ns if after else time.time_ns()
    monkeypatch.setattr(content_hashes, "time_ns", lambda: changed_ns + seconds * 10**9)


def hashed(root, cache, names=("a.wav", "b.wav", "c.wav"), threads=2):
    """Hashes by name, and how many files were read for them."""
    hashes = ContentHashes(cache, threads)
    found = {file.path: file.sha256 for file in hashes.of(root, [(name, None) for name in names])}
    return found, hashes.read_files


def test_files_are_hashed_in_order_and_read_once(tmp_path, media):
    found, read = hashed(media, tmp_path / "cache")
    assert found == {name: sha256_bytes(name.encode() * 100) for name in ("a.wav", "b.wav", "c.wav")}
    assert (list(found), read) == (["a.wav", "b.wav", "c.wav"], 3)
    assert hashed(media, tmp_path / "cache") == (found, 0)


def test_a_grown_folder_costs_only_what_is_new(tmp_path, media):
    hashed(media, tmp_path / "cache", ("a.wav", "c.wav"))
    assert hashed(media, tmp_path / "cache")[1] == 1


def test_the_bytes_read_are_counted(tmp_path, media):
    hashes = ContentHashes(tmp_path / "cache")
    list(hashes.of(media, [("a.wav", None)]))
    assert hashes.read_bytes == 500


@pytest.mark.parametrize("set_back", [False, True])
def test_a_changed_file_is_read_again(tmp_path, media, monkeypatch, set_back):
    hashed(media, tmp_path / "cache")
    path = media.folder / "b.wav"
    times = path.stat()
    path.write_bytes(b"B.wav" * 100)
    if set_back:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    found, read = hashed(media, tmp_path / "cache")
    assert (found["b.wav"], read) == (sha256_bytes(b"B.wav" * 100), 1)


def test_a_file_put_in_the_place_of_another_is_read(tmp_path, media):
    hashed(media, tmp_path / "cache")
    (media.folder / "a.wav").replace(media.folder / "b.wav")
    found, read = hashed(media, tmp_path / "cache", ("b.wav",))
    assert (found["b.wav"], read) == (sha256_bytes(b"a.wav" * 100), 1)


def test_the_hash_of_a_file_that_just_changed_is_not_trusted(tmp_path, media, monkeypatch):
    (media.folder / "b.wav").write_bytes(b"now")
    later(monkeypatch, media.folder / "b.wav", seconds=1)
    assert hashed(media, tmp_path / "cache", ("b.wav",))[1] == 1
    assert hashed(media, tmp_path / "cache", ("b.wav",))[1] == 1, "it may have changed within one tick of the clock"
    later(monkeypatch, media.folder / "b.wav", seconds=3)
    assert hashed(media, tmp_path / "cache", ("b.wav",))[1] == 1
    assert hashed(media, tmp_path / "cache", ("b.wav",))[1] == 0


def test_roots_do_not_share_hashes(tmp_path, media):
    other = FolderRoot(tmp_path / "other")
    other.folder.mkdir()
    (other.folder / "a.wav").write_bytes(b"other")
    hashed(media, tmp_path / "cache", ("a.wav",))
    assert hashed(other, tmp_path / "cache", ("a.wav",))[0] == {"a.wav": sha256_bytes(b"other")}


def test_objects_are_told_by_their_etag(tmp_path, s3_bucket):
    put_s3(s3_bucket, {"a.wav": b"one", "b.wav": b"two"})
    root = media_root(s3_bucket)
    assert hashed(root, tmp_path, ("a.wav", "b.wav")) == (
        {"a.wav": sha256_bytes(b"one"), "b.wav": sha256_bytes(b"two")},
        2,
    )
    put_s3(s3_bucket, {"b.wav": b"TWO"})
    assert hashed(root, tmp_path, ("a.wav", "b.wav")) == (
        {"a.wav": sha256_bytes(b"one"), "b.wav": sha256_bytes(b"TWO")},
        1,
    )


def test_a_store_that_says_nothing_of_the_content_is_read_every_time(tmp_path, memory_bucket, monkeypatch):
    fill(memory_bucket, {"a.wav": b"one"})
    state = BucketRoot.state
    monkeypatch.setattr(BucketRoot, "state", lambda self, path: replace(state(self, path), version=""))
    root = media_root(memory_bucket)
    assert [hashed(root, tmp_path, ("a.wav",))[1] for _ in range(2)] == [1, 1]


def test_the_text_of_a_transcript_is_read_once_and_again_when_it_changes(tmp_path, media, monkeypatch):
    texts = iter(["one", "two"])
    said = [ContentHashes(tmp_path / "cache").text_of(media, "a.wav", None, lambda: next(texts)) for _ in range(3)]
    assert said == ["one"] * 3
    (media.folder / "a.wav").write_bytes(b"changed")
    assert ContentHashes(tmp_path / "cache").text_of(media, "a.wav", None, lambda: next(texts)) == "two"


def test_a_transcript_that_cannot_be_read_is_tried_again(tmp_path, media):
    def refuse():
        raise ValueError("not WebVTT")

    hashes = ContentHashes(tmp_path / "cache")
    with pytest.raises(ValueError, match="not WebVTT"):
        hashes.text_of(media, "a.wav", None, refuse)
    assert hashes.text_of(media, "a.wav", None, lambda: "mended") == "mended"


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, media, monkeypatch):
    opened = FolderRoot.open

    def growing(self, path):
        with (self.folder / path).open("ab") as file:
            file.write(b"more")
        return opened(self, path)

    monkeypatch.setattr(FolderRoot, "open", growing)
    with pytest.raises(InputError, match=r"a\.wav changed while it was read; wait until it is complete"):
        hashed(media, tmp_path / "cache")


def test_a_file_that_went_away_is_refused_and_what_was_read_is_kept(tmp_path, media):
    hashes = ContentHashes(tmp_path / "cache")
    files = [(name, media.state(name)) for name in ("a.wav", "b.wav", "c.wav")]
    (media.folder / "b.wav").unlink()
    with pytest.raises(InputError, match=r"b\.wav cannot be read"):
        list(hashes.of(media, files))
    with pytest.raises(InputError, match=r"b\.wav was there a moment ago and is gone"):
        hashed(media, tmp_path / "cache")
    assert hashed(media, tmp_path / "cache", ("a.wav",))[1] == 0


@pytest.mark.parametrize("damage", [b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_database_is_begun_again(tmp_path, media, damage):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / DATABASE).write_bytes(damage)
    assert hashed(media, tmp_path / "cache")[1] == 3
    assert hashed(media, tmp_path / "cache")[1] == 0


def test_a_cache_that_cannot_be_opened_is_a_clear_error(tmp_path, media):
    (tmp_path / "cache" / DATABASE).mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be used"):
        hashed(media, tmp_path / "cache")


def _hash_and_die(folder, cache):
    root = FolderRoot(folder)
    for done, _ in enumerate(ContentHashes(cache).of(root, [(f"{i}.wav", None) for i in range(20)]), start=1):
        if done == 7:
            os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_has_read_is_not_read_again(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(20):
        (folder / f"{i}.wav").write_bytes(b"%d" % i)
        os.utime(folder / f"{i}.wav", (1, 1))
    wait_until_settled(folder)
    process = multiprocessing.get_context("spawn").Process(target=_hash_and_die, args=(folder, tmp_path / "cache"))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    found, read = hashed(FolderRoot(folder), tmp_path / "cache", [f"{i}.wav" for i in range(20)])
    assert (len(found), read) == (20, 13)


def wait_until_settled(folder):
    """The time of the inode cannot be set back, so that a file is trusted only when it has come of age."""
    newest = max(path.stat().st_ctime_ns for path in folder.iterdir())
    while time.time_ns() <= newest + content_hashes._TICK_NS:
        time.sleep(0.05)


def test_two_runs_may_use_one_database(tmp_path, media):
    one, two = ContentHashes(tmp_path / "cache"), ContentHashes(tmp_path / "cache")
    files = [(name, None) for name in ("a.wav", "b.wav", "c.wav")]
    pairs = list(zip(one.of(media, files), two.of(media, files), strict=True))
    assert all(first == second for first, second in pairs)
    with sqlite3.connect(tmp_path / "cache" / DATABASE) as database:
        assert database.execute("SELECT count(*) FROM known").fetchone() == (3,)
