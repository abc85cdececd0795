"""The files that each model's own inference script reads, written for a benchmark's items.

Each writer fills a folder and says for every item how the name of its output will begin. Pictures and voices are named
by absolute path. Where each form was read is in `nava.evaluation.layouts.forms`.
"""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nava.evaluation.benchmark.item import Item
from nava.evaluation.run.requests import noise_seed
from nava.rewriting.formats import ModelInput
from nava.rewriting.rewritten_item import RewrittenItem
from nava.runtime.storage import write_text

# NAVA's release documents two voices for a prompt (nava-release.md, 2.1).
RELEASE_VOICES = 2


@dataclass(frozen=True)
class Ready:
    """An item as a model is about to get it.

    Attributes:
        item: of the benchmark.
        rewritten: its scene.
        given: the model's text inputs.
        picture: absolute path, if the model is to get one.
        voice: absolute path of the reference voice, if the model is to get one.
    """

    item: Item
    rewritten: RewrittenItem
    given: ModelInput
    picture: Path | None
    voice: Path | None

    @property
    def item_id(self) -> str:
        """Of the item."""
        return self.item.item_id

    @property
    def text(self) -> str:
        """The prompt, of models that have one."""
        return self.given.inputs["prompt"]


@dataclass(frozen=True)
class Placed:
    """Where an item stands in the model's files; attributes as in `nava.evaluation.layouts.asked.Asked`."""

    item_id: str
    stem: str
    expected: str
    inputs: dict[str, Any]
    batch: str = ""
    index: int = -1


Writer = Callable[[Path, Sequence[Ready], int], list[Placed]]


def ovi(folder: Path, ready: Sequence[Ready], seed: int) -> list[Placed]:
    """`i2v.csv` of the items with a picture, `t2v.csv` of the others: in its mode i2v every line must have one."""
    placed = []
    for batch in ("i2v", "t2v"):
        own = [one for one in ready if (one.picture is not None) == (batch == "i2v")]
        if not own:
            continue
        with (folder / f"{batch}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            writer.writerow(["text_prompt", "image_path"])
            writer.writerows([one.text, str(one.picture or "")] for one in own)
        for index, one in enumerate(own):
            inputs = {"text_prompt": one.text} | ({"image_path": str(one.picture)} if one.picture else {})
            stem = ovi_stem(one.text)
            placed.append(Placed(one.item_id, stem, f"{stem}_HxW_SEED_RANK_NUMBER.mp4", inputs, batch, index))
    return placed


def ovi_stem(prompt: str) -> str:
    """What Ovi leaves of a prompt in a file's name: no tags, underscores for spaces and slashes, 50 characters."""
    return re.sub(r"<[^>\n]*>", "", prompt).replace(" ", "_").replace("/", "_")[:50]


def release_stem(line: int, prompt: str) -> str:
    """What NAVA's release makes of line and prompt: 20 characters, and nothing from the last dot on."""
    words = prompt[:20].replace(" ", "_").replace("/", "_")
    return f"idx{line}_{words}".rsplit(".", 1)[0]


def nava_release(folder: Path, ready: Sequence[Ready], seed: int) -> list[Placed]:
    """`prompts.jsonl`: prompt, image_path, spk_wavs; the i-th voice is that of the i-th speech."""
    placed, lines = [], []
    for index, one in enumerate(ready):
        value = _nava_line(one, RELEASE_VOICES)
        lines.append(json.dumps(value, ensure_ascii=False))
        stem = release_stem(index, one.text)
        placed.append(
            Placed(one.item_id, stem, f"{stem}-av-TURN.mp4", value, "", index),
        )
    write_text(folder / "prompts.jsonl", "".join(f"{line}\n" for line in lines))
    return placed


def nava(folder: Path, ready: Sequence[Ready], seed: int) -> list[Placed]:
    """`requests.jsonl` for `nava generate --requests`."""
    placed, lines = [], []
    for index, one in enumerate(ready):
        value = {"id": one.item_id, **_nava_line(one, len(one.rewritten.spans)), "seed": noise_seed(seed, one.item_id)}
        lines.append(json.dumps(value, ensure_ascii=False))
        placed.append(Placed(one.item_id, one.item_id, f"{one.item_id}.mp4", value, "", index))
    write_text(folder / "requests.jsonl", "".join(f"{line}\n" for line in lines))
    return placed


def _nava_line(one: Ready, most_voices: int) -> dict[str, Any]:
    value: dict[str, Any] = {"prompt": one.text}
    if one.picture:
        value["image_path"] = str(one.picture)
    # The benchmark has one voice: where several people speak, it says not whose it is.
    if one.voice and len(one.rewritten.speakers) == 1:
        value["spk_wavs"] = [str(one.voice)] * min(len(one.rewritten.spans), most_voices)
    return value


def seed_tts_list(folder: Path, ready: Sequence[Ready], seed: int) -> list[Placed]:
    """`meta.lst` of Seed-TTS-eval: utt|prompt_text|prompt_wav|infer_text, the voice by absolute path."""
    placed, lines = [], []
    for index, one in enumerate(ready):
        given = {name: " ".join(value.split()) for name, value in one.given.inputs.items() if name != "reference_voice"}
        voice = str(one.voice)
        lines.append("|".join([one.item_id, given["reference_text"], voice, given["text"]]))
        inputs = {**given, "reference_voice": voice}
        placed.append(Placed(one.item_id, one.item_id, f"{one.item_id}.wav", inputs, "", index))
    write_text(folder / "meta.lst", "".join(f"{line}\n" for line in lines))
    return placed


def dreamid_omni(folder: Path, ready: Sequence[Ready], seed: int) -> list[Placed]:
    """`test_case/oneip/`: imgs/ID/ID.png, audios/ID/ID.wav and captions/ID.json; picture and voice are links."""
    placed = []
    root = folder / "test_case" / "oneip"
    for index, one in enumerate(ready):
        assert one.picture is not None
        assert one.voice is not None
        for place, source in ((f"imgs/{one.item_id}", one.picture), (f"audios/{one.item_id}", one.voice)):
            (root / place).mkdir(parents=True, exist_ok=True)
            suffix = ".png" if place.startswith("imgs") else ".wav"
            (root / place / f"{one.item_id}{suffix}").symlink_to(source)
        write_text(root / "captions" / f"{one.item_id}.json", json.dumps(one.text, ensure_ascii=False))
        stem = f"oneip_{one.item_id}"
        inputs = {"prompt": one.text, "picture": str(one.picture), "voice": str(one.voice)}
        placed.append(Placed(one.item_id, stem, f"{stem}_HxW_SEED_RANK.mp4", inputs, "", index))
    return placed


@dataclass(frozen=True)
class CommandLine:
    """Writer for scripts that make one clip per call: `prompts/ID.txt`, and `run.sh` that calls the script for each.

    Attributes:
        picture: option of the picture; of its values, `{}` is the path.
        output: option of the output, whose value is the folder of outputs and `named`.
        named: the value's name in that folder, with `{}` for the item's id.
        made: shell pattern of the files that the script writes then, with `{}` for the quoted id.
        expected: the file's name for people, with `{}` for the item's id.
    """

    picture: tuple[str, ...]
    output: str
    named: str
    made: str
    expected: str

    def __call__(self, folder: Path, ready: Sequence[Ready], seed: int) -> list[Placed]:
        """Write the files."""
        lines, placed = [_HEAD], []
        for index, one in enumerate(ready):
            write_text(folder / "prompts" / f"{one.item_id}.txt", one.text + "\n")
            lines.append(self._call(one, seed))
            inputs = {"prompt": one.text, "seed": seed} | ({"image_path": str(one.picture)} if one.picture else {})
            expected = self.expected.format(one.item_id)
            placed.append(Placed(one.item_id, one.item_id, expected, inputs, "", index))
        write_text(folder / "run.sh", "".join([*lines, _TAIL]))
        return placed

    def _call(self, one: Ready, seed: int) -> str:
        name = shlex.quote(one.item_id)
        picture = [shlex.quote(part.format(one.picture)) for part in self.picture] if one.picture else []
        text = f'--prompt "$(cat "$here"/prompts/{shlex.quote(one.item_id + ".txt")})"'
        call = " ".join(['"$@"', text, *picture, "--seed", str(seed)])
        output = f'{self.output} "$outputs"/{shlex.quote(self.named.format(one.item_id))}'
        return f'made "$outputs"/{self.made.format(name)} || {call} {output} || failed=$((failed + 1))\n'


_HEAD = """#!/bin/sh
# sh run.sh OUTPUTS COMMAND...: COMMAND is the model's own, with all that is the same for every item.
# What is there already is not made again.
set -u
[ $# -ge 2 ] || { echo "usage: sh run.sh OUTPUTS COMMAND..." >&2; exit 2; }
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd) || exit 1
mkdir -p -- "$1" || exit 1
outputs=$(CDPATH= cd -- "$1" && pwd) || exit 1
shift
failed=0
made() { [ -e "$1" ]; }
"""
_TAIL = """[ "$failed" -eq 0 ] || { echo "$failed items failed" >&2; exit 1; }
"""
