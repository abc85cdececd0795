"""The architecture ablation: five arrangements of layers, trained on the same shards from the same seeds, compared."""

from typing import Any

from kfp import dsl

from components.compare.component import compare
from components.configure.component import configure
from components.curate.component import curate
from components.encode.component import encode
from components.ingest.component import ingest
from components.report.component import report
from components.train_variant.component import train_variant
from components.validate.component import validate
from components.version.component import version


@dsl.pipeline(
    name="ablation",
    description="Five architectures, trained in three stages on the same corpus from the same seeds, and compared.",
)
def ablation(
    recipe: str = "demo",
    source: str = "",
    workspace: str = "runs",
    name: str = "",
    seed: int = 0,
    overrides: list = [],  # noqa: B006 - KFP reads the default, nobody writes to it
    run_id: str = dsl.PIPELINE_JOB_ID_PLACEHOLDER,
) -> None:
    """Raw media to a table of architectures.

    Args:
        recipe: What to run and at which size: the name of a file in nava/config/recipes.
        source: Folder of raw media, with optional .vtt transcripts. Empty: the recipe's seeded synthetic media.
        workspace: Folder under which runs lie.
        name: The run's folder under the workspace. Empty: the recipe's name. Runs in one folder share steps.
        seed: Seed of the synthetic media, and the first of the seeds of training.
        overrides: Further settings, each section.setting=value, e.g. ablation.seeds=5.
        run_id: The run's id in the store. Leave as it is: KFP fills in its own.
    """
    ending = report(recipe=recipe, workspace=workspace, name=name, run_id=run_id)
    with dsl.ExitHandler(ending, name="steps"):
        run = configure(
            recipe=recipe,
            source=source,
            workspace=workspace,
            name=name,
            seed=seed,
            promotion_policy="auto",
            overrides=overrides,
            run_id=run_id,
            pipeline="ablation",
        ).output
        sources = ingest(run=run).output
        clips = curate(run=run, sources=sources).output
        data_verdict = validate(run=run, clips=clips).output
        corpus = version(run=run, clips=clips, verdict=data_verdict).output
        shards = encode(run=run, corpus=corpus).output

        def runs_of(variant: str) -> Any:
            return train_variant(run=run, shards=shards, variant=variant).set_display_name(f"train_{variant}").output

        compare(
            run=run,
            align_then_fuse=runs_of("align_then_fuse"),
            hal_only=runs_of("hal_only"),
            ufl_only=runs_of("ufl_only"),
            dual_tower=runs_of("dual_tower"),
            trimodal=runs_of("trimodal"),
        )
