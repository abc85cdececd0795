"""Workers of the standard library alone, with the protocol's lines of a real one, and environments that hold them."""

import sys
from pathlib import Path

import numpy as np

from nava.evaluation.environments.recipe import RECIPES, STAMP_VERSION, Environment, Recipe
from nava.evaluation.extraction.environment_worker import WorkerCommand
from nava.runtime.hashing import sha256_file
from nava.runtime.storage import write_json

PROTOCOL_BEGINS = "# Protocol 1."
RATE_HZ = 16_000
HEAD = '''"""A worker for tests."""
from __future__ import annotations

import argparse
import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path
from typing import Any


class Honest:
    """Says how long the sound is."""

    def __init__(self, weights: str, sha256: str, device: str) -> None:
        self.weights_sha256 = verified_sha256(Path(weights), sha256) if weights else None
        self.weights, self.pid = weights, os.getpid()

    def extract(self, audio):
        with wave.open(str(audio)) as file:
            shape = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            return {"seconds": file.getnframes() / file.getframerate(), "shape": shape, "pid": self.pid}, {}


class Arrays(Honest):
    def extract(self, audio):
        import numpy

        with wave.open(str(audio)) as file:
            pcm_N = numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16)
        return {}, {"pcm_N": pcm_N}


class Noisy(Honest):
    """What libraries do: print, write to the descriptor, start programs that print, break the line."""

    def extract(self, audio):
        print("loading 100%|####| {not json")
        os.write(1, b"\\x00\\xff{\\"id\\": 1, \\"ok\\": true, \\"values\\": {\\"seconds\\": -1}}\\n")
        subprocess.run([sys.executable, "-c", "print('child')"], check=True)
        sys.stdout.write("no end of line")
        sys.stdout.flush()
        return super().extract(audio)


class Ending(Honest):
    """Ends while it works; the first `weights` bytes of a file count how often it still will."""

    def extract(self, audio):
        left = Path(os.environ["HOME"]) / "ends_left"
        count = int(left.read_text())
        if count:
            left.write_text(str(count - 1))
            print("out of memory, says the library", file=sys.stderr, flush=True)
            os._exit(9)
        return super().extract(audio)


class Hanging(Honest):
    """Hangs over sound longer than a second."""

    def extract(self, audio):
        values, arrays = super().extract(audio)
        if values["seconds"] > 1:
            time.sleep(600)
        return values, arrays


class Unmeasurable(Honest):
    def extract(self, audio):
        raise UnmeasurableError("there is no voice in it")


class Failing(Honest):
    def extract(self, audio):
        raise ValueError("the library does not like it")


class NotFinite(Honest):
    def extract(self, audio):
        return {"seconds": float("nan")}, {}


class Unopened(Honest):
    def __init__(self, weights, sha256, device):
        raise RuntimeError("the shared library cannot be loaded")


def library():
    return "tiny 1"


BACKENDS = {
    kind.__name__.lower(): kind
    for kind in (Honest, Arrays, Noisy, Ending, Hanging, Unmeasurable, Failing, NotFinite, Unopened)
}


'''


def protocol_lines(worker: Path) -> str:
    """The part of a worker that all have in common."""
    _, found, lines = worker.read_text().partition(PROTOCOL_BEGINS)
    assert found, worker
    return found + lines


def tiny_worker(folder: Path, head: str = HEAD) -> Path:
    """A worker file with several backends."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "worker.py"
    path.write_text(head + protocol_lines(RECIPES / "resemblyzer" / "worker.py"))
    return path


def command(worker: Path, backend: str = "honest", **changes: object) -> WorkerCommand:
    """How to start it with this interpreter; a generous time for the hello, it starts beside other work."""
    arguments = (sys.executable, "-I", str(worker), "--backend", backend)
    return WorkerCommand(arguments, backend, **changes)  # type: ignore[arg-type]


def tiny_recipe(folder: Path, requirements: str = "", head: str = HEAD) -> Recipe:
    """A recipe that needs next to nothing."""
    tiny_worker(folder, head)
    (folder / "requirements.txt").write_text(requirements)
    return Recipe(folder.name, folder)


def pretend_made(recipe: Recipe, place: Path) -> Environment:
    """An environment whose interpreter is this one."""
    environment = Environment(recipe, place)
    environment.python.parent.mkdir(parents=True)
    environment.python.symlink_to(sys.executable)
    stamp = {"schema_version": STAMP_VERSION, "sha256": recipe.sha256, "library": "tiny 1"}
    write_json(environment.stamp, stamp | {"requirements_sha256": recipe.requirements_sha256})
    return environment


def sound(path: Path, seconds: float = 0.5) -> Path:
    """A tone as a file."""
    from nava.generation.media import write_wav

    times_N = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    write_wav(path, (0.3 * np.sin(2 * np.pi * 440 * times_N)).astype(np.float32), RATE_HZ)
    return path


def weights(folder: Path) -> tuple[str, str]:
    """A file that serves as weights, and its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "net.pt"
    path.write_bytes(b"some weights")
    return str(path), sha256_file(path)
