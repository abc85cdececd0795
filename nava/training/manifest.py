"""The manifests of a recipe's training, as files: `python -m nava.training.manifest --recipe paper --out FOLDER`.

A job is the one that `nava train run` submits for the same settings, and beside it lies what that writes into the run's
folder for the ranks to read, `job.json`. A platform engineer applies the rest once (`kubectl apply -k`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nava.launch.schema import check_train_job, check_training_runtime
from nava.launch.site_objects import claims, network_policy, priority_class, queue_objects
from nava.launch.train_job import train_job
from nava.launch.training_runtime import training_runtime
from nava.runtime.errors import NavaError
from nava.runtime.hashing import sha256_bytes
from nava.runtime.storage import write_text
from nava.training.job_file import TrainingJob
from nava.training.job_launch import job_command, recipe_job, stage_name
from nava.training.run_folder import RESULT_FOLDER

if TYPE_CHECKING:
    from nava.config.composition import ResolvedConfig
    from nava.config.launch import LaunchConfig

PAGE = "placement.html"
_STAGES = 3
_WORKDIR = Path("/workspace/training")
_SHARDS = "s3://nava-corpus/shards"


def render_manifests(
    recipe: str, overrides: Sequence[str] = (), shards: str = _SHARDS, workdir: Path = _WORKDIR, init: str = ""
) -> dict[str, str]:
    """Every file of a recipe's training on a cluster, by path; `placement.html` shows what lands where.

    Args:
        recipe: its name.
        overrides: settings, such as `launch.kubernetes.queue=research`.
        shards: where the latent shards are.
        workdir: on a volume that all pods mount; the run of a stage is in `RECIPE/stageN` of it.
        init: weights on that volume that the recipe's first stage starts from.

    Raises:
        InputError: a setting is wrong, or a manifest is not as the Trainer's API describes it.
    """
    from nava.config.composition import compose
    from nava.launch.placement import placement
    from nava.pages.placement_page import render_placement

    resolved = compose(recipe, list(overrides))
    first = int(resolved.config["training"]["first_stage"])
    stages = range(first, _STAGES + 1)
    starts = {stage: init if stage == first else None for stage in stages}
    told = [rendered_job(recipe, resolved, stage, shards, workdir / recipe, starts[stage]) for stage in stages]
    config = told[0][1]
    jobs = [train_job(job_command(job, stage_name(job)), config) for job, _ in told]
    runtime = training_runtime(config.kubernetes)
    for job in jobs:
        check_train_job(job)
    check_training_runtime(runtime)
    once = {
        "runtime.yaml": [runtime],
        "queue.yaml": queue_objects(config),
        "priority-class.yaml": priority_class(config.kubernetes),
        "claims.yaml": claims(config.kubernetes),
        "network-policy.yaml": [network_policy(config.kubernetes)],
    }
    once = {name: objects for name, objects in once.items() if objects}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(once),
    }
    objects = {"kustomization.yaml": [kustomization], **once}
    objects |= {f"jobs/train-stage{stage}.yaml": [job] for stage, job in zip(stages, jobs)}
    given = [f"--shards {shards}"] * (shards != _SHARDS) + [f"--init {init}"] * bool(init)
    command = " ".join(["python -m nava.training.manifest --recipe", recipe, *given, *overrides])
    files = {name: _yaml(documents, command) for name, documents in objects.items()}
    files |= {f"jobs/train-stage{job.stage}.job.json": _json(job) for job, _ in told}
    page = render_placement(placement(recipe, config, jobs, runtime, sorted(files)))
    return files | {PAGE: page}


def rendered_job(
    recipe: str, resolved: ResolvedConfig, stage: int, shards: str, folder: Path, init: str | None
) -> tuple[TrainingJob, LaunchConfig]:
    """A stage without a pipeline around it.

    It starts from given weights ("" is from nothing), or, if that is None, from the result of the stage before.

    Nobody has seen the latents and that result: in place of their hashes stand those of where they are.
    """
    previous = str(folder / f"stage{stage - 1}" / RESULT_FOLDER) if init is None else ""
    inputs = {"shards": shards, "previous": previous or init or ""}
    return recipe_job(
        recipe,
        resolved,
        stage=stage,
        shards=shards,
        workdir=str(folder / f"stage{stage}"),
        inputs={name: sha256_bytes(place.encode()) if place else "" for name, place in inputs.items()},
        previous=previous,
        init=init or "",
    )


def _yaml(documents: list[dict[str, Any]], command: str) -> str:
    import yaml

    text = yaml.safe_dump_all(documents, sort_keys=False, width=120, allow_unicode=True)
    return f"# Rendered by `{command}`; render it again instead of editing it.\n{text}"


def _json(job: TrainingJob) -> str:
    return json.dumps(asdict(job), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def write_manifests(files: dict[str, str], folder: Path) -> None:
    """Write the files; jobs of an earlier rendering that are not among them are removed."""
    for old in [*(folder / "jobs").glob("*.yaml"), *(folder / "jobs").glob("*.json")]:
        if old.relative_to(folder).as_posix() not in files:
            old.unlink()
    for name, text in files.items():
        write_text(folder / name, text)


def main(argv: list[str]) -> int:
    """Render into a folder."""
    parser = argparse.ArgumentParser(prog="python -m nava.training.manifest", description=__doc__)
    parser.add_argument("--recipe", default="paper", help="see `nava config recipes`")
    parser.add_argument("--out", type=Path, default=Path("infra/training"), help="folder to write to")
    parser.add_argument("--shards", default=_SHARDS, help="where the latent shards are")
    parser.add_argument("--init", default="", help="weights on the volume that the first stage starts from")
    parser.add_argument("overrides", nargs="*", help="settings, such as launch.nodes=4")
    arguments = parser.parse_args(argv)
    try:
        files = render_manifests(arguments.recipe, arguments.overrides, arguments.shards, init=arguments.init)
    except NavaError as error:
        print(f"nava: {error}", file=sys.stderr)
        return error.exit_code
    write_manifests(files, arguments.out)
    print(f"{arguments.out}: {len(files)} files; open {arguments.out / PAGE} to see what lands where")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
