"""A run folder with artifacts as the steps before leave them, small and deterministic."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nava.artifacts import evaluation_result, latent_shard
from nava.artifacts.evaluation_result import Estimate, EvaluationResult, MetricEntry, SampleRecord, Statement
from nava.artifacts.latent_shard import LatentEntry
from nava.runtime.handle import Handle
from nava.runtime.step import Step
from nava.training.curves import CurveRow, write_curves

GAP = "av_sync_flash_gap"
GAINS = ("validation_loss_gain_video", "validation_loss_gain_audio")


def metric(name: str = GAP, value: float = 0.5, half: float = 0.1, n: int = 32, **changes: Any) -> MetricEntry:
    fields = {
        "name": name,
        "label": name,
        "description": "",
        "protocol": "corr.v1",
        "backend": "test",
        "direction": "higher",
        "unit": "r",
        "status": "ok",
        "eligible": n,
        "family": "flash",
        "variant": "guided",
        "primary": True,
        "value": value,
        "ci_low": value - half,
        "ci_high": value + half,
        "n": n,
        "coverage": 1.0,
        "baseline_untrained": Estimate(0.01, -0.05, 0.07, n),
    }
    return MetricEntry(**{**fields, **changes})


def result(gap: float = 0.5, metrics: list[MetricEntry] | None = None, **changes: Any) -> EvaluationResult:
    fields = {
        "protocol": "p1",
        "seed": 7,
        "checkpoint": {"sha256": "c", "weights_sha256": "w"},
        "shards_sha256": "s",
        "sampler": {"solver": "unipc", "steps": 20},
        "variants": [],
        "families": [],
        "metrics": metrics if metrics is not None else [metric(value=gap), *(metric(name, 0.2) for name in GAINS)],
        "statements": [Statement("flash", True, "learned")],
        "gallery": [],
    }
    return EvaluationResult(**{**fields, **changes})


def samples(gap: float, n: int = 32, spread: float = 0.05) -> list[SampleRecord]:
    """Per-clip values around a gap; the same clips get the same deviation, as paired evaluations of like models do."""
    return [
        SampleRecord(
            f"s{i}",
            f"clip{i}",
            "flash",
            "guided",
            i,
            f"prompt {i}",
            None,
            {"sync": gap + 0.1 + spread * ((i % 5) - 2), "sync_shuffled": 0.1},
        )
        for i in range(n)
    ]


@dataclass
class Run:
    """A run folder and the handles that the registry's steps take."""

    root: Path
    sections: dict[str, Any]

    def step(self, name: str, key: str = "k") -> Step:
        workdir = self.root / "steps" / name / key
        workdir.mkdir(parents=True, exist_ok=True)
        return Step(name, self.root, "run1", self.sections, 0, key=key, workdir=workdir)

    def evaluation(self, gap: float = 0.5, evaluated: EvaluationResult | None = None) -> Handle:
        folder = self.root / "inputs" / f"evaluation-{gap}"
        folder.mkdir(parents=True, exist_ok=True)
        evaluation_result.write(folder, evaluated or result(gap), samples(gap))
        return Handle.of_path("evaluation_result", folder)

    def checkpoint(self, name: str = "one") -> Handle:
        folder = self.root / "inputs" / f"checkpoint-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_bytes(name.encode())
        (folder / "model_config.json").write_text('{"dim": 8}')
        rows = [CurveRow(3, i, 16 * i, 1 / i, 1 / i, None, 1e-3, 1.0) for i in range(1, 6)]
        write_curves(folder / "curves.jsonl", rows)
        return Handle.of_path("checkpoint", folder)

    def shards(self) -> Handle:
        folder = self.root / "inputs" / "shards"
        (folder / "codec" / "video").mkdir(parents=True, exist_ok=True)
        (folder / "codec" / "video" / "config.json").write_text("{}")
        latent_shard.write_index(folder, [entry("a"), entry("b"), entry("c", video_shape=None)])
        return Handle.of_path("latent_shards", folder)

    def corpus(self) -> Handle:
        return Handle("corpus_version", str(self.root / "corpus.json"), "d" * 64)


def entry(clip_id: str, **changes: Any) -> LatentEntry:
    base = LatentEntry(
        clip_id=clip_id,
        bucket="v13x4x4-a52",
        modality="av",
        split="train",
        shard="b/00000.safetensors",
        row=0,
        shard_sha256="0" * 64,
        dtype="F32",
        video_shape=(48, 13, 4, 4),
        audio_shape=(52, 64),
        text_shape=(32, 64),
        seq_len=260,
        video_codec_id="v",
        audio_codec_id="a",
        text_encoder_id="t",
        caption="",
        dropped_words=0,
        tags=(),
    )
    return replace(base, **changes)
