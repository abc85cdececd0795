"""Answers on disk by the content hash of what was asked: a killed run pays for nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nava.data.annotation.endpoint import Endpoint
from nava.data.annotation.request import Request, Usage
from nava.runtime.storage import write_json

ANSWERS_DIR = "answers"


class ResponseCache:
    """One small JSON file per answer, written atomically; safe for any number of threads and processes.

    Args:
        folder: of the cache, made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Where the answer of a key lies; two hex digits per folder keep folders short."""
        return self.folder / ANSWERS_DIR / key[:2] / f"{key}.json"

    def read(self, key: str) -> Any | None:
        """The answer, or None where there is none, or none that can be read."""
        try:
            record = json.loads(self.path(key).read_text())
            return record["answer"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, key: str, answer: Any, request: Request, endpoint: Endpoint, usage: Usage) -> None:
        """Keep an answer and what it was the answer to."""
        record = {
            "answer": answer,
            "provider": endpoint.provider,
            "model": endpoint.model,
            "form": f"{request.form.name}.{request.form.version}",
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
        }
        write_json(self.path(key), record)
