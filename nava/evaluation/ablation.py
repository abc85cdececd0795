"""The pipeline step `compare`: the variants of the ablation beside each other, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nava.config.ablation import REFERENCE, VARIANTS
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.step import Step

KIND = "ablation"
SCHEMA_VERSION = 1
TABLE_FILE = "ablation.json"
SPEED_FILE = "speed.json"
PAGE_FILE = "index.html"
FIGURES = ("video_loss", "audio_loss", "synchrony_gap")


def compare(
    step: Step, align_then_fuse: Handle, hal_only: Handle, ufl_only: Handle, dual_tower: Handle, trimodal: Handle
) -> Handle:
    """Put the variants' figures into one table, with their differences from the reference seed by seed.

    Args:
        step: the step.
        align_then_fuse: handle of kind `ablation_variant`: the reference.
        hal_only: the same of the others.
        ufl_only: see above.
        dual_tower: see above.
        trimodal: see above.

    Returns:
        Handle of kind `ablation`: a folder with `ablation.json`, `speed.json` and the page. Its hash is of the table:
        how fast the machine was is no result.

    Raises:
        InputError: a handle is of another variant, or variants were trained on different data, steps or seeds.
    """
    from nava.pages.ablation_page import render_ablation
    from nava.runtime.hashing import sha256_path
    from nava.runtime.storage import atomic_folder, read_json, write_json, write_text
    from nava.training.variant import KIND as VARIANT_KIND
    from nava.training.variant import RESULT_FILE

    handles = dict(zip(VARIANTS, (align_then_fuse, hal_only, ufl_only, dual_tower, trimodal), strict=True))
    results = {name: read_json(handle.require(VARIANT_KIND).path / RESULT_FILE) for name, handle in handles.items()}
    table = tabulate(results)
    speed = {name: estimate(handle.meta["seconds_per_step"]) for name, handle in handles.items()}
    folder = step.workdir / "ablation"
    with atomic_folder(folder) as part:
        write_json(part / TABLE_FILE, table)
        write_json(part / SPEED_FILE, speed)
        write_text(part / PAGE_FILE, render_ablation(table, speed))
    for name, row in table["variants"].items():
        step.log(f"{row['label']}: {', '.join(_words(row['figures']))}; {speed[name]['value']:.3g} s per step")
    return Handle(KIND, str(folder.resolve()), sha256_path(folder / TABLE_FILE), {"page": PAGE_FILE, "n": table["n"]})


def tabulate(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The table from the variants' results, each as `variant.json` has it.

    Raises:
        InputError: they cannot be compared.
    """
    _require_comparable(results)
    reference = results[REFERENCE]
    runs = reference["runs"]
    return {
        "schema_version": SCHEMA_VERSION,
        "reference": REFERENCE,
        "seeds": [run["seed"] for run in runs],
        "n": len(runs),
        "shared": reference["shared"],
        "clips": runs[0]["clips"]["av"],
        "split": runs[0]["split"]["av"],
        "variants": {
            name: {
                "label": VARIANTS[name],
                **{key: result[key] for key in ("architecture", "layers", "parameters")},
                "figures": {figure: estimate(_values(result, figure)) for figure in FIGURES},
                "differences": {figure: _difference(result, reference, figure) for figure in FIGURES},
                "runs": result["runs"],
            }
            for name, result in results.items()
        },
    }


def _require_comparable(results: Mapping[str, Mapping[str, Any]]) -> None:
    reference = results[REFERENCE]
    seeds = [run["seed"] for run in reference["runs"]]
    for name, result in results.items():
        if result["variant"] != name:
            raise InputError(f"the runs given as {name} are of the variant {result['variant']}")
        if result["shared"] != reference["shared"] or [run["seed"] for run in result["runs"]] != seeds:
            raise InputError(
                f"{name} and {REFERENCE} were not trained on the same shards, steps, settings and seeds; run both again"
            )


def _values(result: Mapping[str, Any], figure: str) -> list[float | None]:
    return [run[figure] for run in result["runs"]]


def _difference(result: Mapping[str, Any], reference: Mapping[str, Any], figure: str) -> dict[str, Any] | None:
    """Of the same seed each, variant minus reference; None for the reference itself."""
    if result is reference:
        return None
    pairs = zip(_values(result, figure), _values(reference, figure), strict=True)
    return estimate([None if own is None or other is None else own - other for own, other in pairs])


def estimate(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean over seeds and its 95 % interval; no interval of one seed, and no mean where a seed has no figure."""
    from nava.evaluation.statistics import student_mean

    measured = [value for value in values if value is not None]
    if not measured or len(measured) < len(values):
        return {"value": None, "ci_low": None, "ci_high": None, "n": len(measured)}
    if len(measured) == 1:
        return {"value": measured[0], "ci_low": None, "ci_high": None, "n": 1}
    return asdict(student_mean(measured))


def _words(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"{name.replace('_', ' ')} {'not measured' if found['value'] is None else format(found['value'], '.4g')}"
        for name, found in figures.items()
    ]
