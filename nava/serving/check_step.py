"""The serve check: the package is really served and really answers, before it may be promoted."""

import ast
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nava.artifacts.model_package import KIND as PACKAGE_KIND
from nava.artifacts.model_package import load_package
from nava.config.serving import ServingConfig
from nava.registry.package_store import fetch_package
from nava.runtime.code_digest import PACKAGE, import_closure, library_versions, module_file
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.step import Step
from nava.runtime.storage import atomic_folder, write_bytes, write_json
from nava.serving.command import ServedPackage, bentoml_command, service_environment, service_file

if TYPE_CHECKING:
    from nava.serving.probe import ServiceAnswers

KIND = "serve_report"
REPORT_FILE = "report.json"
CLIP_FILE = "served.mp4"


def service_identity(step: Step) -> str:
    """What the check depends on beside the package: all code that the served process can run, which is that of the
    service (it lies outside the library), whatever of the library it imports, and the versions of the libraries behind.
    """
    folder = service_file(step.section(ServingConfig)).parent
    service = sorted(path for path in folder.rglob("*.py") if path.is_file())
    library: dict[str, Path] = {}
    outside: set[str] = set()
    for module in sorted({module for path in service for module in _imports(path)}):
        top = module.partition(".")[0]
        if top != PACKAGE:
            outside.add(top)
        elif module_file(module) is not None:
            files, libraries = import_closure(module)
            library |= files
            outside |= libraries
    return sha256_json(
        {
            "service": {path.relative_to(folder).as_posix(): sha256_file(path) for path in service},
            "library": {module: sha256_file(path) for module, path in library.items()},
            "versions": library_versions(outside),
        }
    )


def _imports(path: Path) -> set[str]:
    """The modules that a file names in an import statement, at the top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # What is imported from a package may be a module of it.
            found.update((node.module, *(f"{node.module}.{alias.name}" for alias in node.names)))
    return found


def serve_check(step: Step, model_package: Handle) -> Handle:
    """Start the service on the package, ask it for a clip over HTTP, decode what comes back, and send it a bad request.

    Returns:
        Handle of kind `serve_report`: folder with `report.json` and `served.mp4`; meta has the seconds it took.

    Raises:
        SignatureRefused: the package is not what was signed.
        ServiceFailed: the service did not start, or an answer is not what it must be.
    """
    from nava.serving.probe import ask, expected_clip
    from nava.serving.process import free_port, running_service

    config = step.section(ServingConfig)
    served = ServedPackage(
        model_package.require(PACKAGE_KIND).uri, model_package.sha256, Path(model_package.meta["public_key"])
    )
    home, log = step.workdir / "bentoml", step.workdir / "service.log"
    port = free_port(config.host)
    url = f"http://{config.host}:{port}"
    command = bentoml_command(config, config.host, port)
    try:
        with tempfile.TemporaryDirectory() as cache:
            package = load_package(fetch_package(served.uri, Path(cache)), served.public_key, served.sha256)
            step.log(f"starting the service on {url}, log in {log}")
            environment = service_environment(served, home, config)
            with running_service(command, environment, url, log, config.start_timeout_s):
                answers = ask(url, config, expected_clip(package, config.weights), package.sha256, log)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    step.log(f"served {answers.summary}")
    return _write(step.workdir / "report", answers)


def _write(folder: Path, answers: "ServiceAnswers") -> Handle:
    with atomic_folder(folder) as part:
        write_json(part / REPORT_FILE, answers.report)
        write_bytes(part / CLIP_FILE, answers.clip)
    return Handle.of_path(KIND, folder, summary=answers.summary, request_s=answers.request_s)
