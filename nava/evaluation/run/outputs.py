"""What a model made: which file of a folder belongs to which item."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nava.evaluation.benchmark.item import Item
from nava.evaluation.layouts.asked import RequestFile
from nava.evaluation.layouts.assign import assign_outputs
from nava.evaluation.layouts.layout import DEFAULT, output_layout
from nava.runtime.errors import InputError
from nava.runtime.storage import write_text

MEDIA_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".wav", ".flac", ".mp3")
MAPPING_FILE = "outputs.jsonl"


def find_outputs(
    folder: Path, items: Sequence[Item], layout: str = DEFAULT, requests: RequestFile | None = None
) -> tuple[dict[str, Path], list[str]]:
    """The file of each item, and the media in the folder that belong to none.

    A file `outputs.jsonl` with lines {"item_id", "path"} decides if it is there. Otherwise a file belongs to the item
    whose id, or id without its subset, it is named by, in the folder or in a folder of the subset's name; what models
    put behind the id (`-sample`, `_0`, `_seed42`) may follow it if there is only one such file.

    Args:
        folder: of the outputs.
        items: of the benchmark.
        layout: a model of `nava.evaluation.layouts.layout.OUTPUT_LAYOUTS`, whose script named the files.
        requests: what that model was asked.

    Raises:
        InputError: no such folder or layout, a wrong line, a path that leads out of it, two files for one item, or what
            `assign_outputs` refuses.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder of outputs")
    own = None if layout == DEFAULT else output_layout(layout)
    mapping = folder / MAPPING_FILE
    if mapping.is_file():
        found = _mapped(mapping, items)
    else:
        found = assign_outputs(folder, own, items, requests) if own else _named(folder, items)
    used = {path.resolve() for path in found.values()}
    media = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in MEDIA_SUFFIXES]
    return found, [str(path.relative_to(folder)) for path in media if path.resolve() not in used]


def names_in(folder: Path, found: Mapping[str, Path]) -> dict[str, str]:
    """Found files by their names relative to the folder."""
    # Paths of a mapping are resolved, others are as they were found: links among them may lead elsewhere.
    root = folder.resolve()
    return {item: str(path.relative_to(root if path.is_relative_to(root) else folder)) for item, path in found.items()}


def write_mapping(path: Path, names: Mapping[str, str]) -> None:
    """The file of each item as `outputs.jsonl`; names are relative to the folder of outputs."""
    lines = (json.dumps({"item_id": item, "path": name}, ensure_ascii=False) for item, name in sorted(names.items()))
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_mapping(path: Path) -> dict[str, str]:
    """The names that `write_mapping` wrote; none where there is no such file."""
    if not path.is_file():
        return {}
    values = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return {value["item_id"]: value["path"] for value in values}


def _mapped(mapping: Path, items: Sequence[Item]) -> dict[str, Path]:
    known = {item.item_id for item in items}
    found: dict[str, Path] = {}
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
        if not path.is_file():
            raise InputError(f"{where}: there is no file {name!r} in {root}")
        if item_id in found:
            raise InputError(f"{where}: item {item_id!r} is there a second time")
        if path in found.values():
            raise InputError(f"{where}: the file {name!r} is there a second time, for another item")
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
