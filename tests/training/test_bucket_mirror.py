"""The copies in a bucket: what passes by itself is waited for."""

from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from nava.artifacts.checkpoint import CheckpointManifest, part_of, publish, seal
from nava.runtime.errors import UnavailableError
from nava.training.bucket_mirror import BucketMirror


def checkpoint(root: Path, step: int) -> Path:
    part = part_of(root, step)
    part.mkdir(parents=True)
    (part / "state.bin").write_bytes(b"weights")
    return publish(part, seal(part, CheckpointManifest(1, step, 8 * step, "hash", {})))


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BucketMirror:
    """A bucket with one checkpoint, seen from a machine that has none."""
    monkeypatch.setattr("nava.artifacts.store_faults.FIRST_WAIT_S", 0.0)
    address = f"memory://bucket/{tmp_path.name}"
    BucketMirror(address, "run", tmp_path / "there").send(checkpoint(tmp_path / "there", 7), 3, 0)
    (tmp_path / "here").mkdir()
    return BucketMirror(address, "run", tmp_path / "here")


def faltering(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """So many copies from the bucket fail; the addresses that were asked for."""
    files = fsspec.filesystem("memory")
    copy: Callable[..., None] = files.get_file
    asked: list[str] = []

    def get_file(there: str, here: str) -> None:
        asked.append(there)
        if len(asked) <= times:
            raise ConnectionResetError("Connection reset by peer")
        copy(there, here)

    monkeypatch.setattr(files, "get_file", get_file)
    return asked


def test_a_fetch_that_falters_goes_on(mirror: BucketMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = faltering(monkeypatch, 2)
    name = mirror.fetch_newer(-1)
    assert name is not None
    assert (tmp_path / "here" / name / "state.bin").read_bytes() == b"weights"
    assert len(asked) == 4


def test_a_bucket_that_goes_on_failing_is_no_wrong_input(mirror: BucketMirror, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = faltering(monkeypatch, 100)
    with pytest.raises(UnavailableError, match=r"Connection reset by peer \(5 attempts\)") as caught:
        mirror.fetch_newer(-1)
    assert caught.value.exit_code == 1
    assert len(asked) == 5
