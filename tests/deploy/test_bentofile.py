import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bentofile():
    return yaml.safe_load((ROOT / "deploy" / "bentofile.yaml").read_text())


def names(requirements):
    return {Requirement(item).name.lower() for item in requirements}


def test_the_bento_installs_what_the_project_says_serving_needs(bentofile):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = names(project["dependencies"]) | names(project["optional-dependencies"]["serve"])
    assert needed <= names(bentofile["python"]["packages"])


def test_versions_are_those_of_the_project(bentofile):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = {
        Requirement(item).name.lower(): Requirement(item).specifier
        for item in project["dependencies"] + project["optional-dependencies"]["serve"]
    }
    for item in bentofile["python"]["packages"]:
        found = Requirement(item)
        if found.name.lower() in stated:
            assert found.specifier == stated[found.name.lower()], found.name


def test_the_bento_holds_code_only(bentofile):
    assert all(pattern.endswith((".py", "LICENSE")) for pattern in bentofile["include"])
    assert "models" not in bentofile


def test_the_service_that_is_built_exists(bentofile):
    module, _, name = bentofile["service"].partition(":")
    source = (ROOT / Path(*module.split("."))).with_suffix(".py").read_text()
    assert f"class {name}:" in source
