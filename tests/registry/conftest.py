import shutil
from pathlib import Path

import pytest

from nava.config.registry import RegistryConfig
from nava.registry.mlflow_registry import MlflowRegistry, database_path
from tests.registry.run_folder import Run


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database without content: its migrations take seconds, so they run once and tests take copies."""
    folder = tmp_path_factory.mktemp("mlflow")
    MlflowRegistry(RegistryConfig(), folder).aliases()
    return database_path(folder)


@pytest.fixture
def new_run(tmp_path: Path) -> Run:
    """A run folder without anything in it."""
    return Run(tmp_path / "run", {"registry": {}, "promotion": {}, "generation": {}})


@pytest.fixture
def run(new_run: Run, empty_database: Path) -> Run:
    """A run folder with an empty registry."""
    new_run.root.mkdir()
    shutil.copyfile(empty_database, database_path(new_run.root))
    return new_run
