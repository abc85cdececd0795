"""Backends in environments of their own: the process that answers in JSON lines, and the extractor in front of it.

The protocol is told in docs/environments.md. A process that ends while it works is started once more for the same
file; one that hangs is ended, and the next file gets a new one. It ends when its standard input does, so it never
outlives us.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from nava.evaluation.extraction.features import Features, UnmeasurableError
from nava.runtime.errors import InputError

if TYPE_CHECKING:
    from nava.evaluation.extraction.clip_file import ClipFile

PROTOCOL = 1
_EXIT_GRACE_S = 5.0
_LOG_TAIL_BYTES = 2000
_PIECE_BYTES = 1 << 16
# Of what a worker says or logs, as much as is told to people.
_TOLD_CHARACTERS = 300


class WorkerError(Exception):
    """A worker did not answer as it should; the message says how."""


class WorkerEndedError(WorkerError):
    """The process ended instead of answering."""


@dataclass(frozen=True)
class WorkerCommand:
    """How a worker is started and what it has to be.

    Attributes:
        arguments: of the process, its program first.
        backend: the name that its hello must have.
        weights_sha256: the hash that its hello must have; None for a backend without weights.
        start_timeout_s: until its hello; imports and weights take their time.
        file_timeout_s: for a file.
    """

    arguments: tuple[str, ...]
    backend: str
    weights_sha256: str | None = None
    start_timeout_s: float = 600.0
    file_timeout_s: float = 300.0


class WorkerProcess:
    """One process of a worker, once it has said hello.

    Raises:
        InputError: it says that it cannot do its work, or is another than was wanted.
        WorkerError: it ended, hung, or spoke something else.
    """

    def __init__(self, command: WorkerCommand) -> None:
        # What it logs goes to a file, so that a full pipe never stops it.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            command.arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        self._unread = bytearray()
        self._finalizer = weakref.finalize(self, _end, self._process, self._log)
        try:
            _check_hello(command, self._answer(command.start_timeout_s))
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, request: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """The answer to a request. After a WorkerError the process is gone."""
        assert self._process.stdin is not None
        try:
            try:
                self._process.stdin.write(json.dumps(dict(request)).encode() + b"\n")
                self._process.stdin.flush()
            except OSError as error:
                raise self._ended() from error
            answer = self._answer(timeout_s)
            if answer.get("id") != request["id"]:
                raise WorkerError(f"its worker answered request {answer.get('id')!r} instead of {request['id']!r}")
        except WorkerError:
            self.kill()
            raise
        return answer

    def close(self) -> None:
        """Let it end; make it end if it does not."""
        self._finalizer()

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._finalizer()

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        line = self._line(timeout_s)
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            told = line.decode(errors="replace").strip()[:_TOLD_CHARACTERS]
            raise WorkerError(f"its worker said {told!r} where an answer in JSON belongs")
        return answer

    def _line(self, timeout_s: float) -> bytes:
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], max(deadline - time.monotonic(), 0.0))
            if not ready:
                raise WorkerError(f"its worker did not answer within {timeout_s:g} s and was ended")
            if not (piece := os.read(self._process.stdout.fileno(), _PIECE_BYTES)):
                raise self._ended()
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return bytes(line)

    def _ended(self) -> WorkerEndedError:
        try:
            code = f"ended with code {self._process.wait(_EXIT_GRACE_S)}"
        except subprocess.TimeoutExpired:
            code = "closed its output"
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(self._log.tell() - _LOG_TAIL_BYTES, 0))
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        last = f": {lines[-1][:_TOLD_CHARACTERS]}" if lines else ""
        return WorkerEndedError(f"its worker {code}{last}")


def _end(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    # What was still to be written may have no reader any more.
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_EXIT_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
    log.close()


def _check_hello(command: WorkerCommand, hello: Mapping[str, Any]) -> None:
    name = command.backend
    if hello.get("protocol") != PROTOCOL:
        raise InputError(f"backend {name}: its worker speaks protocol {hello.get('protocol')!r}, not {PROTOCOL}")
    if error := hello.get("error"):
        raise InputError(f"backend {name} cannot be had: {' '.join(str(error).split())}")
    if hello.get("backend") != name:
        raise InputError(f"backend {name}: its worker is of backend {hello.get('backend')!r}")
    if hello.get("weights_sha256") != command.weights_sha256:
        found = hello.get("weights_sha256")
        raise InputError(f"backend {name}: its worker has weights of sha256 {found}, not {command.weights_sha256}")


class WorkerExtractor:
    """Features of a clip's sound from a worker.

    Raises:
        InputError: the worker cannot be had.
    """

    def __init__(self, command: WorkerCommand) -> None:
        self._command = command
        self._asked = 0
        self._process: WorkerProcess | None = None
        try:
            self._process = WorkerProcess(command)
        except (WorkerError, OSError) as error:
            raise InputError(f"backend {command.backend} cannot be had: {error}") from error

    @property
    def process(self) -> WorkerProcess | None:
        """The process, if there is one now."""
        return self._process

    def extract(self, clip: ClipFile) -> Features:
        """What the worker found in the clip's sound, which it is given as mono at 16 kHz in 16 bits.

        Raises:
            UnmeasurableError: the clip has no sound, or the worker says why nothing can be found in it.
            WorkerError: the worker failed: an accident, which another run may not have.
        """
        from nava.evaluation.extraction.clip_file import SPEECH_RATE_HZ
        from nava.generation.media import write_wav

        samples_N = clip.samples_at(SPEECH_RATE_HZ)
        with tempfile.TemporaryDirectory(prefix="nava-worker-") as folder:
            audio, output = Path(folder) / "audio.wav", Path(folder) / "arrays.safetensors"
            write_wav(audio, samples_N, SPEECH_RATE_HZ)
            answer = self._answer({"audio": str(audio), "output": str(output)})
            return _features(answer, output)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer; a process that ends is started once more, since it may have ended for want of memory."""
        try:
            return self._ask(request)
        except WorkerEndedError:
            return self._ask(request)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        process, self._process = self._process, None
        if process is None:
            process = WorkerProcess(self._command)
        self._asked += 1
        answer = process.ask({"id": self._asked, **request}, self._command.file_timeout_s)
        # Only one that has answered is asked again.
        self._process = process
        return answer


def _features(answer: Mapping[str, Any], output: Path) -> Features:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if reason := answer.get("unmeasurable"):
        raise UnmeasurableError(str(reason))
    if answer.get("ok") is not True:
        raise WorkerError(str(answer.get("error") or "its worker neither succeeded nor said why"))
    values = answer.get("values", {})
    if not isinstance(values, dict):
        raise WorkerError(f"its worker gave values that are no object: {str(values)[:_TOLD_CHARACTERS]}")
    try:
        arrays = load_file(output) if output.is_file() else {}
    except (SafetensorError, OSError) as error:
        raise WorkerError(f"its worker wrote arrays that cannot be read: {error}") from error
    return Features(values, arrays)


class EnvironmentBackend(WorkerExtractor):
    """A backend whose worker runs in an environment of `nava eval environment`.

    Args:
        weights: file or folder; empty for a backend that has its own.
        sha256: what their hash must be; the worker refuses others before it loads them.
        device: where it computes.

    Raises:
        InputError: the environment has not been made, or the worker cannot be had with those weights.
    """

    environment: ClassVar[str]
    backend: ClassVar[str]
    version: int
    needs_weights: ClassVar[bool] = False
    weights_sha256: str | None = None

    def __init__(self, weights: str = "", sha256: str = "", device: str = "cpu") -> None:
        from nava.evaluation.environments.recipe import environment_of, why_not

        if reason := why_not(self.environment):
            raise InputError(f"backend {self.backend} needs {reason}")
        self.weights_sha256 = self.weights_sha256 if not weights else sha256
        place = environment_of(self.environment)
        named = {"--backend": self.backend, "--sha256": self.weights_sha256 or "", "--device": device}
        if weights:
            named["--weights"] = str(Path(weights).expanduser())
        arguments: Sequence[str] = [part for pair in named.items() for part in pair]
        # Isolated: neither our packages nor the user's may get into the environment.
        program = (str(place.python), "-I", str(place.recipe.worker), *arguments)
        super().__init__(WorkerCommand(program, self.backend, self.weights_sha256))
