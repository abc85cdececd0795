"""Imports point down: a folder of nava may import those below it and none above it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Top to bottom; folders in one tuple stand side by side and do not import each other.
LAYERS: list[tuple[str, ...]] = [
    ("cli",),
    ("console",),
    ("automation",),
    ("serving",),
    ("registry",),
    ("evaluation",),
    ("training",),
    ("generation",),
    ("rewriting",),
    ("data",),
    ("model", "latents", "conditioning", "diffusion"),
    ("artifacts",),
    ("launch",),
    ("pages",),
    ("config",),
    ("runtime",),
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def imports_of(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the direction; write the whole name"
            found.add(node.module or "")
    return found


def folder_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "nava" and len(parts) > 1 else None


def violations(folder: str, modules: set[str]) -> list[str]:
    wrong = []
    for module in sorted(modules):
        if module.split(".")[0] in ("pipelines", "components", "deploy", "tests"):
            wrong.append(module)
            continue
        other = folder_of(module)
        if other is None or other == folder:
            continue
        if RANK[other] <= RANK[folder]:
            wrong.append(module)
    return wrong


def sources() -> list[Path]:
    return [path for path in sorted((ROOT / "nava").rglob("*.py")) if path != ROOT / "nava" / "__init__.py"]


@pytest.mark.parametrize("file", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_down(file: Path) -> None:
    folder = file.relative_to(ROOT / "nava").parts[0].removesuffix(".py")
    assert folder in RANK, f"{folder} is not a folder of the design; add it to LAYERS with a decision record"
    assert violations(folder, imports_of(file)) == []


@pytest.mark.parametrize(
    ("folder", "module", "allowed"),
    [
        ("runtime", "nava.config.model", False),
        ("model", "nava.diffusion.loss", False),
        ("data", "nava.latents.registry", True),
        ("serving", "deploy.service", False),
        ("training", "nava.evaluation.step", False),
        ("evaluation", "nava.training.validation", True),
        ("training", "nava.launch.command", True),
        ("launch", "nava.training.step", False),
        ("model", "torch", True),
    ],
)
def test_the_rule_itself(folder: str, module: str, allowed: bool) -> None:
    assert (violations(folder, {module}) == []) is allowed


def test_package_markers_hold_no_code() -> None:
    for marker in (ROOT / "nava").rglob("__init__.py"):
        body = ast.parse(marker.read_text()).body
        assert all(isinstance(node, ast.Expr) for node in body), f"{marker} holds more than a docstring"


def test_components_are_thin() -> None:
    for file in (ROOT / "components").glob("*/component.py"):
        assert len(file.read_text().splitlines()) < 60, f"{file} is more than a thin component"
        assert (file.parent / "Dockerfile").is_file(), f"{file.parent.name} has no Dockerfile"
