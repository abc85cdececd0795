"""KFP component of the step `compare`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("compare"), install_kfp_package=False)
def compare(run: dict, align_then_fuse: dict, hal_only: dict, ufl_only: dict, dual_tower: dict, trimodal: dict) -> dict:
    """The variants of the ablation beside each other, as figures and as a page.

    Args:
        run: the run's reference, from `configure`.
        align_then_fuse: handle of the reference's runs.
        hal_only: handle of the runs without fusion layers.
        ufl_only: handle of the runs without alignment layers.
        dual_tower: handle of the runs with two towers.
        trimodal: handle of the fully unified runs.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.evaluation.ablation.compare",
        name="compare",
        run=run,
        inputs={
            "align_then_fuse": align_then_fuse,
            "hal_only": hal_only,
            "ufl_only": ufl_only,
            "dual_tower": dual_tower,
            "trimodal": trimodal,
        },
    )
