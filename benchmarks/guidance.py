"""Claim: alignment guidance makes picture and sound fit better, timbre guidance makes a voice more like its reference.

Everything is made here, by the commands of the README: corpora (`nava data`), models of three seeds in three stages
(`nava train run`), and clips of prompts from a corpus of another seed, which nothing was trained or chosen on.

* alignment: the gap of synchrony (own sound minus the sounds of other clips) with the scale at 2 and at 0, same prompts
  and noise, paired by clip, for the families flash (the demo's corpus), impact and talk (a corpus of each).
* masks: the same for the demo with modality masks drawn for each sample and not for each micro-batch.
* timbre: how like its reference voice the sound is, with the scale at 3 and at 0, and without a voice.
* tasks: five tasks and three stages on the demo's corpus, the validation losses before and after.

Command: `python benchmarks/guidance.py --work DIR`, about an hour on two cores; what is done is not done again. Writes
`benchmarks/results/guidance.json`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.guidance_clips import FAMILIES, Studio, scales  # noqa: E402
from benchmarks.machine import machine  # noqa: E402
from nava.conditioning.mel_statistics import MelStatisticsEncoder  # noqa: E402
from nava.evaluation.statistics import bootstrap_mean, student_mean  # noqa: E402
from nava.evaluation.synchrony import correlation_scores  # noqa: E402
from nava.training.stage import load_averaged_model  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "guidance.json"
SEEDS = (0, 1, 2)
STAGES = (1, 2, 3)
CLIPS = 64
ALIGN, TIMBRE = 2.0, 3.0
WITH_VOICES = ("conditioning.timbre_encoder=mel_statistics", "encoding.text=prompt")
# The loop without DeepSpeed: the same losses to five digits (tests/training/test_equality.py), and less to wait for.
PLAIN = ("training.engine=plain",)


@dataclass(frozen=True)
class Corpus:
    """A corpus of the demo's generator: its seed, and what it holds besides."""

    seed: int
    media: tuple[str, ...] = ()
    encoding: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """Models of three stages on a corpus, one for each seed."""

    corpus: str
    settings: tuple[str, ...] = ()
    seeds: tuple[int, ...] = SEEDS


CORPORA = {
    "demo": Corpus(0),
    "demo_voices": Corpus(0, encoding=WITH_VOICES),
    "fresh": Corpus(101),
    "fresh_voices": Corpus(101, encoding=WITH_VOICES),
    "impact": Corpus(1, ("synthetic.flash_share=0", "synthetic.other_kinds=[impact]")),
    "talk": Corpus(2, ("synthetic.flash_share=0", "synthetic.other_kinds=[talk]"), WITH_VOICES),
}
PER_SAMPLE = tuple(f"training.stage{stage}.mask_together=false" for stage in STAGES)
SHARES = {"t2av": 2, "ti2av": 1, "t2v": 1, "tia2av": 1}
ALL_TASKS = tuple(f"training.stage{stage}.tasks.{task}={share}" for stage in STAGES for task, share in SHARES.items())
LONGER = ("training.stage3.steps=3500",)
VOICED_MODEL = ("model.speaker_dim=192",)
TRAININGS = {
    "flash": Training("demo"),
    "impact": Training("impact"),
    "talk": Training("talk", VOICED_MODEL),
    "tasks": Training("demo_voices", (*VOICED_MODEL, *ALL_TASKS), seeds=(0,)),
    "flash, masks per sample": Training("demo", PER_SAMPLE),
    # Five times the third stage: of the seed that had hardly learned synchrony, and of what no seed had learned.
    "flash, longer": Training("demo", LONGER, seeds=(1,)),
    "impact, longer": Training("impact", LONGER),
    "talk, longer": Training("talk", (*VOICED_MODEL, *LONGER)),
}
FRESH = {"flash": "fresh", "impact": "fresh", "talk": "fresh_voices"}


class Work:
    """The folder that everything is made in.

    Args:
        folder: kept between runs; what is complete in it is not made again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def shards(self, name: str) -> Path:
        """The latent shards of a corpus, made by the commands of `nava data`."""
        corpus = CORPORA[name]
        # What is encoded in two ways is curated once.
        alike = next(key for key, other in CORPORA.items() if (other.seed, other.media) == (corpus.seed, corpus.media))
        raw, clips, shards = (self.folder / part for part in (f"media/{alike}", f"clips/{alike}", f"shards/{name}"))
        if not (clips / "clips.parquet").exists():
            self._nava("data", "synthetic", "--recipe", "demo", "--seed", corpus.seed, "-o", raw, *corpus.media)
            self._nava("data", "curate", "--source", raw / "media", "--out", clips)
        if not (shards / "index.parquet").exists():
            self._nava("data", "encode", clips, "--out", shards, *corpus.encoding)
        return shards

    def result(self, name: str, seed: int) -> Path:
        """The result of the third stage of a training."""
        training = TRAININGS[name]
        result = Path()
        for stage in STAGES:
            out = self.stage(name, seed, stage)
            init = ("--init", result) if stage > 1 else ()
            data = self.folder / "shards" / training.corpus
            if not (out / "result").is_dir():
                settings = (*PLAIN, *training.settings)
                where = ("--data", data, "--out", out, "--seed", seed)
                self._nava("train", "run", "--recipe", "demo", "--stage", stage, *where, *init, *settings)
            result = out / "result"
        return result

    def stage(self, name: str, seed: int, stage: int) -> Path:
        """The run of a stage."""
        return self.folder / "runs" / name.replace(", ", "-").replace(" ", "-") / f"seed{seed}" / f"stage{stage}"

    def _nava(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "nava.cli", *map(str, arguments)]
        print(" ".join(command[2:]), flush=True)
        log = self.folder / "log.txt"
        self.folder.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            done = subprocess.run(command, stdout=file, stderr=file, env={**os.environ, "OMP_NUM_THREADS": "1"})
        if done.returncode:
            raise SystemExit(f"failed with exit code {done.returncode}: {' '.join(command[2:])}; see {log}")


def estimate(values: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """Mean over clips with its interval."""
    return {key: round(value, 4) for key, value in asdict(bootstrap_mean(values, seed=0)).items()}


def paired(on: np.ndarray, off: np.ndarray) -> dict[str, Any]:
    """On minus off by clip: mean, interval, and the p value of Wilcoxon's signed-rank test."""
    from scipy.stats import wilcoxon

    return {**estimate(on - off), "wilcoxon_p": float(f"{wilcoxon(on, off).pvalue:.3g}")}


def over_seeds(rows: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Means over seeds with Student's interval; None with a single seed."""
    if len(rows) < 2:
        return {}
    means = {name: [row[name]["value"] for row in rows.values()] for name in names}
    return {
        name: {key: round(value, 4) for key, value in asdict(student_mean(values)).items()}
        for name, values in means.items()
    }


def gaps(tracks: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Synchrony of each clip above that with other clips' sounds; 0 for a picture or sound that does not change."""
    return np.nan_to_num(correlation_scores(*tracks).gap, nan=0.0)


def alignment(work: Work, name: str) -> dict[str, Any]:
    """Alignment guidance on and off, for each seed."""
    family = FAMILIES[name.split(",")[0]]
    studio = Studio(work.folder / "shards" / TRAININGS[name].corpus, work.folder / "shards" / FRESH[family.name])
    ids = family.clips(studio.fresh, CLIPS)
    by_seed: dict[str, dict[str, Any]] = {}
    for seed in TRAININGS[name].seeds:
        model = load_averaged_model(work.result(name, seed))
        on, off = (gaps(studio.tracks(model, family, ids, scales(align))) for align in (ALIGN, 0.0))
        by_seed[str(seed)] = {"on": estimate(on), "off": estimate(off), "on_minus_off": paired(on, off)}
        print(f"{name}, seed {seed}: {json.dumps(by_seed[str(seed)])}", flush=True)
    found = {"clips": len(ids), "by_seed": by_seed, "over_seeds": over_seeds(by_seed, ("on", "off", "on_minus_off"))}
    return {**found, "through_the_codecs": estimate(gaps(studio.ceiling(family, ids)))}


def timbre(work: Work, name: str) -> dict[str, Any]:
    """How like its reference voice the sound is: scale on, off, no voice; and the voices of other clips."""
    studio = Studio(work.folder / "shards" / "talk", work.folder / "shards" / "fresh_voices")
    entries = studio.fresh.entries
    ids = [clip for clip in FAMILIES["talk"].clips(studio.fresh, CLIPS) if len(entries[clip].voice_slots) == 1]
    voices_SE = studio.fresh.read(ids, with_video=False).voice_SE
    assert voices_SE is not None
    encoder = MelStatisticsEncoder()

    def likeness(samples_NL: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        heard_SE = torch.stack([encoder.encode(samples_L) for samples_L in samples_NL])
        cosine_SS = torch.nn.functional.normalize(heard_SE, dim=1) @ torch.nn.functional.normalize(voices_SE, dim=1).T
        own = cosine_SS.diagonal()
        others = (cosine_SS.sum(dim=1) - own) / (len(ids) - 1)
        return own.double().numpy(), others.double().numpy()

    by_seed: dict[str, dict[str, Any]] = {}
    for seed in TRAININGS[name].seeds:
        model = load_averaged_model(work.result(name, seed))
        config = scales(0.0)
        guided = replace(config, audio=replace(config.audio, timbre=TIMBRE))
        on, on_others = likeness(studio.sounds(model, ids, guided, voiced=True))
        off, off_others = likeness(studio.sounds(model, ids, config, voiced=True))
        without, _ = likeness(studio.sounds(model, ids, config, voiced=False))
        by_seed[str(seed)] = {
            "on": estimate(on),
            "off": estimate(off),
            "without_a_voice": estimate(without),
            "on_minus_off": paired(on, off),
            "off_minus_without": paired(off, without),
            # Sounding more like every voice is not sounding like one's own.
            "on_minus_off_above_others": paired(on - on_others, off - off_others),
        }
        print(f"timbre of {name}, seed {seed}: {json.dumps(by_seed[str(seed)])}", flush=True)
    own, others = likeness(studio.own_sounds(ids))
    names = ("on", "off", "without_a_voice", "on_minus_off", "off_minus_without", "on_minus_off_above_others")
    return {
        "clips": len(ids),
        "by_seed": by_seed,
        "over_seeds": over_seeds(by_seed, names),
        "through_the_codec": {"own": estimate(own), "others": estimate(others)},
    }


def tasks(work: Work) -> dict[str, Any]:
    """Validation losses of every stage by task and modality, before and after."""
    found = {}
    for stage in STAGES:
        file = work.stage("tasks", 0, stage) / "result" / "validation.json"
        value = json.loads(file.read_text())
        found[f"stage{stage}"] = {
            "clips": value["clips"],
            "objective": [round(value[when]["total"], 4) for when in ("first", "last")],
            **{
                name: [round(value[when]["tasks"][name]["mean"], 4) for when in ("first", "last")]
                for name in value["first"]["tasks"]
            },
        }
    return found


def main() -> None:
    """Make what is missing, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--at-once", type=int, default=2, help="Trainings beside each other, each on one thread.")
    parser.add_argument("--only", nargs="*", choices=list(TRAININGS), help="These alone; the others' figures stay.")
    options = parser.parse_args()
    # Small operations gain nothing from several threads, and threads change the order of sums.
    torch.set_num_threads(1)
    work, names = Work(options.work), options.only or list(TRAININGS)
    for name in CORPORA:
        work.shards(name)
    with ThreadPoolExecutor(options.at_once) as pool:
        list(
            pool.map(lambda job: work.result(*job), [(name, seed) for name in names for seed in TRAININGS[name].seeds])
        )
    for name in names:
        if name == "tasks":
            keep(("tasks",), tasks(work))
            continue
        keep(("alignment", name), alignment(work, name))
        if TRAININGS[name].corpus == "talk":
            keep(("timbre", name), timbre(work, name))


def keep(place: Sequence[str], value: Mapping[str, Any]) -> None:
    """Put figures into the results file, beside what is there."""
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found |= {"command": "python benchmarks/guidance.py --work DIR", "machine": machine()}
    *outer, last = place
    inner = found
    for name in outer:
        inner = inner.setdefault(name, {})
    inner[last] = value
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
