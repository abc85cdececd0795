"""The life cycle: raw media in, a served model out."""

from kfp import dsl

from components.configure.component import configure
from components.curate.component import curate
from components.encode.component import encode
from components.evaluate.component import evaluate
from components.gate.component import gate
from components.ingest.component import ingest
from components.package.component import package
from components.promote.component import promote
from components.register.component import register
from components.report.component import report
from components.serve_check.component import serve_check
from components.train.component import train
from components.validate.component import validate
from components.version.component import version


@dsl.pipeline(
    name="lifecycle",
    description="Raw media to a corpus, a model trained in three stages, evaluated, registered and served.",
)
def lifecycle(
    recipe: str = "demo",
    source: str = "",
    workspace: str = "runs",
    name: str = "",
    seed: int = 0,
    promotion_policy: str = "auto",
    overrides: list = [],  # noqa: B006 - KFP reads the default, nobody writes to it
    run_id: str = dsl.PIPELINE_JOB_ID_PLACEHOLDER,
) -> None:
    """Raw media to a served model.

    Args:
        recipe: What to run and at which size: the name of a file in nava/config/recipes.
        source: Folder of raw media, with optional .vtt transcripts. Empty: the recipe's seeded synthetic media.
        workspace: Folder under which runs lie.
        name: The run's folder under the workspace. Empty: the recipe's name. Runs in one folder share steps.
        seed: Seed of the synthetic media, of training and of sampling.
        promotion_policy: auto moves the alias champion when the gate passes; manual leaves the version a candidate.
        overrides: Further settings, each section.setting=value, e.g. training.micro_batch_size=8.
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
            promotion_policy=promotion_policy,
            overrides=overrides,
            run_id=run_id,
        ).output
        sources = ingest(run=run).output
        clips = curate(run=run, sources=sources).output
        data_verdict = validate(run=run, clips=clips).output
        corpus = version(run=run, clips=clips, verdict=data_verdict).output
        shards = encode(run=run, corpus=corpus).output

        stage1 = train(run=run, shards=shards, stage=1).set_display_name("train_stage1").output
        stage2 = train(run=run, shards=shards, stage=2, previous=stage1).set_display_name("train_stage2").output
        checkpoint = train(run=run, shards=shards, stage=3, previous=stage2).set_display_name("train_stage3").output

        evaluation = evaluate(run=run, checkpoint=checkpoint, shards=shards, corpus=corpus).output
        verdict = gate(run=run, evaluation=evaluation).output
        model_version = register(
            run=run, evaluation=evaluation, verdict=verdict, checkpoint=checkpoint, shards=shards, corpus=corpus
        ).output
        model_package = package(run=run, model_version=model_version, checkpoint=checkpoint, shards=shards).output
        serve_report = serve_check(run=run, model_package=model_package).output
        promote(
            run=run,
            model_version=model_version,
            verdict=verdict,
            model_package=model_package,
            serve_report=serve_report,
        )
