"""The digest of the code a step runs: its module, everything inside nava that it can import, and library versions.

The closure is static (read from the source, nothing is imported), so it costs milliseconds and needs no list kept by
hand: editing a model file changes the identity of training and of what follows, and leaves curation alone.
"""

import ast
import importlib.metadata
import importlib.util
import sys
from functools import lru_cache
from pathlib import Path

from nava.runtime.hashing import sha256_file, sha256_json

PACKAGE = "nava"
# Distributions whose name differs from the module's.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "scenedetect": "scenedetect-headless",
    "yaml": "pyyaml",
}


@lru_cache(maxsize=1)
def _package_root() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


def module_file(module: str) -> Path | None:
    """The source file of a module inside nava, or None if there is none of that name."""
    base = _package_root().joinpath(*module.split(".")[1:])
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imported_modules(file: Path, module: str) -> set[str]:
    """Every module that a file names in an import statement, at the top or inside a function."""
    found: set[str] = set()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_bytes(), filename=str(file))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            found.add(source)
            found.update(f"{source}.{alias.name}" for alias in node.names)
    return found


def import_closure(module: str) -> tuple[dict[str, Path], set[str]]:
    """The files inside nava that `module` can reach, by module name, and the names of the outside modules they import.

    Raises:
        ModuleNotFoundError: `module` is not a module of nava.
    """
    if module_file(module) is None:
        raise ModuleNotFoundError(f"no module {module}")
    files: dict[str, Path] = {}
    outside: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name.split(".")[0] != PACKAGE:
            outside.add(name.split(".")[0])
            continue
        file = module_file(name)
        if file is None or name in files:
            continue
        files[name] = file
        waiting.extend(_imported_modules(file, name))
        if "." in name:
            waiting.append(name.rpartition(".")[0])
    return files, outside - sys.stdlib_module_names - {""}


def library_versions(modules: set[str]) -> dict[str, str]:
    """Versions of the installed distributions behind some modules; those not installed are left out."""
    versions = {}
    for module in sorted(modules):
        name = DISTRIBUTIONS.get(module, module.replace("_", "-"))
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def code_digest(module: str) -> str:
    """The digest of a step's code: the sources of its import closure, and the versions of the libraries it names."""
    files, outside = import_closure(module)
    sources = {name: sha256_file(file) for name, file in files.items()}
    return sha256_json({"sources": sources, "libraries": library_versions(outside)})
