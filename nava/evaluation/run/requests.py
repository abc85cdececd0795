"""A benchmark's items as the requests that `nava generate --requests` and its batches take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nava.evaluation.benchmark.item import Item
from nava.runtime.hashing import sha256_bytes
from nava.runtime.storage import write_text


def noise_seed(seed: int, item_id: str) -> int:
    """The seed of an item's noise: items that share a prompt must not be one clip, which no shuffling could spoil."""
    return int(sha256_bytes(f"{seed}/{item_id}".encode())[:7], 16)


def request_of(item: Item, seed: int, *, with_image: bool, with_voice: bool) -> dict[str, Any]:
    """One line: the prompt with what is to be heard and said, the first frame and the voice where the item has them."""
    parts = [item.prompt.strip()]
    if item.audio_prompt:
        parts.append(item.audio_prompt.strip())
    parts += [f"<S>{part.text.strip()}<E>" for part in item.speech]
    value: dict[str, Any] = {"id": item.item_id, "prompt": " ".join(parts), "seed": noise_seed(seed, item.item_id)}
    if with_image and item.first_frame is not None:
        value["image_path"] = str(item.first_frame.resolve())
    if with_voice and item.reference_voice is not None and item.speech:
        value["spk_wavs"] = [str(item.reference_voice.resolve())] * len(item.speech)
    return value


def write_requests(
    path: Path, items: Sequence[Item], seed: int, *, with_image: bool = True, with_voice: bool = True
) -> None:
    """A JSONL file of all items, each with noise of its own that `seed` decides."""
    lines = (request_of(item, seed, with_image=with_image, with_voice=with_voice) for item in items)
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
