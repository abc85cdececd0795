"""Recipes: what is in the repository, what counts as made, and that workers stand alone."""

import ast
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nava.evaluation.environments import recipe as recipes
from nava.evaluation.environments.recipe import RECIPES, environment_of, find_recipe, recipe_names, why_not
from nava.evaluation.extraction.environment_worker import PROTOCOL
from nava.evaluation.extraction.extractor import ENTRIES
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json, write_json
from tests.evaluation.environments.tiny_workers import pretend_made, protocol_lines, tiny_recipe

NAMES = recipe_names()


def test_every_environment_of_a_backend_has_a_recipe_and_every_recipe_a_backend() -> None:
    assert {entry.environment for entry in ENTRIES.values()} - {""} == set(NAMES) == {"funasr", "resemblyzer"}


@pytest.mark.parametrize("name", NAMES)
def test_a_worker_imports_the_standard_library_until_it_works_and_never_nava(name: str) -> None:
    tree = ast.parse(find_recipe(name).worker.read_text())
    everywhere = {module for node in ast.walk(tree) for module in modules(node)}
    assert "nava" not in everywhere
    at_once = {module for node in tree.body for module in modules(node)}
    assert at_once <= set(sys.stdlib_module_names), "a library that fails to import has to be told in the hello"


def modules(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return {(node.module or "").partition(".")[0]} if isinstance(node, ast.ImportFrom) else set()


def test_all_workers_speak_in_the_same_lines() -> None:
    lines = {protocol_lines(find_recipe(name).worker) for name in NAMES}
    assert len(lines) == 1, "the part from '# Protocol' on is one text: change all workers together"
    assert f"PROTOCOL = {PROTOCOL}\n" in lines.pop()


@pytest.mark.parametrize("name", NAMES)
def test_requirements_are_pinned(name: str) -> None:
    for file in find_recipe(name).requirements:
        for line in file.read_text().splitlines():
            assert line.startswith("#") or "==" in line, f"{file.name}: {line}"


@pytest.mark.parametrize("name", ["nobody", "", "..", "../environments/funasr", "/etc"])
def test_only_names_of_recipes_are_names(name: str) -> None:
    with pytest.raises(InputError, match=r"there is no environment .*; there are funasr, resemblyzer"):
        find_recipe(name)


def test_an_environment_counts_once_it_is_stamped_for_this_recipe(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path / "recipes" / "tiny")
    environment = pretend_made(recipe, tmp_path / "place")
    assert environment.lacks() == ""
    stamp = read_json(environment.stamp)
    for wrong in ("{", "[]", '{"schema_version": 0}'):
        environment.stamp.write_text(wrong)
        assert environment.lacks() == "has not been made"
    write_json(environment.stamp, stamp)
    for file in ("worker.py", "requirements.txt", "requirements-no-deps.txt"):
        path = recipe.folder / file
        before = path.read_text() if path.exists() else None
        path.write_text((before or "") + "# changed\n")
        assert environment.lacks() == "was made from another recipe", file
        path.write_text(before) if before is not None else path.unlink()
    assert environment.lacks() == ""
    environment.python.unlink()
    assert environment.lacks() == "has not been made"
    assert replace(environment, place=tmp_path / "elsewhere").lacks() == "has not been made"


def test_what_is_missing_is_told_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert environment_of("funasr").place == tmp_path / ".cache/nava/environments/funasr"
    assert why_not("funasr") == "environment funasr has not been made: nava eval environment make funasr"
    monkeypatch.setattr(recipes, "RECIPES", tmp_path / "recipes")
    pretend_made(tiny_recipe(tmp_path / "recipes" / "tiny"), tmp_path / ".cache/nava/environments/tiny")
    assert why_not("tiny") == ""
    assert RECIPES != recipes.RECIPES
