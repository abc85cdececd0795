"""Checkpoints that several processes write together, beside the next steps, and find again by themselves.

The folder is one that all processes see. Each process copies its state to main memory (all that training waits for),
then a thread of it writes, flushes and hashes its file and leaves a record. When all records are there, the first
process writes the manifest and gives the folder its name: until then the checkpoint does not exist.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import NoReturn

import torch
from safetensors import SafetensorError

from nava.artifacts.checkpoint import (
    CheckpointDamagedError,
    CheckpointManifest,
    FileRecord,
    complete_folders,
    part_of,
    prune,
    publish,
    record_file,
    reject,
    remove_parts,
    seal,
    verify,
)
from nava.config.training import TrainingConfig
from nava.runtime.errors import InputError, NavaError, UnavailableError
from nava.runtime.storage import read_json
from nava.training.bucket_mirror import BucketMirror
from nava.training.failures import explained
from nava.training.run_folder import record_event
from nava.training.sharded_state import ShardedState
from nava.training.state_file import Snapshot, state_file
from nava.training.world import World

_RECORD_SUFFIX = ".record"
_POLL_S = 0.02
# When training ends on an error, others that end with it may still be writing; those that are gone never will.
_PATIENCE_S = 10.0


class _State(IntEnum):
    """What a process found of a checkpoint, by what matters most when they differ."""

    WHOLE = 0
    OTHER = 1
    DAMAGED = 2
    UNREADABLE = 3


class CheckpointFailedError(NavaError):
    """A checkpoint could not be written."""


class Checkpoints:
    """The checkpoints of a stage.

    Args:
        root: their folder.
        config: how many stay, and whether they are written beside the next steps.
        config_hash: those of another configuration are not used.
        world: who writes them.
        log: takes plain lines.
    """

    def __init__(
        self, root: Path, config: TrainingConfig, config_hash: str, world: World, log: Callable[[str], None]
    ) -> None:
        self._root, self._config, self._hash, self._world, self._log = root, config, config_hash, world, log
        self._writer = ThreadPoolExecutor(1, "nava-checkpoint")
        # Of the save that is being written: this process's file, and (of the first process) all that makes it complete.
        self._running: tuple[Future[None], ...] = ()
        self._closed_at = math.inf
        self._lacking = False
        self._own_write_s = 0.0
        mirrored = config.checkpoint_uri and world.leads
        self._mirror = BucketMirror(config.checkpoint_uri, config_hash[:16], root) if mirrored else None

    def latest(self) -> Path | None:
        """The newest checkpoint whose every file is what was written, or None; all processes ask together.

        Each process checks a part of the files. What is damaged is named in the log and the events, and the one before
        is tried.

        Raises:
            InputError: there are damaged ones and none that is whole, or the newest is of another configuration: what
                they hold is not thrown away unasked.
            UnavailableError: one cannot be read, which says nothing of what it holds.
        """
        if self._world.leads:
            self._root.mkdir(parents=True, exist_ok=True)
            remove_parts(self._root)
        found, damaged = self._newest_here()
        fetched = None
        if self._mirror:
            step = int(found.name.rpartition("-")[2]) if found else -1
            if (fetched := self._mirror.fetch_newer(step)) is not None:
                self._log(f"checkpoint {fetched} was fetched from {self._config.checkpoint_uri}")
        name = self._world.from_leader(fetched)
        if damaged and not found and not name:
            raise InputError(
                f"{self._root} has {len(damaged)} checkpoint(s) and none is whole, see the lines above; bring one back "
                "from a copy, or remove that folder to start from the beginning"
            )
        if self._world.leads:
            for worse in damaged:
                # What was fetched may have taken its place.
                if worse != name:
                    reject(self._root / worse)
        self._world.barrier()
        return self._root / str(name) if name else found

    def _newest_here(self) -> tuple[Path | None, list[str]]:
        """The newest that can be used, and the names of newer ones that are damaged."""
        names = self._world.from_leader([folder.name for folder in complete_folders(self._root)])
        assert isinstance(names, list)
        damaged: list[str] = []
        for name in names:
            state, reason = self._checked(self._root / name)
            # The worst that a process found, for all.
            state = _State(-int(self._world.least(torch.tensor(-float(state)))))
            reason = reason or "another process found it so"
            if state == _State.WHOLE:
                return self._root / name, damaged
            if state == _State.UNREADABLE:
                raise UnavailableError(f"checkpoint {name} in {self._root}: {reason}")
            if state == _State.OTHER:
                raise InputError(
                    f"checkpoint {name} in {self._root} was made with another configuration; train in another folder, "
                    "or remove that one to start from the beginning"
                )
            damaged.append(name)
            text = f"checkpoint {name} is not used: {reason}"
            self._log(f"warning: {text}")
            if self._world.leads:
                record_event(self._root.parent, "warning", int(name.rpartition("-")[2]), text=text)
        return None, damaged

    def _checked(self, folder: Path) -> tuple[_State, str]:
        try:
            manifest = verify(folder, self._world.rank, self._world.size)
        except CheckpointDamagedError as error:
            return _State.DAMAGED, str(error)
        except UnavailableError as error:
            return _State.UNREADABLE, str(error)
        return (_State.WHOLE if manifest.config_hash == self._hash else _State.OTHER), ""

    def save(
        self, state: ShardedState, manifest: CheckpointManifest, write: Callable[[Path], None], *, wait: bool = False
    ) -> None:
        """Save where training stands; all processes together.

        Args:
            state: is copied before this returns.
            manifest: of this moment.
            write: adds what the first process alone writes; its files must not change afterwards.
            wait: return when the checkpoint is complete.

        Raises:
            CheckpointFailedError: this one if it is waited for, or the one before.
        """
        self.finish()
        snapshot = Snapshot(state)
        part = part_of(self._root, manifest.step)
        part.mkdir(parents=True, exist_ok=True)
        if self._world.leads:
            write(part)
        written = self._writer.submit(self._write, snapshot, part)
        self._running = (written, self._writer.submit(self._complete, written, part, manifest))
        if wait or not self._config.checkpoint_async:
            self.finish()

    @property
    def failed(self) -> bool:
        """Whether the save that is being written went wrong in this process; does not wait to find out."""
        return any(future.done() and future.exception() for future in self._running)

    def finish(self) -> None:
        """Wait for the save that is being written, if there is one; all processes together.

        Raises:
            CheckpointFailedError: it could not be written, in this process or in another.
        """
        running, self._running = self._running, ()
        for future in running:
            error = future.exception()
            if not self._world.all_agree(error is None):
                self._lacking = True
                self._fail(error)

    def close(self) -> None:
        """Let the thread end; what it is writing is written, but for what a process that is gone would write."""
        self._closed_at = time.monotonic()
        self._writer.shutdown(wait=True)

    def _fail(self, error: BaseException | None) -> NoReturn:
        """Raise what a save failed on, None if that was in another process."""
        if error is None:
            raise CheckpointFailedError("another process could not write its part of the checkpoint: its log says why")
        if isinstance(error, OSError | SafetensorError | NavaError):
            reason = explained(error)
            raise CheckpointFailedError(f"the checkpoint could not be written to {self._root}: {reason}") from error
        raise error

    def _write(self, snapshot: Snapshot, part: Path) -> None:
        path, since = state_file(part, self._world.rank), time.monotonic()
        snapshot.write(path)
        _put_record(path, record_file(path))
        self._own_write_s = time.monotonic() - since

    def _complete(self, written: Future[None], part: Path, manifest: CheckpointManifest) -> None:
        written.result()
        if not self._world.leads:
            return
        target = publish(part, seal(part, manifest, self._collected(part)))
        kept = (self._config.keep_checkpoints, self._config.keep_best_checkpoints)
        prune(self._root, *kept)
        if self._mirror:
            try:
                self._mirror.send(target, *kept)
            except NavaError as error:
                self._log(f"warning: checkpoint {target.name} is complete here, but not in the bucket: {error}")

    def _collected(self, part: Path) -> dict[str, FileRecord]:
        """The records of all processes' files, once they are there; they are removed."""
        since = time.monotonic()
        known: dict[str, FileRecord] = {}
        for rank in range(self._world.size):
            path = state_file(part, rank)
            record = path.with_name(path.name + _RECORD_SUFFIX)
            while not record.is_file():
                if self._waited_enough(since):
                    raise CheckpointFailedError(f"process {rank} has not written {path} in time; see its log")
                time.sleep(_POLL_S)
            known[path.name] = FileRecord(**read_json(record))
            record.unlink()
        return known

    def _waited_enough(self, since: float) -> bool:
        """Whether what is lacking will not come any more.

        After training ended on an error the others are given as long as the own file took: they began with it.
        """
        now, patience_s = time.monotonic(), max(_PATIENCE_S, self._own_write_s)
        ended = now > max(self._closed_at, since) + patience_s
        return self._lacking or ended or now > since + self._config.guard.collective_timeout_s


def _put_record(path: Path, record: FileRecord) -> None:
    """Say that a file is written. It is there whole or not at all; the first process may take it away at once."""
    target = path.with_name(path.name + _RECORD_SUFFIX)
    part = target.with_name(f".{target.name}")
    part.write_text(json.dumps(asdict(record)))
    part.replace(target)
