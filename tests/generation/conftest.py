import pytest

from nava.generation.loading import load_generator
from nava.generation.pipeline import Generator
from tests.generation.voice_package import VoicePackage, write_voice_package


@pytest.fixture(scope="session")
def voice_package(tmp_path_factory: pytest.TempPathFactory) -> VoicePackage:
    """A package that does every task; do not change it."""
    return write_voice_package(tmp_path_factory.mktemp("voices"))


@pytest.fixture(scope="session")
def generator(voice_package: VoicePackage) -> Generator:
    """What is loaded from it."""
    return load_generator(voice_package.folder)
