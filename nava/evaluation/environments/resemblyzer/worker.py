"""Whose voice it is, by Resemblyzer in an environment of its own (sections 2.1 and 2.2 of the evaluation reference).

A program for the interpreter of that environment; it does not import nava. How it speaks: docs/environments.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

RATE_HZ = 16_000


class Resemblyzer:
    """The GE2E encoder whose weights lie in the wheel.

    Args:
        weights: empty for those of the wheel, or a file of its layout.
        sha256: what their hash must be.
        device: where it computes.
    """

    def __init__(self, weights: str, sha256: str, device: str) -> None:
        import resemblyzer  # type: ignore[import-not-found]

        path = Path(weights) if weights else Path(resemblyzer.__file__).parent / "pretrained.pt"
        self.weights_sha256 = verified_sha256(path, sha256)
        self._encoder = resemblyzer.VoiceEncoder(device, verbose=False, weights_fpath=path)

    def extract(self, audio: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """`voiced_s`, and `embedding_D` [256] of unit length, of the voiced parts of a 16 kHz mono file."""
        import numpy as np
        import resemblyzer

        samples_N = _samples(audio)
        if not samples_N.any():
            raise UnmeasurableError("the sound is silent: there is no voice in it")
        voiced_N = resemblyzer.preprocess_wav(samples_N)
        if not len(voiced_N):
            raise UnmeasurableError("no voice is heard in the sound")
        embedding_D = self._encoder.embed_utterance(voiced_N).astype(np.float32)
        return {"voiced_s": len(voiced_N) / RATE_HZ}, {"embedding_D": embedding_D}


def _samples(audio: Path) -> Any:
    """Float32 [N] of a 16-bit mono file."""
    import wave

    import numpy as np

    with wave.open(str(audio)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE_HZ, 1, 2):
            raise ValueError(f"{audio.name} is not 16-bit mono sound at {RATE_HZ} Hz")
        pcm = file.readframes(file.getnframes())
    return np.frombuffer(pcm, np.int16).astype(np.float32) / 32_768


def library() -> str:
    """Name and version of the library, once it has been imported and has computed something."""
    from importlib.metadata import version

    import numpy as np
    import resemblyzer

    # What is compiled on first use takes a minute once: the time for a file must not pay for it.
    resemblyzer.wav_to_mel_spectrogram(np.zeros(RATE_HZ, np.float32))
    return f"Resemblyzer {version('Resemblyzer')}"


BACKENDS: dict[str, Callable[[str, str, str], Any]] = {"resemblyzer": Resemblyzer}


# Protocol 1. From here on every worker has the same lines: a worker is one file, and a test holds them together.
PROTOCOL = 1


class UnmeasurableError(Exception):
    """The file has none of what is looked for; the message says why."""


def verified_sha256(path: Path, sha256: str) -> str:
    """The hash of a file, or of a folder's paths and files; before anything is loaded. ValueError if it is another."""
    if not path.exists():
        raise ValueError(f"there are no weights at {path}")
    if path.is_dir():
        inside = sorted((one for one in path.rglob("*") if one.is_file()), key=lambda one: one.relative_to(path).parts)
        listing = "".join(f"{one.relative_to(path).as_posix()}\0{_file_sha256(one)}\n" for one in inside)
        found = hashlib.sha256(listing.encode()).hexdigest()
    else:
        found = _file_sha256(path)
    if found != sha256:
        raise ValueError(f"the weights {path} have sha256 {found}, but {sha256 or 'none'} is named for them")
    return found


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listen() -> queue.SimpleQueue[str]:
    """Requests as they come. When the parent closes its end or dies, this process ends, whatever it is doing."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return lines


def answered(backend: Any, line: str) -> str:
    """The answer to a request, as a line of JSON; arrays are in the file that it names."""
    request: dict[str, Any] = {}
    try:
        request = json.loads(line)
        values, arrays = backend.extract(Path(request.get("audio") or request["media"]))
        if arrays:
            from safetensors.numpy import save_file

            save_file(arrays, request["output"])
        return json.dumps({"id": request["id"], "ok": True, "values": values}, allow_nan=False)
    except UnmeasurableError as error:
        return json.dumps({"id": request.get("id"), "unmeasurable": str(error)})
    # What goes wrong with one file is none of the next one's business.
    except Exception as error:
        return json.dumps({"id": request.get("id"), "error": f"{type(error).__name__}: {error}"})


def main() -> None:
    """Say hello, then answer until the parent goes; with --check only import the library and say hello."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--backend", choices=list(BACKENDS))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--weights", default="")
    parser.add_argument("--sha256", default="")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    # Libraries print; what they print is for the log, and nothing but answers may go where answers go.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines = None if options.check else listen()
    try:
        hello: dict[str, Any] = {"protocol": PROTOCOL, "library": library()}
        if lines:
            backend = BACKENDS[options.backend](options.weights, options.sha256, options.device)
            hello |= {"backend": options.backend, "weights_sha256": backend.weights_sha256}
    except Exception as error:
        hello = {"protocol": PROTOCOL, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(hello), file=answers, flush=True)
    while lines and "error" not in hello:
        print(answered(backend, lines.get()), file=answers, flush=True)


if __name__ == "__main__":
    main()
