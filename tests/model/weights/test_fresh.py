"""A new model written tensor by tensor has the values of one that is built."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nava.config.model import MODELS, ModelConfig
from nava.model.architecture import build_model
from nava.model.backbone import NavaTransformer
from nava.model.fp8 import eligible_linears, quantise_weight
from nava.model.initialisation import initial_values
from nava.model.keys import meta_model
from nava.model.weights.export import convert_weights, in_eight_bits
from nava.model.weights.files import find_weights, open_weights
from nava.model.weights.fresh import write_fresh
from nava.model.weights.load import load_weights
from nava.runtime.errors import InputError


def released(path):
    return {name.removeprefix("backbone."): tensor for name, tensor in load_file(path).items()}


@pytest.mark.parametrize("named", ["tiny", "every part"])
def test_the_values_are_those_of_a_model_built_with_the_seed(tmp_path, config, named):
    chosen = ModelConfig() if named == "tiny" else config
    seen: list[str] = []
    report = write_fresh(chosen, 5, tmp_path / "m.safetensors", "fp32", each=seen.append)
    built = NavaTransformer(chosen, seed=5).state_dict()
    stored = released(tmp_path / "m.safetensors")
    assert set(stored) == set(built) == set(seen)
    for name, tensor in built.items():
        assert torch.equal(stored[name], tensor), name
    assert report.parameters == sum(tensor.numel() for tensor in built.values())


@pytest.mark.parametrize("name", ["dual_tower_tiny", "trimodal_tiny"])
def test_every_architecture(tmp_path, name):
    chosen = MODELS[name]()
    write_fresh(chosen, 5, tmp_path / "m.safetensors", "fp32")
    built = build_model(chosen, seed=5)
    stored = released(tmp_path / "m.safetensors")
    assert set(stored) == set(built.state_dict())
    for key, tensor in built.state_dict().items():
        assert torch.equal(stored[key], tensor), key
    eight = {f"{linear}.weight" for linear in eligible_linears(built)}
    assert eight == {key for key, tensor in stored.items() if in_eight_bits(key, tuple(tensor.shape))}
    convert_weights(tmp_path / "m.safetensors", tmp_path / "n.safetensors", "bf16")
    made = meta_model(chosen)
    assert load_weights(made, tmp_path / "n.safetensors").stored_as == {"bfloat16": len(stored)}


def test_another_seed_other_values(tmp_path, config):
    for seed in (0, 1):
        write_fresh(config, seed, tmp_path / f"{seed}.safetensors", "fp32")
    assert (tmp_path / "0.safetensors").read_bytes() != (tmp_path / "1.safetensors").read_bytes()


def test_narrower_forms_are_rounded_from_the_same_values(tmp_path, config):
    built = NavaTransformer(config, seed=5).state_dict()
    write_fresh(config, 5, tmp_path / "bf16.safetensors", "bf16")
    for name, tensor in released(tmp_path / "bf16.safetensors").items():
        assert torch.equal(tensor, built[name].bfloat16())
    write_fresh(config, 5, tmp_path / "fp8.safetensors", "fp8")
    name = "single_blocks.1.self_attn.k.weight"
    assert torch.equal(released(tmp_path / "fp8.safetensors")[name].float(), quantise_weight(built[name])[0].float())


def test_shards(tmp_path, config):
    report = write_fresh(config, 5, tmp_path / "m.safetensors", "fp32", max_shard_bytes=50_000)
    assert report.path.name == "m.safetensors.index.json"
    assert len(list(tmp_path.glob("m-*-of-*.safetensors"))) > 1


def test_every_value_comes_with_its_rule(config):
    rules = {name: (rule, value) for name, value, rule in initial_values(meta_model(config), config, 0)}
    assert set(rules) == set(meta_model(config).state_dict())
    assert rules["double_blocks.0.ffn.0.weight"][0] == "xavier uniform"
    assert rules["text_embedding.0.weight"][0] == "normal, std 0.02"
    assert rules["patch_embedding_audio.2.w1.weight"][0].startswith("uniform, bound")
    assert rules["double_blocks.0.modulation_audio.modulation"][0] == "normal, std 1/sqrt(dim)"
    for name, (rule, value) in rules.items():
        if rule in ("zeros", "ones"):
            assert torch.equal(value, torch.full_like(value, float(rule == "ones"))), name
    assert rules["head.head.weight"][0] == "zeros"
    assert rules["single_blocks.0.norm3.weight"][0] == "ones"
    biased = ModelConfig(temporal_bias=5.0)
    rules = {name: rule for name, _, rule in initial_values(meta_model(biased), biased, 0)}
    assert rules["double_blocks.0.self_attn.q_audio.bias"] == "zeros, temporal bias 5"
    assert rules["double_blocks.0.cross_attn.q.bias"] == "zeros"


KILLED = """
import os, signal, sys
from pathlib import Path
from nava.config.model import MODELS
from nava.model.weights.fresh import write_fresh

written = []

def each(name):
    written.append(name)
    if len(written) == 100:
        os.kill(os.getpid(), signal.SIGKILL)

shard = int(sys.argv[2]) or None
write_fresh(MODELS["tiny"](), 5, Path(sys.argv[1]), "fp32", max_shard_bytes=shard, each=each)
"""


@pytest.mark.parametrize("shard_bytes", [0, 200_000])
def test_what_a_killed_process_leaves_is_not_taken_for_the_model(tmp_path, shard_bytes):
    root, target = Path(__file__).parents[3], tmp_path / "made" / "m.safetensors"
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(target), str(shard_bytes)],
        cwd=root,
        env={"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "PATH": ""},
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    left = list(target.parent.iterdir())
    assert left
    # What is left has a valid header and all of its length: only its name says that it is not whole.
    assert all(path.name.endswith(".part.safetensors") for path in left)
    for find in (lambda: find_weights(target.parent, ("nava",)), lambda: open_weights(target.parent)):
        with pytest.raises(InputError, match=r"is not at|holds no weights"):
            find()
    with pytest.raises(InputError, match="was being written when its process ended"):
        open_weights(left[0])
    report = write_fresh(MODELS["tiny"](), 5, target, "fp32", max_shard_bytes=shard_bytes or None)
    assert find_weights(target.parent, ("nava",)) == report.path
    made = meta_model(MODELS["tiny"]())
    assert load_weights(made, target.parent).tensors == report.tensors
