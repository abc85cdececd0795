"""Adapters start as nothing, are merged and taken out again, know their base, and are what peft reads and writes."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nava.config.lora import LoraConfig
from nava.model.architecture import build_model
from nava.runtime.errors import InputError
from nava.training.adapters import Adapter, adapted_layers, add_adapters, weights_sha256
from tests.training.latents_in_memory import TINY_MODEL

LORA = LoraConfig(rank=2, alpha=6.0, targets=["q", "v", "o_audio"])


def fresh(seed: int = 1) -> nn.Module:
    model = build_model(TINY_MODEL, seed=seed).eval()
    # New heads predict zero, whatever the blocks do.
    for name in ("head.head.weight", "head_audio.head.weight"):
        nn.init.normal_(model.get_parameter(name), std=0.1, generator=torch.Generator().manual_seed(seed))
    return model


def predictions(model: nn.Module) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    video, audio, text = (torch.randn(2, *shape, generator=generator) for shape in ((4, 3, 4, 4), (12, 6), (3, 5)))
    with torch.no_grad():
        found = model(video, audio, torch.tensor([0.3, 0.7]), text)
    return tuple(part for part in found if part is not None)


def trained(model: nn.Module, seed: int = 7) -> dict[str, Tensor]:
    """The adapters' parameters, after values that training could have given them."""
    generator = torch.Generator().manual_seed(seed)
    found = {name: value for name, value in model.named_parameters() if value.requires_grad}
    with torch.no_grad():
        for value in found.values():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
    return {name: value.detach().clone() for name, value in found.items()}


@pytest.fixture
def adapted() -> tuple[nn.Module, Adapter]:
    """A model with trained adapters in it, and the adapters."""
    model = fresh()
    base = weights_sha256(model.state_dict())
    add_adapters(model, LORA, seed=5)
    return model, Adapter.of_parameters(LORA, trained(model), base)


def test_new_adapters_change_nothing_and_are_all_that_is_trained() -> None:
    model = fresh()
    before = predictions(model)
    add_adapters(model, LORA, seed=5)
    assert all(now.equal(then) for now, then in zip(predictions(model), before, strict=True))
    names = [name for name, value in model.named_parameters() if value.requires_grad]
    layers = adapted_layers(fresh(), LORA)
    assert len(layers) == 10  # q, v twice in both kinds of block; o_audio twice in the alignment layer
    assert len(names) == 2 * len(layers)
    assert not [name for name in names if "base_layer" in name]


def test_their_start_depends_on_the_seed_and_leaves_the_global_generator_alone() -> None:
    def start(seed: int) -> Tensor:
        model = fresh()
        add_adapters(model, LORA, seed)
        return torch.cat([value.flatten() for value in model.parameters() if value.requires_grad])

    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first = start(5)
    assert torch.rand(1).equal(expected)
    assert first.equal(start(5))
    assert not first.equal(start(6))


def test_merged_weights_compute_as_the_adapters_do(adapted: tuple[nn.Module, Adapter]) -> None:
    model, adapter = adapted
    merged = fresh()
    before = predictions(merged)
    merged.load_state_dict(adapter.merged(merged.state_dict()))
    for found, wanted, start in zip(predictions(merged), predictions(model), before, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
        assert (wanted - start).abs().max() > 0.01


def test_merging_is_what_peft_does(adapted: tuple[nn.Module, Adapter]) -> None:
    model, adapter = adapted
    merged = adapter.merged(fresh().state_dict())
    for name, layer in adapted_layers(fresh(), LORA).items():
        wrapped = model.get_submodule(name)
        wrapped.merge()
        assert wrapped.get_base_layer().weight.equal(merged[f"{name}.weight"])
        assert not layer.weight.equal(merged[f"{name}.weight"])


def test_unmerging_gives_the_base_back(adapted: tuple[nn.Module, Adapter]) -> None:
    base = fresh().state_dict()
    again = adapted[1].unmerged(adapted[1].merged(base))
    assert set(again) == set(base)
    for name, value in base.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=1e-6)


def test_written_adapters_are_read_again_and_attached(adapted: tuple[nn.Module, Adapter], tmp_path: Path) -> None:
    model, adapter = adapted
    adapter.write(tmp_path / "adapter")
    found = Adapter.read(tmp_path / "adapter")
    assert (found.base_sha256, found.config.rank, found.config.alpha) == (adapter.base_sha256, 2, 6.0)
    assert sorted(found.config.targets) == sorted(LORA.targets)
    other = fresh()
    found.attach(other)
    assert all(now.equal(then) for now, then in zip(predictions(other), predictions(model), strict=True))


def test_the_files_are_the_same_each_time(adapted: tuple[nn.Module, Adapter], tmp_path: Path) -> None:
    for name in ("one", "two"):
        adapted[1].write(tmp_path / name)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    targets = json.loads((tmp_path / "one" / "adapter_config.json").read_text())["target_modules"]
    assert targets == sorted(targets)


def test_peft_itself_reads_the_folder(adapted: tuple[nn.Module, Adapter], tmp_path: Path) -> None:
    from peft import PeftModel

    model, adapter = adapted
    adapter.write(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = PeftModel.from_pretrained(fresh(), tmp_path)
    assert all(now.equal(then) for now, then in zip(predictions(loaded.model), predictions(model), strict=True))


def test_an_adapter_of_another_base_is_refused(adapted: tuple[nn.Module, Adapter]) -> None:
    other = fresh(seed=2)
    with pytest.raises(InputError, match="was trained on weights with sha256"):
        adapted[1].merged(other.state_dict())
    with pytest.raises(InputError, match="use the model it was trained on"):
        adapted[1].attach(other)


def test_a_base_is_known_by_its_values_not_by_how_they_are_stored() -> None:
    halves = {name: value.bfloat16() for name, value in fresh().state_dict().items()}
    again = {name: halves[name].float() for name in reversed(list(halves))}
    assert weights_sha256(again) == weights_sha256(halves)
    assert weights_sha256(again) != weights_sha256(fresh().state_dict())


@pytest.mark.parametrize("damage", ["absent", "no json", "no weights", "other json"])
def test_a_folder_without_an_adapter_is_named(damage: str, adapted: tuple[nn.Module, Adapter], tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    if damage != "absent":
        adapted[1].write(folder)
        if damage == "no weights":
            (folder / "adapter_model.safetensors").unlink()
        else:
            (folder / "adapter_config.json").write_text("{}" if damage == "other json" else "{")
    with pytest.raises(InputError, match="holds no adapter of a training stage"):
        Adapter.read(folder)


def test_targets_that_no_layer_has_are_refused() -> None:
    with pytest.raises(InputError, match=r"training.lora.targets is \['query'\]: no linear layer of a block"):
        add_adapters(fresh(), replace(LORA, targets=["query"]), seed=0)


def test_layers_outside_the_blocks_are_left_alone() -> None:
    layers = adapted_layers(fresh(), replace(LORA, targets=["0", "2", "head"]))
    assert all("blocks." in name and "ffn" in name for name in layers)


def test_the_released_names_hold_no_trace_of_adapters(adapted: tuple[nn.Module, Adapter], tmp_path: Path) -> None:
    adapted[1].write(tmp_path)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert all(name.startswith("base_model.model.") and ".lora_" in name for name in stored)
    assert set(adapted[1].merged(fresh().state_dict())) == set(fresh().state_dict())
