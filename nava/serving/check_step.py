"""The serve check: the package is really served and really answers, before it may be promoted."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nava.artifacts.model_package import KIND as PACKAGE_KIND
from nava.artifacts.model_package import load_package
from nava.config.serving import ServingConfig
from nava.registry.package_store import fetch_package
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
    """What the check depends on beside the package: the code of the service, which lies outside the library."""
    folder = service_file(step.section(ServingConfig)).parent
    files = sorted(path for path in folder.rglob("*.py") if path.is_file())
    return sha256_json({path.relative_to(folder).as_posix(): sha256_file(path) for path in files})


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
            with running_service(command, service_environment(served, home), url, log, config.start_timeout_s):
                answers = ask(url, config, expected_clip(package), package.sha256, log)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    step.log(f"served {answers.summary}")
    return _write(step.workdir / "report", answers)


def _write(folder: Path, answers: "ServiceAnswers") -> Handle:
    with atomic_folder(folder) as part:
        write_json(part / REPORT_FILE, answers.report)
        write_bytes(part / CLIP_FILE, answers.clip)
    return Handle.of_path(KIND, folder, summary=answers.summary, request_s=answers.request_s)
