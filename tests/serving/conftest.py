import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from nava.artifacts.signature import SigningKey
from nava.runtime.handle import Handle
from tests.serving.tiny_package import write_tiny_package


@dataclass(frozen=True)
class Package:
    folder: Path
    sha256: str
    key: SigningKey

    @property
    def handle(self) -> Handle:
        return Handle("model_package", str(self.folder), self.sha256, {"public_key": str(self.key.public)})


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A package that loads and generates; do not change it."""
    return Package(*write_tiny_package(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def damaged_package(tmp_path: Path, tiny_package: Package) -> Package:
    """The same with one byte of the weights changed."""
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_package.folder, folder)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    return Package(folder, tiny_package.sha256, tiny_package.key)
