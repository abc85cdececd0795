"""What the check does not accept from a service; the answers are made up, the transport is not needed."""

import httpx
import pytest

from nava.artifacts.model_package import load_package
from nava.config.serving import ServingConfig
from nava.generation.media import write_mp4
from nava.serving import probe
from nava.serving.probe import ClipSize, ask, expected_clip
from nava.serving.process import ServiceFailed
from tests.serving.tiny_package import FRAMES, SAMPLES
from tests.serving.tiny_package import SIZE as PIXELS

SHA = "a" * 64
SIZE = ClipSize(frames=4, height=32, width=32, fps=24.0, samples=1600, sample_rate_hz=16_000)


@pytest.fixture
def clip(tmp_path):
    import numpy as np

    generator = np.random.default_rng(0)
    frames = generator.integers(0, 255, (4, 32, 32, 3), dtype=np.uint8)
    write_mp4(tmp_path / "a.mp4", frames, 24, (generator.random(1600) * 0.1).astype(np.float32), 16_000)
    return (tmp_path / "a.mp4").read_bytes()


def answering(monkeypatch, clip, **changes):
    """Give `ask` a service that behaves well but for the changes."""
    behaviour = {
        "status": 200,
        "content": clip,
        "type": "video/mp4",
        "package": SHA,
        "refusal": 400,
        "metrics": 200,
        **changes,
    }

    def handle(request):
        if request.method == "GET":
            return httpx.Response(behaviour["metrics"] if request.url.path == "/metrics" else 200)
        if b'"seed":-1' in request.content.replace(b" ", b""):
            return httpx.Response(behaviour["refusal"], json={"detail": [{"loc": ["seed"]}]})
        headers = {"content-type": behaviour["type"], "x-nava-package": behaviour["package"]}
        return httpx.Response(behaviour["status"], content=behaviour["content"], headers=headers)

    real = httpx.Client
    monkeypatch.setattr(probe.httpx, "Client", lambda **options: real(transport=httpx.MockTransport(handle), **options))


def asked(tmp_path, expected=SIZE):
    return ask("http://service", ServingConfig(), expected, SHA, tmp_path / "log")


def test_a_good_service_is_reported(tmp_path, monkeypatch, clip):
    answering(monkeypatch, clip)
    answers = asked(tmp_path)
    assert answers.clip == clip
    assert answers.report["clip"]["samples"] == 1600
    assert "steps" not in answers.report["request"]
    assert answers.summary.startswith("4 frames 32x32, 1600 samples")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": 500, "content": b"it broke"}, "answered 500: it broke"),
        ({"type": "application/json"}, r"application/json instead of video/mp4"),
        ({"package": "b" * 64}, "serves package bbb"),
        ({"content": b"not a film"}, r"no MP4 that can be decoded"),
        ({"refusal": 200}, "must be refused, but was answered 200"),
        ({"refusal": 500}, "must be refused, but was answered 500"),
        ({"metrics": 404}, "does not answer at /metrics"),
    ],
)
def test_anything_else_is_an_error_that_says_what(tmp_path, monkeypatch, clip, changes, message):
    answering(monkeypatch, clip, **changes)
    with pytest.raises(ServiceFailed, match=message):
        asked(tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"frames": 5}, {"width": 64}, {"fps": 25.0}, {"samples": 1601}, {"sample_rate_hz": 8000}]
)
def test_a_clip_of_another_size_is_refused(tmp_path, monkeypatch, clip, wrong):
    from dataclasses import replace

    answering(monkeypatch, clip)
    with pytest.raises(ServiceFailed, match="but the package makes"):
        asked(tmp_path, replace(SIZE, **wrong))


def test_a_service_that_hangs_up_is_an_error_with_its_log(tmp_path, monkeypatch):
    def hang_up(request):
        raise httpx.ReadError("closed")

    real = httpx.Client
    monkeypatch.setattr(
        probe.httpx, "Client", lambda **options: real(transport=httpx.MockTransport(hang_up), **options)
    )
    (tmp_path / "log").write_text("out of memory\n")
    with pytest.raises(ServiceFailed, match=r"(?s)did not answer.*out of memory"):
        asked(tmp_path)


def test_the_expected_clip_is_of_the_packages_own_size(tiny_package):
    package = load_package(tiny_package.folder, tiny_package.key.public)
    assert expected_clip(package) == ClipSize(FRAMES, PIXELS, PIXELS, 24.0, SAMPLES, 16_000)
