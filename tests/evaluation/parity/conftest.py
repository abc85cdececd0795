import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor

from tests.evaluation.parity.own_set import rewrite, write_own_set

GOLDENS = Path(__file__).parents[2] / "data" / "goldens"


@pytest.fixture(scope="session")
def written_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_own_set(tmp_path_factory.mktemp("own"))


@pytest.fixture
def own_set(written_set: Path, tmp_path: Path) -> Path:
    """A golden set of other sizes than the released one, to change at will."""
    return Path(shutil.copytree(written_set, tmp_path / "own"))


@pytest.fixture
def subset(tmp_path: Path) -> Callable[..., Path]:
    """A folder with some of the released cases and their weights."""

    def copy(*names: str) -> Path:
        manifest = json.loads((GOLDENS / "manifest.json").read_text())
        kept = ["weights.safetensors", *(f"{name}.safetensors" for name in names)]
        for name in kept:
            shutil.copy(GOLDENS / name, tmp_path / name)
        files = {name: manifest["files"][name] for name in kept}
        (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"files": files}))
        return tmp_path

    return copy


@pytest.fixture
def changed() -> Callable[..., None]:
    """Changes one tensor of a case in place, with its entry of the manifest."""

    def change(folder: Path, case: str, tensor: str, disturb: Callable[[Tensor], None]) -> None:
        tensors = load_file(folder / f"{case}.safetensors")
        disturb(tensors[tensor])
        rewrite(folder, case, tensors)

    return change
