"""The serve check against the real service: BentoML in a process of its own, over a real socket."""

import json
import shutil

import pytest

from nava.artifacts.signature import SignatureRefused
from nava.generation.media import read_mp4
from nava.runtime import code_digest
from nava.runtime.errors import InputError
from nava.runtime.step import Step
from nava.serving import check_step, command
from nava.serving.check_step import serve_check, service_identity
from nava.serving.process import ServiceFailed
from tests.serving.tiny_package import FRAMES, SAMPLES, SIZE


@pytest.fixture
def step(tmp_path):
    workdir = tmp_path / "steps" / "serve_check"
    workdir.mkdir(parents=True)
    return Step("serve_check", tmp_path, "run1", {"serving": {"sampling_steps": 2}}, 0, key="k", workdir=workdir)


def test_the_package_is_served_over_http_and_the_clip_decodes(step, tiny_package):
    handle = serve_check(step, tiny_package.handle)
    media = read_mp4(handle.path / "served.mp4")
    assert media.frames.shape == (FRAMES, SIZE, SIZE, 3)
    assert (media.fps, media.sample_rate, len(media.samples)) == (24, 16_000, SAMPLES)
    report = json.loads((handle.path / "report.json").read_text())
    assert report["package_sha256"] == tiny_package.sha256
    assert report["request"]["steps"] == 2
    assert report["bad_request"]["status"] == 400
    assert report["bad_request"]["fields"] == ["prompt", "seed"]
    assert report["endpoints"] == {"/livez": 200, "/readyz": 200, "/metrics": 200}
    assert report["clip"]["frames"] == FRAMES
    # Nothing that differs from run to run is part of the result.
    assert {path.name for path in handle.path.iterdir()} == {"report.json", "served.mp4"}
    assert "127.0.0.1" not in json.dumps(report)
    assert (step.workdir / "service.log").is_file()
    assert not (step.workdir / "bentoml").exists()


def test_a_damaged_package_is_refused_before_anything_starts(step, damaged_package, monkeypatch):
    monkeypatch.setattr(check_step, "bentoml_command", lambda *_: ["must-not-run"])
    with pytest.raises(SignatureRefused, match=r"model\.safetensors was changed"):
        serve_check(step, damaged_package.handle)
    assert not (step.workdir / "service.log").exists()


def test_the_service_itself_refuses_a_package_that_was_swapped_after_the_check(step, tiny_package, damaged_package):
    """The check verifies the good package; the service is pointed at the bad one and must find out for itself."""
    from nava.serving.command import ServedPackage, bentoml_command, service_environment
    from nava.serving.process import free_port, running_service

    served = ServedPackage(str(damaged_package.folder), damaged_package.sha256, damaged_package.key.public)
    port = free_port("127.0.0.1")
    from nava.config.serving import ServingConfig

    config = ServingConfig()
    started = bentoml_command(config, "127.0.0.1", port)
    environment = service_environment(served, step.workdir / "bentoml", config)
    log = step.workdir / "service.log"
    service = running_service(started, environment, f"http://127.0.0.1:{port}", log, 120)
    with pytest.raises(ServiceFailed, match=r"(?s)could not load the package.*model\.safetensors was changed"), service:
        pytest.fail("a damaged package must not be served")


def test_the_identity_follows_the_code_of_the_service(step, tmp_path, monkeypatch):
    root = tmp_path / "checkout"
    shutil.copytree(command.package_root() / "deploy", root / "deploy")
    monkeypatch.setattr(command, "package_root", lambda: root)
    before = service_identity(step)
    assert service_identity(step) == before
    with (root / "deploy" / "service.py").open("a") as file:
        file.write("\n# changed\n")
    assert service_identity(step) != before
    step.sections["serving"] = {"service": "deploy/missing.py"}
    with pytest.raises(InputError, match=r"deploy/missing\.py"):
        service_identity(step)


@pytest.mark.parametrize(
    ("file", "served"),
    [
        ("generation/loading.py", True),
        ("generation/sampler.py", True),
        ("model/backbone.py", True),
        ("latents/registry.py", True),
        ("training/stage.py", False),
        ("console/page_facts.py", False),
    ],
)
def test_the_identity_follows_the_library_code_that_the_service_runs(step, tmp_path, monkeypatch, file, served):
    library = tmp_path / "library" / "nava"
    shutil.copytree(command.package_root() / "nava", library, ignore=lambda _, names: _without_sources(names))
    monkeypatch.setattr(code_digest, "_package_root", lambda: library)
    before = service_identity(step)
    assert service_identity(step) == before
    with (library / file).open("a") as source:
        source.write("\n# changed\n")
    assert (service_identity(step) != before) is served


def _without_sources(names):
    return [name for name in names if "." in name and not name.endswith(".py")]


def test_the_identity_follows_the_version_of_a_library_behind_the_service(step, monkeypatch):
    before = service_identity(step)
    known = code_digest.library_versions
    monkeypatch.setattr(check_step, "library_versions", lambda names: {**known(names), "bentoml": "0.0.1"})
    assert "bentoml" in known({"bentoml"})
    assert service_identity(step) != before
