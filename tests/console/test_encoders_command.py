"""From the files of the hubs to a film, by commands alone: encoders, weights, package, generate."""

import json
from dataclasses import asdict
from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from nava.cli import main
from nava.config.model import ModelConfig
from tests.conditioning.small_umt5 import WIDTH
from tests.generation.published_package import ROWS, write_published_weights

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("ftfy")

SMALL_AUDIO_CHANNELS = 8


def nava(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published_weights(tmp_path_factory.mktemp("hub") / "files")


@pytest.fixture(scope="module")
def encoders(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "codec"
    sizes = ("--text-rows", ROWS, "--text-width", WIDTH)
    result = nava("model", "encoders", "--weights", weights, *sizes, "--tiling", "--output", folder)
    assert result.exit_code == 0, result.output
    hint = f"next: nava model package --model nava_6b --weights FILE --codec {folder} -o DIR"
    assert result.output.splitlines()[-1] == hint
    return folder


def small_model(folder: Path, audio_channels: int) -> Path:
    config = ModelConfig(dim=24, ffn_dim=48, num_heads=2, num_hal_layers=1, num_ufl_layers=1, audio_stem_hidden=24)
    config.audio_channels, config.text_len, config.text_dim, config.speaker_dim = audio_channels, ROWS, WIDTH, 192
    path = folder / "model.json"
    path.write_text(json.dumps(asdict(config)))
    return path


def test_each_part_refers_to_its_file_and_holds_no_weights(encoders: Path) -> None:
    for part in ("video", "audio", "text", "timbre"):
        config = json.loads((encoders / part / "config.json").read_text())
        reference = config.get("reference") or config["weights"]
        assert len(reference["sha256"]) == 64
        assert reference["licence"]
    assert sum(path.stat().st_size for path in encoders.rglob("*") if path.is_file()) < 1_000_000


def test_tiling_is_written_down(encoders: Path) -> None:
    assert json.loads((encoders / "video" / "config.json").read_text())["settings"]["tiling"] is True


def test_a_folder_of_another_is_not_overwritten(weights: Path, encoders: Path) -> None:
    result = nava("model", "encoders", "--weights", weights, "--output", encoders)
    assert result.exit_code == 2
    assert "exists already" in result.output


def test_an_output_under_a_file_is_refused_before_the_weights_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = nava("model", "encoders", "--weights", tmp_path / "nowhere", "--output", tmp_path / "file" / "codec")
    assert result.exit_code == 2
    assert result.output == f"nava: {tmp_path}/file/codec cannot be written: {tmp_path}/file: Not a directory\n"


def test_what_is_missing_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    result = nava("model", "encoders", "--weights", tmp_path, "--output", tmp_path / "codec")
    assert result.exit_code == 2
    assert "Wan2.2_VAE.pth (2.8 GB, licence Apache-2.0)" in result.output
    assert not list(tmp_path.iterdir())


def test_encoders_weights_package_film(weights: Path, encoders: Path, tmp_path: Path) -> None:
    config = small_model(tmp_path, audio_channels=SMALL_AUDIO_CHANNELS)
    made = nava("model", "init", "--config", config, "--dtype", "bf16", "--output", tmp_path / "NAVA.safetensors")
    assert made.exit_code == 0, made.output
    package = tmp_path / "package"
    packed = nava(
        *("model", "package", "--weights", tmp_path / "NAVA.safetensors", "--config", config, "--codec", encoders),
        *("--frames", 5, "--height", 32, "--width", 32, "--steps", 2, "--key-dir", tmp_path / "keys"),
        *("--output", package),
    )
    assert packed.exit_code == 0, packed.output
    assert "LTX" in (package / "README.md").read_text()
    film = nava(
        *("generate", "--package", package, "--public-key", tmp_path / "keys" / "package-signing.pub"),
        *("--weights", weights, "--prompt", "A wave breaks."),
        *("--device", "cpu", "--output", tmp_path / "film.mp4"),
    )
    assert film.exit_code == 0, film.output
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.streams.video[0].frames == 5
        assert container.streams.audio[0].rate == 48_000
        assert container.streams.audio[0].channels == 2
