"""A benchmark of a model: its items asked, scored by every backend that is at hand, baselines beside it."""

from kfp import dsl

from components.aggregate_scores.component import aggregate_scores
from components.check_coverage.component import check_coverage
from components.configure.component import configure
from components.generate_outputs.component import generate_outputs
from components.plan_benchmark.component import plan_benchmark
from components.report.component import report
from components.report_scores.component import report_scores
from components.score_backends.component import score_backends


@dsl.pipeline(
    name="evaluate",
    description="A benchmark's items asked of a model, scored by all backends at hand, baselines beside it, on a page.",
)
def evaluate(
    recipe: str = "demo",
    workspace: str = "runs",
    name: str = "",
    seed: int = 0,
    overrides: list = [],  # noqa: B006 - KFP reads the default, nobody writes to it
    run_id: str = dsl.PIPELINE_JOB_ID_PLACEHOLDER,
) -> None:
    """A model to its figures.

    Args:
        recipe: What to run and at which size: the name of a file in nava/config/recipes.
        workspace: Folder under which runs lie.
        name: The run's folder under the workspace, whose champion is asked. Empty: the recipe's name.
        seed: Seed of the clips' noise, of the untrained weights and of who gets whose sound.
        overrides: Further settings, each section.setting=value, e.g. benchmark.task=verse_bench.
        run_id: The run's id in the store. Leave as it is: KFP fills in its own.
    """
    ending = report(recipe=recipe, workspace=workspace, name=name, run_id=run_id)
    with dsl.ExitHandler(ending, name="steps"):
        run = configure(
            recipe=recipe,
            source="",
            workspace=workspace,
            name=name,
            seed=seed,
            promotion_policy="auto",
            overrides=overrides,
            run_id=run_id,
            pipeline="evaluate",
        ).output
        plan = plan_benchmark(run=run)
        outputs = generate_outputs(run=run).after(plan).output
        with dsl.ParallelFor(plan.output, name="groups of backends") as group:
            scores = score_backends(run=run, outputs=outputs, group=group).output
        result = aggregate_scores(run=run, outputs=outputs, scores=dsl.Collected(scores)).output
        page = report_scores(run=run, outputs=outputs, result=result)
        check_coverage(run=run, report=page.outputs["Output"])
