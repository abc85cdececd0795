"""KFP component that resolves the configuration and opens the run."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("configure"), install_kfp_package=False)
def configure(
    recipe: str,
    source: str,
    workspace: str,
    name: str,
    seed: int,
    promotion_policy: str,
    overrides: list,
    run_id: str,
    pipeline: str = "lifecycle",
) -> dict:
    """Recipe and overrides to one checked configuration, and the run's record in the store.

    Args:
        recipe: name of a recipe.
        source: folder of raw media; empty for the recipe's own.
        workspace: folder under which runs lie.
        name: the run's folder under the workspace; empty for the recipe's name.
        seed: seed of everything.
        promotion_policy: auto or manual.
        overrides: further settings, `section.setting=value`.
        run_id: the run's id in the store.
        pipeline: which pipeline the run is of.
    """
    from nava.console.run_start import RunRequest, start_run

    request = RunRequest(
        recipe, source, workspace, name, int(seed), promotion_policy, list(overrides), run_id, pipeline
    )
    return start_run(request).to_dict()
