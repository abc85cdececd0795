"""Claim: curation finds cuts, subtitles, copies, offsets and broken files as often as it promises. What is measured
and what came out is in `data_accuracy.md`.

Generates the labelled corpus (recipe `labelled`), curates it with `nava data curate`, and compares every record with
the truth, each figure with n and a 95 % interval. Writes `data_accuracy.json` and `data_accuracy_table.md` into
`benchmarks/results`. Command: `python benchmarks/data_accuracy.py --seeds 0 1` (what is complete in `--work` is not
done again). `--curated DIR --labels DIR` scores a curated folder that is there already; `--real-media` curates the
clips that installed packages carry, and only lists what became of them. Ends with 1 if a promise is broken.
"""

import argparse
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.data_accuracy_corpus import Corpus, pool, read_corpus  # noqa: E402
from benchmarks.data_accuracy_media import link_media  # noqa: E402
from benchmarks.data_accuracy_report import confusion_table, markdown_table, terminal_table, to_json  # noqa: E402
from benchmarks.data_accuracy_scores import score  # noqa: E402
from benchmarks.data_accuracy_sound import confusion  # noqa: E402
from nava.artifacts.clip_manifest import read_clips  # noqa: E402
from nava.config.composition import compose  # noqa: E402
from nava.runtime.storage import write_json, write_text  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
TABLE = "data_accuracy_table.md"


def _run(*arguments: str) -> None:
    command = [sys.executable, "-m", "nava.cli", *arguments]
    print("$", shlex.join(["nava", *arguments]), flush=True)
    subprocess.run(command, check=True, cwd=ROOT)


def generate_and_curate(work: Path, recipe: str, seed: int) -> Corpus:
    """The labelled corpus of one seed, made, curated and read; both commands leave alone what is complete."""
    raw, curated = work / f"seed{seed}" / "raw", work / f"seed{seed}" / "curated"
    _run("data", "synthetic", "--recipe", recipe, "--seed", str(seed), "--output", str(raw))
    _run("data", "curate", "--source", str(raw / "media"), "--out", str(curated), "--recipe", recipe)
    return read_corpus(curated, raw, min_av_conf(recipe), f"seed{seed}")


def min_av_conf(recipe: str) -> float:
    """From which confidence the recipe believes an offset."""
    return float(compose(recipe).config["curation"]["filters"]["min_av_conf"])


def curate_real_media(work: Path, recipe: str) -> None:
    """Curate real clips and list the records: there is no truth to compare them with, somebody has to look."""
    media, curated = work / "real" / "media", work / "real" / "curated"
    for path in link_media(media):
        print(path)
    _run("data", "curate", "--source", str(media), "--out", str(curated), "--recipe", recipe)
    rows = read_clips(curated).to_pylist()
    for row in rows:
        times = "" if row["t1_us"] is None else f"{row['t0_us'] / 1e6:8.2f}-{row['t1_us'] / 1e6:.2f} s"
        print(
            f"{row['src_path']} {times} {row['drop_reason'] or row['status']}: {row['detail'] or row['caption'] or ''}"
        )
    print(dict(Counter(row["drop_reason"] or row["status"] for row in rows)))


def report(corpus: Corpus, seeds: Sequence[int], out: Path) -> bool:
    """Print the table, write JSON and Markdown into the folder `out`.

    Returns:
        Whether every promise is kept.
    """
    scores, tags = score(corpus), confusion(corpus)
    print(terminal_table(scores))
    print(confusion_table(tags))
    command = shlex.join(["python", *sys.argv])
    write_json(out / "data_accuracy.json", to_json(scores, tags, command, seeds))
    write_text(out / TABLE, markdown_table(scores))
    print(f"{out / 'data_accuracy.json'}: every figure with its examples; {out / TABLE}: the table")
    return all(one.holds is not False for one in scores)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--recipe", default="labelled", help="Says what is generated, and how it is curated.")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "data_accuracy")
    parser.add_argument("--curated", type=Path, help="A folder with clips.parquet; nothing is generated or curated.")
    parser.add_argument("--labels", type=Path, help="labels.jsonl or its folder; goes with --curated.")
    parser.add_argument("--real-media", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS, help="Folder for the JSON and the table.")
    arguments = parser.parse_args(argv)
    if (arguments.curated is None) != (arguments.labels is None):
        parser.error("--curated and --labels go together")
    return arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if every promise is kept, else 1."""
    arguments = _arguments(argv)
    if arguments.real_media:
        curate_real_media(arguments.work, arguments.recipe)
        return 0
    if arguments.curated is not None:
        corpus, seeds = read_corpus(arguments.curated, arguments.labels, min_av_conf(arguments.recipe)), []
    else:
        seeds = arguments.seeds
        corpus = pool([generate_and_curate(arguments.work, arguments.recipe, seed) for seed in seeds])
    return 0 if report(corpus, seeds, arguments.out) else 1


if __name__ == "__main__":
    sys.exit(main())
