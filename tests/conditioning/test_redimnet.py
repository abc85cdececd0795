"""ReDimNet from exported files: both formats, what they may give, and references to them."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nava.conditioning.redimnet import RedimnetEncoder
from nava.conditioning.timbre import build_timbre_encoder, load_timbre_encoder
from nava.config.conditioning import ConditioningConfig
from nava.runtime.errors import InputError
from tests.conditioning.onnx_bytes import statistics_model

VOICE = torch.sin(torch.arange(24_000) * 0.05) * torch.linspace(0.1, 0.9, 24_000) + 0.05


class Statistics(nn.Module):
    """Mean and largest sample times a matrix [2, width]."""

    def __init__(self, width: int = 192, seed: int = 0) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(2, width, generator=torch.Generator().manual_seed(seed)))

    def forward(self, samples_BN: Tensor) -> Tensor:
        return torch.stack([samples_BN.mean(dim=1), samples_BN.amax(dim=1)], dim=1) @ self.matrix


class Pair(Statistics):
    def forward(self, samples_BN: Tensor) -> tuple[Tensor, Tensor]:
        return samples_BN, samples_BN


class NeedsThreeDimensions(Statistics):
    def forward(self, samples_BN: Tensor) -> Tensor:
        return samples_BN.permute(0, 2, 1)


def torchscript(folder: Path, module: nn.Module, name: str = "redimnet_m_ft_mix.pt") -> Path:
    path = folder / name
    torch.jit.script(module).save(str(path))
    return path


def onnx(folder: Path, module: Statistics, inputs: int = 1) -> Path:
    path = folder / "redimnet_m_ft_mix.onnx"
    path.write_bytes(statistics_model(module.matrix.tolist(), inputs))
    return path


def expected(module: Statistics, samples_N: Tensor = VOICE) -> Tensor:
    with torch.no_grad():
        return module(samples_N[None])[0]


def test_torchscript(tmp_path: Path) -> None:
    encoder = RedimnetEncoder.open(torchscript(tmp_path, Statistics()))
    vector = encoder.encode(VOICE)
    assert vector.shape == (192,)
    assert torch.allclose(vector, expected(Statistics()), atol=1e-6)


def test_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    encoder = RedimnetEncoder.open(onnx(tmp_path, Statistics()))
    assert encoder.file.file == "redimnet_m_ft_mix.onnx"
    assert torch.allclose(encoder.encode(VOICE), expected(Statistics()), atol=1e-5)


def test_a_folder_with_either_format(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    onnx(tmp_path, Statistics())
    from_onnx = RedimnetEncoder.open(tmp_path)
    torchscript(tmp_path, Statistics())
    from_torchscript = RedimnetEncoder.open(tmp_path)
    assert from_onnx.identity != from_torchscript.identity
    assert torch.allclose(from_onnx.encode(VOICE), from_torchscript.encode(VOICE), atol=1e-5)


def test_channels_are_averaged_and_half_a_minute_counts(tmp_path: Path) -> None:
    encoder = RedimnetEncoder.open(torchscript(tmp_path, Statistics()))
    assert torch.allclose(encoder.encode(torch.stack([VOICE, 0 * VOICE])), expected(Statistics(), VOICE / 2), atol=1e-6)
    long = torch.cat([VOICE.repeat(20)[: 30 * 16_000], torch.full((16_000,), 9.0)])
    assert torch.allclose(encoder.encode(long), expected(Statistics(), long[: 30 * 16_000]), atol=1e-6)


def test_too_short_a_voice(tmp_path: Path) -> None:
    encoder = RedimnetEncoder.open(torchscript(tmp_path, Statistics()))
    with pytest.raises(InputError, match="at least 1 s of speech"):
        encoder.encode(VOICE[:1600])


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Statistics(width=256), "gives 256 values for a voice; it must give 192"),
        (Pair(), "gives a tuple; it must give one tensor"),
        (NeedsThreeDimensions(), r"does not take samples \[1, 24000\]: .*"),
    ],
)
def test_modules_that_do_something_else(tmp_path: Path, module: nn.Module, message: str) -> None:
    encoder = RedimnetEncoder.open(torchscript(tmp_path, module))
    with pytest.raises(InputError, match=message) as caught:
        encoder.encode(VOICE)
    assert "\n" not in str(caught.value)


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    module = Statistics()
    nn.init.constant_(module.matrix, float("inf"))
    with pytest.raises(InputError, match="not finite for this voice"):
        RedimnetEncoder.open(torchscript(tmp_path, module)).encode(VOICE)


def test_files_that_are_neither(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "redimnet_m_ft_mix.pt"
    with pytest.raises(InputError, match=r"redimnet_m_ft_mix\.pt .* licence MIT\).*export the model"):
        RedimnetEncoder.open(tmp_path)
    path.write_bytes(b"not a model")
    with pytest.raises(InputError, match="neither TorchScript nor ONNX"):
        RedimnetEncoder.open(path)
    torch.save({"weight": torch.ones(3)}, path)
    with pytest.raises(InputError, match="is not a TorchScript module: export the model"):
        RedimnetEncoder.open(path)
    with pytest.raises(InputError, match=r"has 2 inputs \(samples, more1\); it must take samples alone"):
        RedimnetEncoder.open(onnx(tmp_path, Statistics(), inputs=2))


def test_save_writes_a_reference_only(tmp_path: Path) -> None:
    weights, folder = tmp_path / "weights", tmp_path / "codec"
    weights.mkdir()
    encoder = RedimnetEncoder.open(torchscript(weights, Statistics()))
    encoder.save(folder)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    config = json.loads((folder / "config.json").read_text())
    assert config["weights"]["licence"] == "MIT"
    assert str(tmp_path) not in json.dumps(config)
    loaded = load_timbre_encoder(folder, weights)
    assert loaded.identity == encoder.identity
    assert torch.equal(loaded.encode(VOICE), encoder.encode(VOICE))


def test_load_refuses_other_weights(tmp_path: Path) -> None:
    weights, folder = tmp_path / "weights", tmp_path / "codec"
    weights.mkdir()
    RedimnetEncoder.open(torchscript(weights, Statistics())).save(folder)
    with pytest.raises(InputError, match=r"setting conditioning\.timbre_weights"):
        load_timbre_encoder(folder)
    torchscript(weights, Statistics(seed=1))
    with pytest.raises(InputError, match="damaged or another version"):
        load_timbre_encoder(folder, weights)


def test_build_from_the_configuration(tmp_path: Path) -> None:
    torchscript(tmp_path, Statistics())
    built = build_timbre_encoder(ConditioningConfig(timbre_encoder="redimnet", timbre_weights=str(tmp_path)))
    assert built is not None
    assert built.width == 192
    with pytest.raises(InputError, match=r"about 60 MB.*timbre_weights"):
        build_timbre_encoder(ConditioningConfig(timbre_encoder="redimnet"))
