"""The pipeline steps `train_align_then_fuse` to `train_trimodal`: one architecture of the ablation, for every seed.

Each stage of each seed lies under a key of its own, `ablation/KEY` in the run's folder: what it depends on and nothing
else. So a killed step goes on in the stage it was in, and more seeds repeat none of the earlier ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from nava.config.ablation import AblationConfig
from nava.config.lora import LoraConfig
from nava.config.model import ModelConfig
from nava.runtime.handle import Handle
from nava.runtime.step import KEY_DIGITS, Step
from nava.training.step import make_job, run_job

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nava.training.curves import CurveRow
    from nava.training.job_file import TrainingJob

KIND = "ablation_variant"
SCHEMA_VERSION = 1
RESULT_FILE = "variant.json"
STAGES_FOLDER = "ablation"


def train_variant(step: Step, shards: Handle, *, variant: str) -> Handle:
    """Train all three stages of one variant for the seeds from the run's on: same shards, steps and order of data.

    Reads the sections `ablation`, `training`, `model`, `diffusion`, `loader`, `launch`, `cluster` and `tracking`.

    Args:
        step: the step.
        shards: handle of kind `latent_shards`.
        variant: one of `nava.config.ablation.VARIANTS`.

    Returns:
        Handle of kind `ablation_variant`: a folder with `variant.json`. Seconds are in meta, where no hash sees them.

    Raises:
        InputError: there is no such variant, a setting is wrong, or the corpus lacks a modality.
        NonFiniteLossError, TrainingStoppedError: see `nava.training.trainer`.
        LaunchFailedError, LaunchStoppedError: see `nava.launch.command`.
    """
    from nava.runtime.code_digest import code_digest
    from nava.runtime.storage import atomic_folder, write_json
    from nava.training.estimate.parameters import count_parameters

    ablation = step.section(AblationConfig)
    model = ablation.model_of(variant, step.section(ModelConfig))
    job = make_job(step, shards, model)
    code = code_digest("nava.training.stage")
    runs = [_Run(step, job, job.seed + number, code).finish() for number in range(ablation.seeds)]
    folder = step.workdir / "variant"
    with atomic_folder(folder) as part:
        write_json(
            part / RESULT_FILE,
            {
                "schema_version": SCHEMA_VERSION,
                "variant": variant,
                "architecture": model.architecture,
                "layers": model.layers(),
                "parameters": count_parameters(model, LoraConfig()).total,
                "shared": _shared(job, model),
                "runs": [run.figures for run in runs],
            },
        )
    return Handle.of_path(KIND, folder, seconds_per_step=[run.seconds_per_step for run in runs])


def _shared(job: TrainingJob, model: ModelConfig) -> dict[str, Any]:
    """What has to be the same for variants to be comparable: everything but the layers."""
    from nava.config.model import without_layers
    from nava.runtime.hashing import sha256_json

    bare = asdict(replace(without_layers(model), architecture=""))
    training = job.identity["training"]
    return {
        "config_sha256": sha256_json({"identity": {**job.identity, "model": bare}, "inputs": job.inputs}),
        "steps": [training[f"stage{stage}"]["steps"] for stage in (1, 2, 3)],
        "sigmas": training["validation_sigmas"],
    }


@dataclass(frozen=True)
class _Finished:
    """What one seed came to."""

    figures: dict[str, Any]
    seconds_per_step: float


class _Run:
    """The three stages of one seed."""

    def __init__(self, step: Step, job: TrainingJob, seed: int, code: str) -> None:
        self._step, self._job, self._seed, self._code = step, replace(job, seed=seed), seed, code

    def finish(self) -> _Finished:
        """Train what is not trained yet, and read off the figures."""
        from nava.runtime.storage import read_json
        from nava.training.run_folder import METRICS_FILE, read_rows
        from nava.training.stage import VALIDATION_FILE

        result: Path | None = None
        seconds: list[float] = []
        for stage in (1, 2, 3):
            result = self._stage(stage, result)
            seconds += [row["step_s"] for row in read_rows(result.parent / METRICS_FILE)]
        assert result is not None
        validation = read_json(result / VALIDATION_FILE)
        return _Finished({"seed": self._seed, **_figures(validation)}, sum(seconds) / max(1, len(seconds)))

    def _stage(self, stage: int, previous: Path | None) -> Path:
        """The result folder of a stage; its checkpoints go when it is done, for there are many stages."""
        import shutil

        from nava.runtime.hashing import sha256_json
        from nava.training.run_folder import CHECKPOINTS, RESULT_FOLDER

        job = replace(self._job, stage=stage)
        if previous is not None:
            # Its result is a function of its key.
            inputs = {**job.inputs, "previous": previous.parent.name}
            job = replace(job, previous=str(previous), inputs=inputs)
        decides = {"identity": job.identity, "stage": stage, "seed": job.seed, "inputs": job.inputs, "code": self._code}
        key = sha256_json(decides)[:KEY_DIGITS]
        folder = self._step.run_dir / STAGES_FOLDER / key
        if (folder / RESULT_FOLDER).is_dir():
            self._step.log(f"seed {self._seed}, stage {stage}: unchanged, reused from {folder}")
            return folder / RESULT_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{self._step.name}, seed {self._seed}, stage {stage}"
        result = run_job(self._step, replace(job, workdir=str(folder.absolute())), name=name, progress=self._progress)
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        return result

    def _progress(self, rows: Iterator[CurveRow], total: int, label: str) -> Iterator[CurveRow]:
        return self._step.progress(rows, total, f"seed {self._seed}, {label}")


def _figures(validation: dict[str, Any]) -> dict[str, Any]:
    """Held-out losses of the averaged weights after the last stage, and how much the right sound helps the picture."""
    tasks, synchrony = validation["last"]["tasks"], validation["last"].get("synchrony", {})
    gaps = {sigma: losses["gap"] for sigma, losses in synchrony.items()}
    return {
        "video_loss": tasks["t2av_video"]["mean"],
        "audio_loss": tasks["t2av_audio"]["mean"],
        "synchrony_gap": sum(gaps.values()) / len(gaps) if gaps else None,
        "synchrony_gap_by_sigma": gaps,
        "clips": validation["clips"],
        "split": validation["split"],
    }
