"""Generation with the release's kinds of parts, from random files in their real layout: Wan, LTX, umT5, ReDimNet."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import pytest
from click.testing import CliRunner, Result

from nava.cli import main
from tests.generation.published_package import SIZE, write_published_package, write_published_weights
from tests.generation.voice_package import PROMPT, write_image, write_voice


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published_weights(tmp_path_factory.mktemp("hub") / "weights")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    return write_published_package(tmp_path_factory.mktemp("published"), weights)


def run(package: Path, output: Path, *arguments: str) -> Result:
    given = ["generate", "--package", str(package), "--unsigned", "--prompt", PROMPT, "-o", str(output), *arguments]
    return CliRunner().invoke(main, given)


def sound(path: Path) -> tuple[int, int, Fraction]:
    """Rate, channels and length in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return stream.rate, stream.channels, stream.duration * stream.time_base


def test_native_rate_and_stereo_with_image_and_voice(package, weights, tmp_path):
    image, voice = write_image(tmp_path / "a.png"), write_voice(tmp_path / "a.wav")
    path = tmp_path / "out" / "a.mp4"
    result = run(package, path, "--weights", str(weights), "--image", str(image), "--voice", str(voice))
    assert result.exit_code == 0, result.output
    assert sound(path) == (48_000, 2, Fraction(5, 24))
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        assert (len(frames), frames[0].width, frames[0].height) == (5, SIZE, SIZE)
        assert container.streams.video[0].average_rate == 24
    sidecar = json.loads(path.with_name("a.mp4.json").read_text())
    assert sidecar["task"] == "TIA2AV"
    assert sidecar["clip"]["channels"] == 2
    assert set(sidecar["model"]["parts"]) == {"video", "audio", "text", "timbre"}


def test_mode_release_reads_its_negative_prompts_beside_the_weights_and_writes_16_khz(package, weights, tmp_path):
    path = tmp_path / "a.wav"
    result = run(package, path, "--weights", str(weights), "--mode", "release", "--seconds", "0.5")
    assert result.exit_code == 0, result.output
    assert sound(path) == (16_000, 2, Fraction(1, 2))
    alone = shutil.copytree(weights, tmp_path / "alone")
    (alone / "negative_prompts.json").unlink()
    refused = run(package, tmp_path / "b.mp4", "--weights", str(alone), "--mode", "release")
    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[-1].startswith("nava: mode: release needs the text of its negative prompts")


@pytest.mark.parametrize(
    "file",
    [
        "Wan2.2_VAE.pth",
        "ltx-2.3-22b-dev_audio_vae.safetensors",
        "models_t5_umt5-xxl-enc-bf16.pth",
        "redimnet_m_ft_mix.pt",
    ],
)
def test_weights_that_are_missing_or_others_are_named(package, weights, tmp_path, file):
    copy = shutil.copytree(weights, tmp_path / "weights")
    cut = (copy / file).read_bytes()[:-100]
    for prepare in (lambda: (copy / file).write_bytes(cut), (copy / file).unlink):
        prepare()
        result = run(package, tmp_path / "a.mp4", "--weights", str(copy))
        assert result.exit_code == 2, result.output
        reason = result.stderr.splitlines()[-1]
        assert reason.startswith("nava: ")
        assert file in reason
        assert not (tmp_path / "a.mp4").exists()


def test_without_a_location_the_first_file_is_named(package, tmp_path):
    result = run(package, tmp_path / "a.mp4")
    assert result.exit_code == 2
    assert "Wan2.2_VAE.pth" in result.stderr.splitlines()[-1]
