"""KFP component that writes the run's page, however the run ended."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("report"), install_kfp_package=False)
def report(recipe: str, workspace: str, name: str, run_id: str, status: dsl.PipelineTaskFinalStatus) -> None:
    """The page and the summary of the run, from what its steps recorded.

    Args:
        recipe: name of the recipe.
        workspace: folder under which runs lie.
        name: the run's folder under the workspace; empty for the recipe's name.
        run_id: the run's id in the store.
        status: how the pipeline ended, from KFP; the steps' own records say more.
    """
    from nava.console.report import write_report
    from nava.console.run_start import run_folder

    write_report(run_folder(recipe, workspace, name), run_id)
