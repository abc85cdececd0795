from dataclasses import replace
from pathlib import Path

import pytest

from nava.config.registry import RegistryConfig
from nava.config.serving import ServingConfig
from nava.registry.mlflow_registry import CHAMPION, MlflowRegistry
from nava.runtime.errors import InputError
from nava.serving.command import (
    ServedPackage,
    bentoml_command,
    champion_package,
    serve_command,
    service_environment,
    service_file,
)


def test_the_command_names_the_service_by_module_and_class():
    command = bentoml_command(ServingConfig(), "127.0.0.1", 4711)
    assert command[1:5] == ["-m", "bentoml", "serve", "deploy.service:NavaService"]
    assert command[command.index("--port") + 1] == "4711"
    assert Path(command[command.index("--working-dir") + 1], "deploy", "service.py").is_file()


def test_the_environment_says_what_to_serve_and_reports_to_nobody(tmp_path):
    served = ServedPackage("s3://b/p", "a" * 64, tmp_path / "k.pub")
    assert service_environment(served, tmp_path / "home", ServingConfig()) == {
        "NAVA_PACKAGE": "s3://b/p",
        "NAVA_PACKAGE_SHA256": "a" * 64,
        "NAVA_PUBLIC_KEY": str(tmp_path / "k.pub"),
        "NAVA_DEVICE": "cpu",
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(tmp_path / "home"),
    }


def test_the_environment_says_where_published_weights_are_and_what_to_compute_on(tmp_path):
    served = ServedPackage("s3://b/p", "a" * 64, tmp_path / "k.pub")
    config = ServingConfig(weights="s3://b/hub", device="cuda:1")
    environment = service_environment(served, tmp_path / "home", config)
    assert (environment["NAVA_WEIGHTS"], environment["NAVA_DEVICE"]) == ("s3://b/hub", "cuda:1")


@pytest.mark.parametrize("service", ["deploy/nowhere.py", "../elsewhere.py", "/etc/passwd", "deploy", "README.md"])
def test_a_service_that_is_not_there_or_outside_the_project_is_refused(service):
    with pytest.raises(InputError, match=r"serving\.service is"):
        service_file(replace(ServingConfig(), service=service))


def test_the_champions_package_is_served_with_its_key(tmp_path):
    with pytest.raises(InputError, match=r"no version .* has the alias champion"):
        serve_command(tmp_path)
    registry = MlflowRegistry(RegistryConfig(), tmp_path)
    run = registry.client.create_run(registry.experiment_id())
    version = registry.create_version(run.info.run_id, "file:///nowhere", {})
    registry.move_alias(CHAMPION, version.version)
    with pytest.raises(InputError, match="nava v1 was never packaged"):
        champion_package(tmp_path)
    registry.tag_version(1, {"package_uri": "/packages/abc", "package_sha256": "abc"})
    assert champion_package(tmp_path) == ServedPackage(
        "/packages/abc", "abc", tmp_path / "keys" / "package-signing.pub"
    )
    command = serve_command(tmp_path, port=3001)
    assert command[0] == "env"
    assert "NAVA_PACKAGE=/packages/abc" in command
    assert "NAVA_PACKAGE_SHA256=abc" in command
    assert "3001" in command
