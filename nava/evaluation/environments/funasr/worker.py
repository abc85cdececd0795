"""What is said, by FunASR's recognisers in an environment of its own (section 1.7 of the evaluation reference).

A program for the interpreter of that environment; it does not import nava. How it speaks: docs/environments.md.
Nothing is fetched: every connection to another machine is refused.
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

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
# Of a folder of weights as ModelScope has it. Without one of them FunASR would guess, or leave weights random.
FILES = ("model.pt", "config.yaml", "am.mvn")
# The published settings add noise below the last bit, unseeded: the same file would give other texts.
REPEATABLE = {"dither": 0.0}
SENSEVOICE_FOLDER, VAD_FOLDER = "SenseVoiceSmall", "fsmn-vad"


class ParaformerZh:
    """Paraformer large, Chinese, as Seed-TTS-eval uses it: no voice activity detection, no punctuation.

    Args:
        weights: folder of `speech_seaco_paraformer_large_asr_nat-zh-cn-16k-common-vocab8404-pytorch`.
        sha256: what its hash must be.
        device: where it computes.
    """

    def __init__(self, weights: str, sha256: str, device: str) -> None:
        folder = Path(weights)
        self.weights_sha256 = verified_sha256(folder, sha256)
        self._model = _model(device, model=_published(folder))

    def extract(self, audio: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """`text` in simplified characters, empty if nothing was understood."""
        import zhconv  # type: ignore[import-not-found]

        found = self._model.generate(input=str(audio), batch_size_s=300)
        return {"text": zhconv.convert(_text(found), "zh-cn")}, {}


class SensevoiceSmall:
    """SenseVoiceSmall behind fsmn-vad as Verse-Bench uses it; how stretches are joined is the model card's way.

    Args:
        weights: folder with the folders `SenseVoiceSmall` and `fsmn-vad`, each as ModelScope has it.
        sha256: what its hash must be.
        device: where it computes.
    """

    def __init__(self, weights: str, sha256: str, device: str) -> None:
        folder = Path(weights)
        self.weights_sha256 = verified_sha256(folder, sha256)
        self._model = _model(
            device,
            model=_published(folder / SENSEVOICE_FOLDER),
            vad_model=_published(folder / VAD_FOLDER),
            vad_kwargs={"max_single_segment_time": 30_000, "frontend_conf": dict(REPEATABLE)},
        )

    def extract(self, audio: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """`text` with punctuation and numbers as they are written; empty if nothing was understood."""
        from funasr.utils import postprocess_utils  # type: ignore[import-not-found]

        found = self._model.generate(
            input=str(audio),
            cache={},
            language="auto",
            use_itn=True,
            batch_size_s=60,
            merge_vad=True,
            merge_length_s=15,
        )
        text = _text(found)
        return {"text": postprocess_utils.rich_transcription_postprocess(text) if text else ""}, {}


def _published(folder: Path) -> str:
    if absent := [name for name in FILES if not (folder / name).is_file()]:
        raise ValueError(f"{folder} lacks {', '.join(absent)}: copy the folder as ModelScope has it")
    return str(folder)


def _model(device: str, **models: Any) -> Any:
    import funasr  # type: ignore[import-not-found]
    import torch

    return funasr.AutoModel(
        **models,
        frontend_conf=dict(REPEATABLE),
        device=device,
        ncpu=torch.get_num_threads(),
        disable_update=True,
        disable_pbar=True,
        disable_log=True,
        trust_remote_code=False,
    )


def _text(found: list[dict[str, Any]]) -> str:
    """Of the one file that was asked for. A recogniser that hears no speech may give no entry, or one without text."""
    return str(found[0].get("text", "")) if found else ""


def stay_offline() -> None:
    """From here on no connection to another machine is made, whatever a library has in mind."""
    os.environ.update(OFFLINE)

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo"):
            wanted = arguments[1] if event == "socket.connect" else arguments[0]
            raise ConnectionRefusedError(f"this worker stays offline, and something wanted {wanted!r}")

    sys.addaudithook(refuse)


def library() -> str:
    """Name and version of the library, once it has been imported."""
    stay_offline()
    import funasr

    # The name is only there if all that it needs could be imported.
    return f"{funasr.AutoModel.__module__.partition('.')[0]} {funasr.__version__}"


BACKENDS: dict[str, Callable[[str, str, str], Any]] = {
    "paraformer_zh": ParaformerZh,
    "sensevoice_small": SensevoiceSmall,
}


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
