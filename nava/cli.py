"""The command line. Starts in well under half a second: every command imports what it needs when it runs."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from nava.console.data_command import data
from nava.console.eval_command import evaluate
from nava.console.generate_command import generate
from nava.console.model_command import model
from nava.console.rewrite_command import rewrite
from nava.console.study_command import study
from nava.console.train_command import train
from nava.runtime.errors import EXIT_FAILED, EXIT_WRONG_INPUT, InputError, NavaError


class NavaGroup(click.Group):
    """A group that ends on a message and an exit code, never on a traceback, for errors meant for the user."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a NavaError becomes its message on stderr and its exit code."""
        try:
            return super().invoke(ctx)
        except NavaError as error:
            click.echo(f"nava: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=NavaGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="nava")
def main() -> None:
    """The life cycle of NAVA: raw media to a corpus, a trained and evaluated model, a registry version, a service."""


@main.group()
def pipeline() -> None:
    """Run pipelines here, or compile them for a cluster."""


@pipeline.command("list")
def list_pipelines() -> None:
    """The pipelines that exist."""
    from nava.console.pipeline_ir import PIPELINES

    for name in PIPELINES:
        click.echo(name)


@pipeline.command("run")
@click.argument("name", type=str)
@click.option(
    "--recipe", default="demo", show_default=True, help="What to run and at which size; see `nava config recipes`."
)
@click.option("--source", default="", help="Folder of raw media; without it the recipe's own synthetic media.")
@click.option("--workspace", default="runs", show_default=True, help="Folder under which runs lie.")
@click.option("--name", "run_name", default="", help="The run's folder; by default the recipe's name.")
@click.option("--seed", default=0, show_default=True, help="Seed of media, training and sampling.")
@click.option(
    "--policy", default="auto", show_default=True, type=click.Choice(["auto", "manual"]), help="Promotion on a pass."
)
@click.argument("overrides", nargs=-1)
def run_pipeline(
    name: str,
    recipe: str,
    source: str,
    workspace: str,
    run_name: str,
    seed: int,
    policy: str,
    overrides: tuple[str, ...],
) -> None:
    """Run pipeline NAME on this machine; OVERRIDES are settings such as training.micro_batch_size=8.

    Exit codes: 0 done, 1 failed, 2 wrong input or setting, 3 a gate said no, 130 interrupted (Ctrl-C).
    """
    from nava.console.local_runner import ending, run_locally
    from nava.console.pipeline_ir import load_pipeline
    from nava.console.run_start import RunRequest

    load_pipeline(name)
    folder = str(Path(source).expanduser().resolve()) if source and "://" not in source else source
    request = RunRequest(recipe, folder, workspace, run_name, seed, policy, list(overrides), pipeline=name)
    code = run_locally(request)
    for line in ending(request):
        click.echo(line)
    sys.exit(code)


@pipeline.command("compile")
@click.argument("name", type=str)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write; by default build/NAME.yaml.")
@click.option(
    "--require-digests", is_flag=True, help="Refuse images that have no digest in components/images.lock.json."
)
def compile_command(name: str, output: Path | None, require_digests: bool) -> None:
    """Compile pipeline NAME for Kubeflow and check it: KFP's schema, dangling references, cycles, caching off."""
    from nava.console.pipeline_ir import compile_pipeline, planned_steps, require_image_digests

    target = output or Path("build") / f"{name}.yaml"
    if require_digests:
        require_image_digests()
    spec = compile_pipeline(name, target)
    click.echo(f"{target}: {len(planned_steps(spec))} steps, checked against KFP's schema, no dangling reference")


@main.group()
def config() -> None:
    """Recipes and settings."""


@config.command("recipes")
def list_recipes() -> None:
    """The recipes that exist."""
    from nava.config.composition import recipe_names

    for name in recipe_names():
        click.echo(name)


@config.command("show")
@click.option("--recipe", default="demo", show_default=True)
@click.argument("overrides", nargs=-1)
def show_config(recipe: str, overrides: tuple[str, ...]) -> None:
    """The resolved configuration of a recipe, as JSON."""
    from nava.config.composition import compose

    click.echo(json.dumps(compose(recipe, list(overrides)).config, indent=2, ensure_ascii=False))


@main.group()
def registry() -> None:
    """Versions, the champion, promotion and rollback."""


RUN_DIR = click.option(
    "--run-dir", default="runs/demo", show_default=True, type=click.Path(path_type=Path), help="Folder of a run."
)


@registry.command("list")
@RUN_DIR
def list_registry(run_dir: Path) -> None:
    """The registered versions with their aliases."""
    from nava.registry.versions import list_versions

    for version in list_versions(_existing(run_dir)):
        click.echo(json.dumps(version, ensure_ascii=False))


@registry.command("promote")
@RUN_DIR
@click.option("--version", required=True, type=click.IntRange(1), help="The version that becomes champion.")
@click.option("--reason", required=True, help="Why; goes into the ledger.")
@click.option("--benchmark-verdict", type=click.Path(path_type=Path), help="Of `nava eval gate`; must let it pass.")
@click.option("--public-key", type=click.Path(path_type=Path), help="Of the key that signed the verdict.")
def promote_command(
    run_dir: Path, version: int, reason: str, benchmark_verdict: Path | None, public_key: Path | None
) -> None:
    """Make a version champion by hand and write it into the ledger."""
    from nava.registry.promotion import promote_by_hand

    if (benchmark_verdict is None) != (public_key is None):
        raise InputError("--benchmark-verdict and --public-key belong together: give both, or neither")
    verdict = (benchmark_verdict, public_key) if benchmark_verdict and public_key else None
    click.echo(promote_by_hand(_existing(run_dir), version, reason, benchmark_verdict=verdict))


@registry.command("rollback")
@RUN_DIR
@click.option("--reason", required=True, help="Why; goes into the ledger.")
def rollback_command(run_dir: Path, reason: str) -> None:
    """Give the alias champion back to the previous version and write it into the ledger."""
    from nava.registry.promotion import rollback_run

    click.echo(rollback_run(_existing(run_dir), reason))


@main.command()
@RUN_DIR
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
def serve(run_dir: Path, port: int) -> None:
    """Serve the champion over HTTP."""
    from nava.serving.command import serve_champion

    sys.exit(serve_champion(_existing(run_dir), port))


main.add_command(data)
main.add_command(model)
main.add_command(evaluate)
main.add_command(generate)
main.add_command(train)
main.add_command(rewrite)
main.add_command(study)


def _existing(run_dir: Path) -> Path:
    if not (run_dir / "store.db").is_file():
        click.echo(f"nava: no run in {run_dir}; `nava pipeline run lifecycle` makes one", err=True)
        sys.exit(EXIT_WRONG_INPUT)
    return run_dir.resolve()


if __name__ == "__main__":
    sys.exit(main() or EXIT_FAILED)
