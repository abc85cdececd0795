"""SyncNet: the published layout, shapes layer by layer, and values against sums written out."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nava.evaluation.backends.syncnet import SyncNet, load_syncnet
from nava.runtime.errors import InputError
from tests.evaluation.backends.published_layouts import syncnet_shapes, syncnet_state


def written(folder: Path, state: object) -> Path:
    path = folder / "syncnet_v2.model"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> SyncNet:
    return load_syncnet(written(tmp_path_factory.mktemp("weights"), syncnet_state()), "cpu")


def test_the_published_layout_is_the_whole_network(network: SyncNet) -> None:
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items() if "num_batches" not in name}
    assert own == syncnet_shapes()
    tensor_bytes = sum(4 * math.prod(shape) for shape in syncnet_shapes().values())
    # The published file has 54,573,114 bytes; the rest of it is names and shapes.
    assert 50 < (54_573_114 - tensor_bytes) / len(syncnet_shapes()) < 200
    assert sum(parameter.numel() for parameter in network.parameters()) == 13_631_616
    assert torch.equal(network.state_dict()["netcnnlip.18.weight"], syncnet_state()["netcnnlip.18.weight"])
    assert not network.training


def test_sizes_from_layer_to_layer(network: SyncNet) -> None:
    sizes: list[tuple[int, ...]] = []
    hooks = [
        module.register_forward_hook(lambda _module, _given, made: sizes.append(tuple(made.shape[2:])))
        for stream in (network.netcnnlip, network.netcnnaud)
        for module in stream
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.MaxPool2d | nn.MaxPool3d)
    ]
    seen = network.picture(torch.zeros(1, 3, 5, 224, 224))
    assert [size[1] for size in sizes] == [109, 54, 26, 13, 13, 13, 13, 6, 1]
    assert all(size[0] == 1 and size[1] == size[2] for size in sizes), "the first convolution sees all five frames"
    sizes.clear()
    heard = network.sound(torch.zeros(2, 1, 13, 20))
    assert sizes == [(13, 20), (13, 20), (13, 20), (11, 9), (11, 9), (11, 9), (11, 9), (5, 4), (1, 1)]
    assert (seen.shape, heard.shape) == ((1, 1024), (2, 1024))
    for hook in hooks:
        hook.remove()


def test_values_are_those_of_the_sums(network: SyncNet) -> None:
    state = {name: tensor.double().numpy() for name, tensor in syncnet_state().items()}

    def normalised(values: np.ndarray, name: str) -> np.ndarray:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return (values - mean) / np.sqrt(var + 1e-5) * state[f"{name}.weight"] + state[f"{name}.bias"]

    rng = np.random.default_rng(0)
    picture_CTHW = rng.uniform(0, 255, (3, 5, 224, 224)).astype(np.float32)
    made = network.netcnnlip[:3](torch.from_numpy(picture_CTHW)[None])[0, :, 0, 4, 7].numpy()
    patch = picture_CTHW[:, :, 8:15, 14:21].astype(float)
    sums = np.einsum("ocths,cths->o", state["netcnnlip.0.weight"], patch) + state["netcnnlip.0.bias"]
    assert made == pytest.approx(np.maximum(normalised(sums, "netcnnlip.1"), 0), rel=1e-3, abs=1e-2)
    middle = rng.normal(size=512)
    hidden = state["netfcaud.0.weight"] @ middle + state["netfcaud.0.bias"]
    expected = state["netfcaud.3.weight"] @ np.maximum(normalised(hidden, "netfcaud.1"), 0) + state["netfcaud.3.bias"]
    assert network.netfcaud(torch.from_numpy(middle).float()[None])[0].numpy() == pytest.approx(expected, abs=1e-4)


def test_windows_do_not_touch_each_other(network: SyncNet) -> None:
    windows = torch.randn(3, 1, 13, 20, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(network.sound(windows)[1], network.sound(windows[1:2])[0], atol=1e-5)


@pytest.mark.parametrize("change", ["lacks", "extra", "shape"])
def test_another_file_is_refused_by_name(tmp_path: Path, change: str) -> None:
    state = syncnet_state()
    if change == "lacks":
        del state["netfclip.3.weight"]
    elif change == "extra":
        state["netfclip.4.weight"] = torch.zeros(3)
    else:
        state["netfclip.3.weight"] = torch.zeros(256, 512)
    with pytest.raises(InputError, match=r"syncnet_v2\.model.*netfclip\.[34]\.weight"):
        load_syncnet(written(tmp_path, state), "cpu")


def test_a_pickled_module_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds code or objects"):
        load_syncnet(written(tmp_path, SyncNet()), "cpu")
