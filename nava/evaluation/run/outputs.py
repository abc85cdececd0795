"""What a model made: which file of a folder belongs to which item."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from nava.evaluation.benchmark.item import Item
from nava.runtime.errors import InputError

MEDIA_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".wav", ".flac", ".mp3")
MAPPING_FILE = "outputs.jsonl"


def find_outputs(folder: Path, items: Sequence[Item]) -> tuple[dict[str, Path], list[str]]:
    """The file of each item, and the media in the folder that belong to none.

    A file `outputs.jsonl` with lines {"item_id", "path"} decides if it is there. Otherwise a file belongs to the item
    whose id, or id without its subset, it is named by, in the folder or in a folder of the subset's name; what models
    put behind the id (`-sample`, `_0`, `_seed42`) may follow it if there is only one such file.

    Raises:
        InputError: no such folder, a wrong line, a path that leads out of it, or two files for one item.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder of outputs")
    mapping = folder / MAPPING_FILE
    found = _mapped(mapping, items) if mapping.is_file() else _named(folder, items)
    used = {path.resolve() for path in found.values()}
    media = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in MEDIA_SUFFIXES]
    return found, [str(path.relative_to(folder)) for path in media if path.resolve() not in used]


def _mapped(mapping: Path, items: Sequence[Item]) -> dict[str, Path]:
    known, found = {item.item_id for item in items}, {}
    root = mapping.parent.resolve()
    for number, line in enumerate(mapping.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{mapping.name} line {number}"
        try:
            value = json.loads(line)
            item_id, name = str(value["item_id"]), str(value["path"])
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise InputError(f"{where}: must be an object with item_id and path") from error
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise InputError(f"{where}: path {name!r} leads out of the folder")
        if item_id not in known:
            raise InputError(f"{where}: the benchmark has no item {item_id!r}")
        found[item_id] = path
    return found


def _named(folder: Path, items: Sequence[Item]) -> dict[str, Path]:
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in MEDIA_SUFFIXES]
    by_stem: dict[tuple[str, str], list[Path]] = {}
    for path in files:
        by_stem.setdefault((path.parent.name, path.stem), []).append(path)
    stems = {item.item_id for item in items}
    found = {}
    for item in items:
        candidates = _exactly(item, folder, by_stem) or _beginning_with(item, files, stems)
        if len(candidates) > 1:
            names = ", ".join(path.name for path in candidates[:3])
            raise InputError(f"{folder}: several files for item {item.item_id}: {names}; say which in {MAPPING_FILE}")
        if candidates:
            found[item.item_id] = candidates[0]
    return found


def _exactly(item: Item, folder: Path, by_stem: dict[tuple[str, str], list[Path]]) -> list[Path]:
    bare = item.item_id.removeprefix(f"{item.subset}-")
    places = [(folder.name, item.item_id), (item.subset, bare), (item.subset, item.item_id)]
    found = [path for place in dict.fromkeys(places) for path in by_stem.get(place, [])]
    # A video has its sound: a recording beside it is a copy of that.
    videos = [path for path in found if path.suffix.lower() in MEDIA_SUFFIXES[:4]]
    return videos or found


def _beginning_with(item: Item, files: Sequence[Path], stems: set[str]) -> list[Path]:
    pattern = re.compile(re.escape(item.item_id) + r"[-_](sample|seed)?[-_]?\d*$")
    return [path for path in files if pattern.fullmatch(path.stem) and path.stem not in stems]
