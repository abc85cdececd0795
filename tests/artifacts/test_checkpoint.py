"""Checkpoints: whole or not there, whatever is killed or damaged."""

import errno
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nava.artifacts.checkpoint import (
    MANIFEST_FILE,
    CheckpointDamagedError,
    CheckpointManifest,
    read_manifest,
    reject,
    seal,
    verify,
)
from nava.runtime.errors import InputError, UnavailableError
from nava.runtime.hashing import sha256_json
from nava.training.checkpoints import Checkpoints
from nava.training.sharded_state import ShardedState
from nava.training.world import World
from tests.training.latents_in_memory import tiny_training

REPOSITORY = Path(__file__).parents[2]
STATE = "state-00000.safetensors"


def manifest(step: int, config_hash: str = "c0ffee") -> CheckpointManifest:
    return CheckpointManifest(stage=2, step=step, samples=16 * step, config_hash=config_hash, rng={"seed": 7})


def write_manifest(folder: Path, value: dict) -> None:
    value.pop("checksum")
    (folder / MANIFEST_FILE).write_text(json.dumps(value | {"checksum": sha256_json(value)}))


def write_two_files(folder: Path) -> None:
    (folder / "engine").mkdir()
    (folder / "engine" / "weights.bin").write_bytes(bytes(range(256)) * 40)
    (folder / "curves.jsonl").write_text("{}\n")


def save_checkpoint(root: Path, what: CheckpointManifest, write: Callable[[Path], object], keep_last: int = 2) -> None:
    """As a stage that has nothing to train saves: all files but that of the state are those that `write` makes."""
    config = tiny_training(keep_checkpoints=keep_last)
    parameter = torch.nn.Parameter(torch.zeros(1))
    state = ShardedState([], torch.optim.SGD([parameter]), refresh=lambda: None)
    checkpoints = Checkpoints(root, config, what.config_hash, World(), print)
    try:
        checkpoints.save(state, what, write, wait=True)
    finally:
        checkpoints.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for step in (10, 20, 30):
        save_checkpoint(tmp_path, manifest(step), write_two_files, keep_last=3)
    return tmp_path


def latest(root: Path, config_hash: str = "c0ffee") -> tuple[str | None, list[str]]:
    warnings: list[str] = []
    found = Checkpoints(root, tiny_training(), config_hash, World(), warnings.append).latest()
    return (found.name if found else None), warnings


def test_the_newest_is_found_and_says_where_training_stood(root: Path) -> None:
    name, warnings = latest(root)
    assert (name, warnings) == ("step-00000030", [])
    found = verify(root / "step-00000030")
    assert (found.stage, found.step, found.samples, found.rng) == (2, 30, 480, {"seed": 7})
    assert set(found.files) == {"engine/weights.bin", "curves.jsonl", STATE}


def test_newest_is_by_number_not_by_text(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        save_checkpoint(tmp_path, manifest(step), write_two_files, keep_last=5)
    assert latest(tmp_path)[0] == "step-00000100"


def test_an_empty_or_missing_folder_has_none(tmp_path: Path) -> None:
    assert latest(tmp_path) == (None, [])
    assert latest(tmp_path / "missing") == (None, [])


def test_only_the_last_ones_are_kept(tmp_path: Path) -> None:
    for step in range(1, 6):
        save_checkpoint(tmp_path, manifest(step), write_two_files, keep_last=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000004", "step-00000005"]
    save_checkpoint(tmp_path, manifest(6), write_two_files, keep_last=0)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000006"]


def test_saving_a_step_again_replaces_it(root: Path) -> None:
    save_checkpoint(root, manifest(30), lambda folder: (folder / "other").write_text("new"), keep_last=3)
    assert set(verify(root / "step-00000030").files) == {"other", STATE}


@pytest.mark.parametrize("position", [0, 5000, 10239])
def test_a_flipped_bit_is_noticed_and_the_one_before_is_used(root: Path, position: int) -> None:
    path = root / "step-00000030" / "engine" / "weights.bin"
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    name, warnings = latest(root)
    assert name == "step-00000020"
    assert len(warnings) == 1
    assert "step-00000030" in warnings[0]
    assert "engine/weights.bin" in warnings[0]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / MANIFEST_FILE).unlink(), "did not finish"),
        (lambda folder: (folder / MANIFEST_FILE).write_text('{"schema_version": 1, "sta'), "cannot be read"),
        (lambda folder: (folder / MANIFEST_FILE).write_text("[]"), "cannot be read"),
        (lambda folder: (folder / MANIFEST_FILE).write_bytes(b"\xff\xfe\x00"), "cannot be read"),
        (lambda folder: (folder / "curves.jsonl").unlink(), "curves.jsonl is missing"),
        (lambda folder: (folder / "engine" / "weights.bin").write_bytes(b"short"), "5 bytes instead of 10240"),
    ],
)
def test_damage_is_named_and_skipped(root: Path, damage, reason: str) -> None:
    damage(root / "step-00000030")
    name, warnings = latest(root)
    assert name == "step-00000020"
    assert reason in warnings[0]


def test_all_damaged_is_an_error_after_a_warning_each_and_all_stay(root: Path, capsys: pytest.CaptureFixture) -> None:
    for folder in root.iterdir():
        (folder / "curves.jsonl").write_text("x")
    config = tiny_training()
    with pytest.raises(InputError, match=r"has 3 checkpoint.* none is whole"):
        Checkpoints(root, config, manifest(0).config_hash, World(), print).latest()
    assert capsys.readouterr().out.count("is not used") == 3
    assert len(list(root.glob("step-*"))) == 3


def test_another_configuration_is_not_resumed(root: Path) -> None:
    save_checkpoint(root, manifest(40, "other"), write_two_files, keep_last=9)
    with pytest.raises(InputError, match=r"step-00000040 .* another configuration"):
        latest(root)
    assert len(list(root.glob("step-*"))) == 4


def test_what_cannot_be_read_is_not_taken_for_damaged(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr("nava.artifacts.checkpoint.sha256_file", fail)
    with pytest.raises(UnavailableError, match=r"step-00000030.* cannot be read: Input/output error"):
        latest(root)
    assert sorted(path.name for path in root.iterdir()) == ["step-00000010", "step-00000020", "step-00000030"]


@pytest.mark.parametrize("position", range(0, 300, 7))
def test_a_flipped_bit_of_the_manifest_is_noticed(root: Path, position: int) -> None:
    path = root / "step-00000030" / MANIFEST_FILE
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)
    name, warnings = latest(root)
    assert name == "step-00000020"
    assert MANIFEST_FILE in warnings[0]


def test_a_manifest_of_another_version_is_refused(root: Path) -> None:
    folder = root / "step-00000030"
    value = json.loads((folder / MANIFEST_FILE).read_text()) | {"schema_version": 99}
    write_manifest(folder, value)
    with pytest.raises(CheckpointDamagedError, match="version 99"):
        read_manifest(folder)


@pytest.mark.parametrize("name", ["../step-00000020/curves.jsonl", "/etc/hostname", "engine/../../x"])
def test_a_manifest_may_not_point_outside(root: Path, name: str) -> None:
    folder = root / "step-00000030"
    value = json.loads((folder / MANIFEST_FILE).read_text())
    value["files"][name] = value["files"].pop("curves.jsonl")
    write_manifest(folder, value)
    with pytest.raises(CheckpointDamagedError, match="leads outside"):
        verify(folder)


def test_a_failed_save_is_invisible_and_cleared(root: Path) -> None:
    def fail(folder: Path) -> None:
        write_two_files(folder)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(root, manifest(40), fail)
    assert latest(root) == ("step-00000030", [])
    assert sorted(path.name for path in root.iterdir()) == ["step-00000010", "step-00000020", "step-00000030"]


def test_a_save_killed_half_way_is_invisible_and_cleared(root: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from tests.artifacts.test_checkpoint import manifest, save_checkpoint
def write(folder):
    (folder / "half").write_bytes(b"x" * 1000)
    os.kill(os.getpid(), signal.SIGKILL)
save_checkpoint(Path({str(root)!r}), manifest(40), write)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, cwd=REPOSITORY)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(root.iterdir())) == 4
    assert latest(root) == ("step-00000030", [])
    assert len(list(root.iterdir())) == 3


def test_of_rejected_ones_the_latest_stays(root: Path) -> None:
    for step in (30, 20):
        reject(root / f"step-000000{step}")
    assert sorted(path.name for path in root.iterdir()) == [".rejected-step-00000030", "step-00000010"]
    save_checkpoint(root, manifest(30), write_two_files, keep_last=3)
    reject(root / "step-00000030")
    assert sorted(path.name for path in root.iterdir()) == [".rejected-step-00000030", "step-00000010"]
    assert latest(root) == ("step-00000010", [])


def test_the_manifest_does_not_list_itself_and_sealing_twice_changes_nothing(tmp_path: Path) -> None:
    write_two_files(tmp_path)
    first = seal(tmp_path, manifest(1))
    assert MANIFEST_FILE not in first.files
    (tmp_path / MANIFEST_FILE).unlink()
    assert seal(tmp_path, replace(manifest(1))) == first == verify(tmp_path)
