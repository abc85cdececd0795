"""Finding the checkout."""

from pathlib import Path

import pytest

import nava
from nava.runtime.errors import InputError
from nava.runtime.project import package_root, project_root


def installed_at(monkeypatch: pytest.MonkeyPatch, package: Path) -> None:
    monkeypatch.setattr(nava, "__path__", [str(package)])


def test_the_folder_above_the_package_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    for root in (checkout, elsewhere):
        (root / "pipelines").mkdir(parents=True)
        (root / "components").mkdir()
    installed_at(monkeypatch, checkout / "nava")
    monkeypatch.chdir(elsewhere)
    assert project_root() == checkout


def test_an_installed_package_looks_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkout" / "deploy").mkdir(parents=True)
    installed_at(monkeypatch, tmp_path / "site-packages" / "nava")
    monkeypatch.chdir(tmp_path / "checkout")
    assert project_root(["deploy"]) == tmp_path / "checkout"


def test_no_checkout_is_said_with_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed_at(monkeypatch, tmp_path / "nava")
    (tmp_path / "pipelines").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="pipelines/ and components/ not found here; run from a checkout"):
        project_root()


def test_the_package_lies_in_the_folder_above_it():
    assert (package_root() / "nava" / "runtime" / "project.py").is_file()
