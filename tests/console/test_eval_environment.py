"""`nava eval environment` from the shell's side."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nava.cli import main
from nava.evaluation.environments import make
from nava.evaluation.environments import recipe as recipes
from nava.evaluation.environments.recipe import Environment, environment_of
from nava.runtime.errors import NavaError
from tests.evaluation.environments.tiny_workers import pretend_made, tiny_recipe


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(recipes, "RECIPES", tmp_path / "recipes")
    tiny_recipe(tmp_path / "recipes" / "tiny")
    monkeypatch.setattr(make, "_install", installed)
    return tmp_path


def installed(environment: Environment, python: str, tell: Callable[[str], None], timeout_s: float) -> None:
    """As if by pip; that environments are really made is seen in test_make_environment.py."""
    tell(f"installing {'; '.join(file.name for file in environment.recipe.requirements)} with {python}")
    if (environment.recipe.folder / "requirements.txt").read_text():
        raise NavaError(f"pip failed within {timeout_s:g} s: no such package")
    environment.python.parent.mkdir(parents=True)
    environment.python.symlink_to(sys.executable)


def nava(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["eval", "environment", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def test_the_list_says_what_is_there_and_how_to_make_it(home: Path) -> None:
    assert nava("list").output.split() == [
        *("tiny", "no", "backend:", "has", "not", "been", "made:"),
        *("nava", "eval", "environment", "make", "tiny"),
    ]
    pretend_made(recipes.find_recipe("tiny"), home / ".cache/nava/environments/tiny")
    said = nava("list").output
    assert "tiny 1" in said
    assert ".cache/nava/environments/tiny" in said
    assert "not been made" not in said


def test_the_repositorys_environments_are_listed_with_their_backends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    said = nava("list").output
    assert "funasr           paraformer_zh, sensevoice_small: has not been made" in said


def test_it_is_made_in_another_folder_and_found_all_the_same(home: Path) -> None:
    said = nava("make", "tiny", "--folder", home / "big disk").output
    assert "installing requirements.txt" in said
    assert "environment tiny made in" in said
    place = environment_of("tiny").place
    assert place.is_symlink()
    assert place.resolve() == home / "big disk" / "tiny"
    assert environment_of("tiny").lacks() == ""
    assert "is there already" in nava("make", "tiny", "--folder", home / "big disk").output
    assert "is there already" in nava("make", "tiny").output
    # Where it is a link, it is made again where the link leads.
    (home / "recipes" / "tiny" / "worker.py").open("a").write("# changed\n")
    assert "trying the worker" in nava("make", "tiny").output
    assert place.is_symlink()
    assert environment_of("tiny").lacks() == ""


def test_wrong_input_is_one_line_and_nothing_is_made(home: Path) -> None:
    assert "there is no environment 'nobody'; there are tiny" in nava("make", "nobody", code=2).output
    place = environment_of("tiny").place
    pretend_made(recipes.find_recipe("tiny"), place)
    assert "would be found first" in nava("make", "tiny", "--folder", home / "other", code=2).output
    assert not (home / "other").exists()
    assert "is there already" in nava("make", "tiny", "--folder", place.parent).output, "that is where it belongs"


def test_a_requirement_that_cannot_be_had_fails_and_says_why(home: Path) -> None:
    tiny_recipe(home / "recipes" / "tiny", "nothing-of-the-kind==1\n")
    assert "no such package" in nava("make", "tiny", code=1).output
    assert environment_of("tiny").lacks() == "has not been made"
