"""Recipes of environments, and whether an environment has been made from its recipe here.

A recipe is a folder beside this module: `worker.py`, a program that does not import nava; `requirements.txt`; and
`requirements-no-deps.txt` for packages whose own requirements clash.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.storage import read_json

RECIPES = Path(__file__).parent
DEFAULT_ROOT = Path("~/.cache/nava/environments")
WORKER_FILE = "worker.py"
# In the order of installation; arguments of pip with each.
REQUIREMENTS: dict[str, tuple[str, ...]] = {"requirements.txt": (), "requirements-no-deps.txt": ("--no-deps",)}
STAMP_FILE = "nava-environment.json"
STAMP_VERSION = 1


@dataclass(frozen=True)
class Recipe:
    """What an environment is made of.

    Attributes:
        name: of the environment.
        folder: with the files.
    """

    name: str
    folder: Path

    @property
    def worker(self) -> Path:
        """The program that runs in the environment."""
        return self.folder / WORKER_FILE

    @property
    def requirements(self) -> dict[Path, tuple[str, ...]]:
        """Files of requirements that there are, with pip's arguments."""
        files = {self.folder / name: arguments for name, arguments in REQUIREMENTS.items()}
        return {file: arguments for file, arguments in files.items() if file.is_file()}

    @property
    def requirements_sha256(self) -> str:
        """Of all files of requirements."""
        return sha256_json({file.name: sha256_file(file) for file in self.requirements})

    @property
    def sha256(self) -> str:
        """Of requirements and worker: features of another recipe are other features."""
        return sha256_json([self.requirements_sha256, sha256_file(self.worker)])


@dataclass(frozen=True)
class Environment:
    """A recipe and the place on this machine where the environment is, or will be."""

    recipe: Recipe
    place: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.place / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """The file that is written last: without it there is no environment."""
        return self.place / STAMP_FILE

    def stamped(self) -> dict[str, object]:
        """What the stamp says; nothing where there is none that can be read."""
        try:
            value = read_json(self.stamp)
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) and value.get("schema_version") == STAMP_VERSION else {}

    def lacks(self) -> str:
        """Why it cannot be used; empty if it can."""
        stamp = self.stamped()
        if not stamp or not os.access(self.python, os.X_OK):
            return "has not been made"
        if stamp.get("sha256") != self.recipe.sha256:
            return "was made from another recipe"
        return ""


def recipe_names() -> list[str]:
    """The environments that there are recipes for."""
    return sorted(worker.parent.name for worker in RECIPES.glob(f"*/{WORKER_FILE}"))


def find_recipe(name: str) -> Recipe:
    """A recipe by name. InputError lists those that there are."""
    if name not in recipe_names():
        raise InputError(f"there is no environment {name!r}; there are {', '.join(recipe_names())}")
    return Recipe(name, RECIPES / name)


def environment_of(name: str) -> Environment:
    """An environment where backends look for it. InputError if there is no recipe of that name."""
    return Environment(find_recipe(name), DEFAULT_ROOT.expanduser() / name)


def why_not(name: str) -> str:
    """Why an environment cannot be used and what to do; empty if it can."""
    lacks = environment_of(name).lacks()
    return f"environment {name} {lacks}: nava eval environment make {name}" if lacks else ""
