"""Which file of a folder belongs to which item, by the way in which one model's script names its files.

A file is only given to an item on evidence: its stem fits that item alone, or rank and number of every file of the
folder agree with the request file. Anything else is an error that names the files, never a guess.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nava.evaluation.benchmark.item import Item
from nava.evaluation.layouts.asked import RequestFile
from nava.evaluation.layouts.layout import VIDEO, OutputLayout
from nava.runtime.errors import InputError


@dataclass(frozen=True)
class _Wanted:
    """An item's output: what its name begins with, and where it may lie (empty: anywhere)."""

    item_id: str
    stem: str
    place: str = ""
    batch: str = ""
    index: int = -1


@dataclass(frozen=True)
class _Found:
    """A file, what its name says behind the stem, and whose it may be."""

    path: Path
    tail: re.Match[str]
    fits: tuple[_Wanted, ...]


def assign_outputs(
    folder: Path, layout: OutputLayout, items: Sequence[Item], requests: RequestFile | None = None
) -> dict[str, Path]:
    """The file of each item, by its id; items without one are left out.

    Args:
        folder: searched with all that is below it.
        layout: of the model.
        items: of the benchmark.
        requests: what the model was asked; needed where files are named by the prompt.

    Raises:
        InputError: the request file is missing, two files for one item, a file that may be of several items, files of
            several runs, or a file of another request file.
    """
    if requests is None and layout.stems is None:
        raise InputError(
            f"layout {layout.name} names files by prompt ({layout.shown}): give the requests.json that "
            "`nava eval requests --for` wrote, with --requests"
        )
    wanted = _of_requests(requests, items) if requests else _of_ids(layout, items)
    tail = re.compile(layout.tail)
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in layout.suffixes or not path.is_file():
            continue
        if file := _fitting(path, tail, wanted):
            found.append(file)
        elif layout.index:
            _refuse_foreign(path, layout, wanted)
    return _chosen(_settled(found, wanted, layout), folder)


def _of_requests(requests: RequestFile, items: Sequence[Item]) -> list[_Wanted]:
    known = {item.item_id for item in items}
    if unknown := [entry.item_id for entry in requests.asked if entry.item_id not in known]:
        raise InputError(f"--requests have an item that the benchmark has not: {unknown[0]!r}")
    return [_Wanted(entry.item_id, entry.stem, "", entry.batch, entry.index) for entry in requests.asked]


def _of_ids(layout: OutputLayout, items: Sequence[Item]) -> list[_Wanted]:
    """By the item's id; in a folder of the subset's name, by the id without the subset as well."""
    assert layout.stems is not None
    wanted = []
    for item in items:
        wanted += [_Wanted(item.item_id, stem) for stem in layout.stems(item.item_id)]
        bare = item.item_id.removeprefix(f"{item.subset}-")
        if bare != item.item_id:
            wanted += [_Wanted(item.item_id, stem, item.subset) for stem in layout.stems(bare)]
    return wanted


def _fitting(path: Path, tail: re.Pattern[str], wanted: Iterable[_Wanted]) -> _Found | None:
    """Whose the file may be; of stems that begin alike, the longest."""
    fits: list[_Wanted] = []
    match = None
    for one in wanted:
        if not path.stem.startswith(one.stem) or one.place not in ("", path.parent.name):
            continue
        behind = tail.fullmatch(path.stem, len(one.stem))
        if behind is None or (fits and len(one.stem) < len(fits[0].stem)):
            continue
        if fits and len(one.stem) > len(fits[0].stem):
            fits = []
        fits.append(one)
        match = behind
    return _Found(path, match, tuple(fits)) if match else None


def _refuse_foreign(path: Path, layout: OutputLayout, wanted: Sequence[_Wanted]) -> None:
    """A file whose name has the number of a line, but not the words of that line."""
    match = re.match(layout.index, path.stem)
    if match is None:
        return
    line = int(match["index"])
    asked = next((one.stem for one in wanted if one.index == line), "")
    said = f"the requests have {asked!r} there" if asked else f"the requests have {len(wanted)} lines"
    raise InputError(
        f"{path.name}: it is of line {line} of another request file, {said}; give the requests.json of that run"
    )


def _settled(found: Sequence[_Found], wanted: Sequence[_Wanted], layout: OutputLayout) -> list[tuple[_Wanted, _Found]]:
    """Each file with its one item."""
    pairs: list[tuple[_Wanted, _Found]] = []
    for place in dict.fromkeys(file.path.parent for file in found):
        files = [file for file in found if file.path.parent == place]
        open_ones = [file for file in files if len(file.fits) > 1]
        pairs += [(file.fits[0], file) for file in files if len(file.fits) == 1]
        if not open_ones:
            continue
        by_number = _by_number(files, wanted) if layout.numbered else None
        if by_number is None:
            first = open_ones[0]
            owners = ", ".join(one.item_id for one in first.fits[:3])
            raise InputError(
                f"{first.path.name}: it may be of several items ({owners}), and the numbers of the files in {place} do "
                "not tell, since some are missing or of another run; say which in outputs.jsonl"
            )
        pairs += [(by_number[file.path], file) for file in open_ones]
    return pairs


def _by_number(files: Sequence[_Found], wanted: Sequence[_Wanted]) -> dict[Path, _Wanted] | None:
    """The line of each file by its rank and number, if that is beyond doubt.

    Lines go to ranks in turn and each rank counts its own (Ovi's inference.py): line = place of the rank + number * how
    many ranks there are.
    It holds for a whole run only: every line once, and each file's name must fit the line that it is given.
    """
    ranks = sorted({int(file.tail["rank"]) for file in files})
    lines = {file.path: ranks.index(int(file.tail["rank"])) + int(file.tail["number"]) * len(ranks) for file in files}
    agreeing = []
    for batch in dict.fromkeys(one.batch for one in wanted):
        by_line = {one.index: one for one in wanted if one.batch == batch}
        if sorted(lines.values()) == sorted(by_line) and all(by_line[lines[file.path]] in file.fits for file in files):
            agreeing.append({path: by_line[line] for path, line in lines.items()})
    return agreeing[0] if len(agreeing) == 1 else None


def _chosen(pairs: Sequence[tuple[_Wanted, _Found]], folder: Path) -> dict[str, Path]:
    """One file for each item; a recording beside its video is a copy of that."""
    chosen: dict[str, Path] = {}
    for item_id in dict.fromkeys(one.item_id for one, _ in pairs):
        files = {file.path: file for one, file in pairs if one.item_id == item_id}
        videos = [path for path in files if path.suffix.lower() in VIDEO]
        left = videos or list(files)
        if len(left) > 1:
            told = ", ".join(f"{path.relative_to(folder)}{_run(files[path])}" for path in left[:3])
            raise InputError(
                f"{folder}: several files for item {item_id}: {told}; keep one, or say it in outputs.jsonl"
            )
        chosen[item_id] = left[0]
    _refuse_mixed([file for _, file in pairs if file.path in chosen.values()], folder)
    return chosen


def _refuse_mixed(files: Sequence[_Found], folder: Path) -> None:
    """Files of several runs of a model are not the outputs of one."""
    counts = Counter(told for file in files if (told := _run(file)))
    if len(counts) > 1:
        told = ", ".join(f"{count} files{run}" for run, count in counts.most_common())
        raise InputError(f"{folder}: outputs of several runs: {told}; keep those of one, or say which in outputs.jsonl")


def _run(file: _Found) -> str:
    """What tells runs apart in a file's name."""
    named = {name: value for name, value in file.tail.groupdict().items() if name in ("seed", "turn")}
    return "".join(f" ({name} {value})" for name, value in named.items())
