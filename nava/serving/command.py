"""The command line and the environment that start the service on a package."""

import os
import sys
from pathlib import Path

from nava.config.serving import ServingConfig
from nava.registry.champion import ServedPackage, champion_package
from nava.runtime.errors import InputError
from nava.runtime.project import package_root

PACKAGE_VARIABLE, SHA256_VARIABLE, KEY_VARIABLE = "NAVA_PACKAGE", "NAVA_PACKAGE_SHA256", "NAVA_PUBLIC_KEY"
WEIGHTS_VARIABLE, DEVICE_VARIABLE = "NAVA_WEIGHTS", "NAVA_DEVICE"


def service_file(config: ServingConfig) -> Path:
    """The service's source. InputError when the path leads outside the project or there is no such file."""
    root = package_root()
    path = (root / config.service).resolve()
    if not path.is_relative_to(root) or path.suffix != ".py" or not path.is_file():
        raise InputError(
            f"serving.service is '{config.service}', but there is no such file under {root}: the service is not part "
            "of the installed package, run from a checkout of the repository"
        )
    return path


def bentoml_command(config: ServingConfig, host: str, port: int) -> list[str]:
    """What starts the service; it reads the package from the environment, see `service_environment`."""
    relative = service_file(config).relative_to(package_root()).with_suffix("")
    target = f"{'.'.join(relative.parts)}:{config.service_class}"
    options = ["--host", host, "--port", str(port), "--working-dir", str(package_root())]
    return [sys.executable, "-m", "bentoml", "serve", target, *options]


def service_environment(package: ServedPackage, home: Path, config: ServingConfig) -> dict[str, str]:
    """The variables that say what to serve and on what; BentoML writes under `home` and reports to nobody."""
    weights = {WEIGHTS_VARIABLE: config.weights} if config.weights else {}
    return {
        PACKAGE_VARIABLE: package.uri,
        SHA256_VARIABLE: package.sha256,
        KEY_VARIABLE: str(package.public_key),
        DEVICE_VARIABLE: config.device,
        **weights,
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(home),
    }


def serve_command(run_dir: Path, port: int = 3000, config: ServingConfig | None = None) -> list[str]:
    """The whole command line that serves the champion, to copy: `env NAME=value ... python -m bentoml ...`."""
    from nava.registry.recorded_config import recorded_config

    config = config or recorded_config(run_dir, ServingConfig)
    environment = service_environment(champion_package(run_dir), run_dir.resolve() / "bentoml", config)
    variables = [f"{name}={value}" for name, value in environment.items()]
    return ["env", *variables, *bentoml_command(config, config.host, port)]


def serve_champion(run_dir: Path, port: int) -> int:
    """Serve the champion until interrupted; gives this process away to the server."""
    command = serve_command(run_dir, port)
    os.execvp(command[0], command)  # noqa: S606 - a list, no shell
