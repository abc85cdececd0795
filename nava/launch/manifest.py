"""The manifests of a recipe's training, as files: `python -m nava.launch.manifest --recipe paper --out infra/training`.

The jobs are the ones that a launch submits; a platform engineer applies the rest once (`kubectl apply -k`).
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nava.config.launch import LaunchConfig
from nava.launch.command import TrainingCommand
from nava.launch.schema import check_train_job, check_training_runtime
from nava.launch.site_objects import claims, network_policy, priority_class, queue_objects
from nava.launch.train_job import train_job
from nava.launch.training_runtime import training_runtime
from nava.runtime.errors import NavaError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import write_text

STAGES = (1, 2, 3)
PAGE = "placement.html"
_WORKDIR = "/workspace/training"
_SHARDS = "s3://nava-corpus/shards"


def render_manifests(recipe: str, overrides: Sequence[str] = (), shards: str = _SHARDS) -> dict[str, str]:
    """Every file of a recipe's training on a cluster, by path; `placement.html` shows what lands where.

    The key in a job's name is made from the recipe, the overrides and the stage; a pipeline's step has its own.

    Args:
        recipe: its name.
        overrides: settings, such as `launch.kubernetes.queue=research`.
        shards: where the latent shards are.

    Raises:
        InputError: a setting is wrong, or a manifest is not as the Trainer's API describes it.
    """
    from nava.config.composition import compose
    from nava.config.training import TrainingConfig
    from nava.launch.placement import placement
    from nava.pages.placement_page import render_placement
    from nava.runtime.step import typed_section

    resolved = compose(recipe, list(overrides)).config
    config = typed_section(LaunchConfig, resolved["launch"])
    grace_period_s = typed_section(TrainingConfig, resolved["training"]).guard.grace_period_s
    commands = [stage_command(recipe, list(overrides), stage, shards, grace_period_s) for stage in STAGES]
    jobs = [train_job(command, config) for command in commands]
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
    objects |= {f"jobs/train-stage{stage}.yaml": [job] for stage, job in zip(STAGES, jobs)}
    command = " ".join(["python -m nava.launch.manifest --recipe", recipe, *overrides])
    files = {name: _yaml(documents, command) for name, documents in objects.items()}
    page = render_placement(placement(recipe, config, jobs, runtime, sorted(files)))
    return files | {PAGE: page}


def stage_command(
    recipe: str, overrides: Sequence[str], stage: int, shards: str, grace_period_s: float
) -> TrainingCommand:
    """What every rank of a stage runs, without a pipeline around it."""
    out = f"{_WORKDIR}/{recipe}/stage{stage}"
    argv = ["python", "-m", "nava.cli", "train", "run", "--recipe", recipe, "--stage", str(stage)]
    argv += ["--data", shards, "--out", out]
    if stage > 1:
        argv += ["--init", f"{_WORKDIR}/{recipe}/stage{stage - 1}"]
    key = sha256_json({"recipe": recipe, "overrides": list(overrides), "stage": stage, "shards": shards})
    return TrainingCommand(
        f"train_stage{stage}", key, (*argv, *overrides), Path(_WORKDIR), grace_period_s=grace_period_s
    )


def _yaml(documents: list[dict[str, Any]], command: str) -> str:
    import yaml

    text = yaml.safe_dump_all(documents, sort_keys=False, width=120, allow_unicode=True)
    return f"# Rendered by `{command}`; render it again instead of editing it.\n{text}"


def write_manifests(files: dict[str, str], folder: Path) -> None:
    """Write the files; jobs of an earlier rendering that are not among them are removed."""
    for old in (folder / "jobs").glob("*.yaml"):
        if old.relative_to(folder).as_posix() not in files:
            old.unlink()
    for name, text in files.items():
        write_text(folder / name, text)


def main(argv: list[str]) -> int:
    """Render into a folder."""
    parser = argparse.ArgumentParser(prog="python -m nava.launch.manifest", description=__doc__)
    parser.add_argument("--recipe", default="paper", help="see `nava config recipes`")
    parser.add_argument("--out", type=Path, default=Path("infra/training"), help="folder to write to")
    parser.add_argument("--shards", default=_SHARDS, help="where the latent shards are")
    parser.add_argument("overrides", nargs="*", help="settings, such as launch.nodes=4")
    arguments = parser.parse_args(argv)
    try:
        files = render_manifests(arguments.recipe, arguments.overrides, arguments.shards)
    except NavaError as error:
        print(f"nava: {error}", file=sys.stderr)
        return error.exit_code
    write_manifests(files, arguments.out)
    print(f"{arguments.out}: {len(files)} files; open {arguments.out / PAGE} to see what lands where")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
