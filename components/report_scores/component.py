"""KFP component of the step `report_scores`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("report_scores"), install_kfp_package=False)
def report_scores(
    run: dict, outputs: dict, result: dict, page: dsl.Output[dsl.HTML], metrics: dsl.Output[dsl.Metrics]
) -> dict:
    """The page and the tables of a benchmark, in MLflow and as KFP's own artifacts.

    Args:
        run: the run's reference, from `configure`.
        outputs: handle of the clips.
        result: handle of the results.
        page: the page, as Kubeflow shows it.
        metrics: every figure with its interval, as Kubeflow shows them.
    """
    import shutil
    from pathlib import Path

    from nava.runtime.step import execute

    report = execute(
        "nava.registry.report_scores_step.report_scores",
        name="report_scores",
        run=run,
        sections=["benchmark", "registry"],
        seeded=True,
        inputs={"outputs": outputs, "result": result},
    )
    shutil.copyfile(Path(report["uri"]) / report["meta"]["page"], page.path)
    for name, value in report["meta"]["metrics"].items():
        metrics.log_metric(name, value)
    return report
