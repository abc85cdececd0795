"""The digest of a step's code follows its imports and nothing else."""

from pathlib import Path

import pytest

from nava.runtime import code_digest

STEP = """import json
from nava.a import part
def run():
    from nava.b.late import thing
    import numpy
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "nava"
    files = {
        "__init__.py": "",
        "a/__init__.py": "",
        "a/step.py": STEP,
        "a/part.py": "VALUE = 1\n",
        "b/__init__.py": "",
        "b/late.py": "thing = 1\n",
        "b/other.py": "unused = 1\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(code_digest, "_package_root", lambda: root)
    return root


def test_closure_follows_imports_at_the_top_and_inside_functions(package: Path) -> None:
    files, outside = code_digest.import_closure("nava.a.step")
    assert set(files) == {"nava", "nava.a", "nava.a.step", "nava.a.part", "nava.b", "nava.b.late"}
    assert outside == {"numpy"}


@pytest.mark.parametrize(
    ("edited", "changes"),
    [("a/step.py", True), ("a/part.py", True), ("b/late.py", True), ("b/__init__.py", True), ("b/other.py", False)],
)
def test_an_edit_changes_the_digest_of_what_imports_it(package: Path, edited: str, changes: bool) -> None:
    before = code_digest.code_digest("nava.a.step")
    (package / edited).write_text((package / edited).read_text() + "# edited\n")
    assert (code_digest.code_digest("nava.a.step") != before) is changes


def test_a_library_upgrade_changes_the_digest(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_digest.code_digest("nava.a.step")
    monkeypatch.setattr(code_digest, "library_versions", lambda modules: dict.fromkeys(modules, "99"))
    assert code_digest.code_digest("nava.a.step") != before


def test_an_unknown_module_is_an_error(package: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"nava\.a\.missing"):
        code_digest.import_closure("nava.a.missing")


def test_the_model_belongs_to_training_and_not_to_curation() -> None:
    training, _ = code_digest.import_closure("nava.training.step")
    curation, _ = code_digest.import_closure("nava.data.curation.step")
    assert "nava.model.backbone" in training
    assert not any(name.startswith("nava.model") for name in curation)
