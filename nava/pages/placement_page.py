"""The page of a training's place on a cluster: which pods land on which nodes, and with what."""

from collections.abc import Mapping
from typing import Any

from nava.pages.shell import render


def render_placement(facts: Mapping[str, Any]) -> str:
    """Render what lands on which node pool as one self-contained HTML page.

    Args:
        facts: as `nava.launch.placement.placement` gives them.

    Returns:
        HTML text. All values are escaped.
    """
    processes = facts["nodes"] * facts["processes"]
    device = "GPUs" if facts["gpu"] else "processes"
    pool = ", ".join(f"{label} = {value}" for label, value in facts["selector"]) or "any node"
    tiles = [
        {"label": "Nodes", "value": facts["nodes"], "detail": "a pod each, all start together"},
        {"label": device, "value": processes, "detail": f"{facts['processes']} per node, a rank each"},
        {"label": "Jobs", "value": len(facts["jobs"]), "detail": "one per stage, one after another"},
        {"label": "Queue", "value": facts["queue"] or "none", "detail": f"namespace {facts['namespace']}"},
    ]
    return render("placement.html.j2", title=f"Placement of {facts['recipe']}", facts=facts, tiles=tiles, pool=pool)
