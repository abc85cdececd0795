"""Puts the tables of results/guidance.json into guidance.md: `python benchmarks/guidance_tables.py`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
BEGIN, END = "<!-- tables: made by guidance_tables.py -->", "<!-- end of tables -->"
NAMES = {
    "flash": "demo, flash",
    "flash, masks per sample": "demo, flash, masks for each sample",
    "flash, longer": "demo, flash, five times stage 3",
    "impact": "impacts alone",
    "impact, longer": "impacts alone, five times stage 3",
    "talk": "talking faces alone, voices",
    "talk, longer": "talking faces alone, voices, five times stage 3",
}
ABOUT_TIMBRE = """\
Cosine of the embedded voice encoder (`mel_statistics`) between sound that was made and the voice given,
by models of the corpus of talking faces; sound alone."""
ABOUT_TASKS = """\
The demo's corpus with voices; of the audio-video micro-batches T2AV : TI2AV : T2V : TIA2AV = 2 : 1 : 1 : 1,
T2A as the stages say. Validation on fixed noise, averaged weights, before and after each stage."""
Row = Mapping[str, Any]


def interval(row: Row, digits: int = 2) -> str:
    """`value [low, high]`."""
    value, low, high = (f"{row[name]:.{digits}f}" for name in ("value", "ci_low", "ci_high"))
    return f"{value} [{low}, {high}]"


def difference(row: Row) -> str:
    """An interval with its p value."""
    return f"{interval(row, 3)}, p {row['wilcoxon_p']:.2g}"


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> list[str]:
    """Markdown lines."""
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]


def alignment(found: Mapping[str, Row]) -> list[str]:
    """Gaps with the scale on and off."""

    def rows() -> Iterator[Sequence[str]]:
        for name in (name for name in NAMES if name in found):
            row = found[name]
            for seed, by_seed in row["by_seed"].items():
                gaps = [interval(by_seed["on"]), interval(by_seed["off"]), difference(by_seed["on_minus_off"])]
                yield [f"{NAMES[name]} (n = {row['clips']})", seed, *gaps]
            if over := row["over_seeds"]:
                gaps = [interval(over["on"]), interval(over["off"]), interval(over["on_minus_off"], 3)]
                yield ["", "over seeds", *gaps]
            if "," not in name:
                yield ["", "the clips themselves, through the codecs", interval(row["through_the_codecs"]), "", ""]

    return table(["corpus, what is scored", "seed", "gap, on", "gap, off", "on minus off, Wilcoxon's p"], rows())


def timbre(found: Row) -> list[str]:
    """Likeness to the reference voice with the scale on and off, and without a voice."""
    means, differences = ("on", "off", "without_a_voice"), ("on_minus_off", "off_minus_without")

    def rows() -> Iterator[Sequence[str]]:
        for seed, row in found["by_seed"].items():
            yield [seed, *(interval(row[name], 3) for name in means), *(difference(row[name]) for name in differences)]
        yield ["over seeds", *(interval(found["over_seeds"][name], 3) for name in (*means, *differences))]

    own, others = (interval(found["through_the_codec"][name], 3) for name in ("own", "others"))
    head = ["seed", "on", "off", "no voice given", "on minus off", "off minus no voice"]
    note = f"n = {found['clips']}. Clips' own sounds through the codec: {own} with their voice, {others} with others'."
    return [*table(head, rows()), "", note]


def tasks(found: Mapping[str, Row]) -> list[str]:
    """Validation losses before and after each stage."""
    names = [name for name in found["stage1"] if name != "clips"]

    def rows() -> Iterator[Sequence[str]]:
        for name in names:
            yield [name, *("{:.3f} → {:.3f}".format(*stage[name]) for stage in found.values())]

    return table(["", "stage 1", "stage 2", "stage 3"], rows())


def tables(found: Mapping[str, Any]) -> str:
    """All tables with their headings."""
    lines = ["## Alignment scale 2 against 0", "", *alignment(found["alignment"]), ""]
    lines += ["## Timbre scale 3 against 0", "", ABOUT_TIMBRE, ""]
    for name, row in found["timbre"].items():
        lines += [f"{NAMES[name]}:", "", *timbre(row), ""]
    lines += ["## Five tasks and three stages", "", ABOUT_TASKS, ""]
    return "\n".join([*lines, *tasks(found["tasks"])])


def main() -> None:
    """Put the tables into the page."""
    page = FOLDER / "guidance.md"
    text = page.read_text()
    before, rest = text.split(BEGIN)
    made = tables(json.loads((FOLDER / "results" / "guidance.json").read_text()))
    page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
