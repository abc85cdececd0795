"""`nava model` from the outside."""

import json

import click
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from nava.artifacts.model_package import load_package
from nava.cli import main
from nava.config.model import MODELS, ModelConfig
from nava.model.backbone import NavaTransformer
from nava.model.keys import meta_model, shapes_of
from nava.model.weights.load import load_weights
from nava.model.weights.wan_names import wan_source
from tests.serving.tiny_package import write_codecs

SMALL = {"dim": 24, "ffn_dim": 48, "num_heads": 2, "num_hal_layers": 1, "num_ufl_layers": 1, "audio_stem_hidden": 24}


def run(*arguments):
    return CliRunner().invoke(main, ["model", *map(str, arguments)])


def refused(result, *parts):
    """Exit code 2 and one line of reason; the other line is the label of the progress bar."""
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    lines = [line for line in result.stderr.splitlines() if line.startswith("nava: ")]
    assert len(lines) == 1
    assert "Traceback" not in result.output
    for part in parts:
        assert part in lines[0]


@pytest.fixture
def small(tmp_path):
    """A file of settings and weights that fit them."""
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    done = run("init", "--config", tmp_path / "config.json", "--seed", 3, "-o", tmp_path / "small.safetensors")
    assert done.exit_code == 0, done.output
    return tmp_path


def test_keys_as_json():
    shapes = json.loads(run("keys", "--model", "nava_6b", "--json").output)
    assert shapes["backbone.patch_embedding.weight"] == [3072, 48, 1, 2, 2]
    assert len(shapes) == 1052


def test_keys_for_people_end_on_the_count():
    result = run("keys", "--model", "nava_30ufl")
    assert result.output.splitlines()[-1].endswith("tensors, 5,541,467,840 parameters")


def test_an_unknown_model_is_one_line_and_exit_code_2():
    result = run("keys", "--model", "nava_7b")
    refused(result, "unknown model 'nava_7b'; there are tiny")


def test_init_writes_what_training_starts_from_and_says_what_to_do_next(tmp_path):
    done = run("init", "--model", "tiny", "--seed", 5, "-o", tmp_path / "tiny.safetensors")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path}/tiny.safetensors: 173 tensors")
    assert lines[1].startswith("next: nava model package --weights")
    assert "--model tiny" in lines[1]
    made, built = meta_model(MODELS["tiny"]()), NavaTransformer(MODELS["tiny"](), seed=5)
    load_weights(made, tmp_path / "tiny.safetensors")
    for one, other in zip(made.state_dict().values(), built.state_dict().values()):
        assert torch.equal(one, other)


def test_init_in_another_form_and_in_shards(tmp_path):
    done = run("init", "--model", "tiny", "--dtype", "bf16", "--max-shard-gb", 0.001, "-o", tmp_path / "t.safetensors")
    assert done.exit_code == 0
    assert (tmp_path / "t.safetensors.index.json").name in done.stdout
    assert len(list(tmp_path.glob("t-*.safetensors"))) == 3
    refused(run("init", "--model", "tiny", "-o", tmp_path / "t.safetensors"), "t.safetensors.index.json exists")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--model", "tiny", "--seed", "-1"], "-1"),
        (["--model", "nava_7b"], "unknown model 'nava_7b'"),
        ([], "--model NAME or --config FILE"),
        (["--model", "tiny", "--config", "config.json"], "--model NAME or --config FILE"),
        (["--config", "nowhere.json"], "nowhere.json"),
    ],
)
def test_init_with_wrong_settings(tmp_path, arguments, part):
    result = run("init", *arguments, "-o", tmp_path / "m.safetensors")
    assert result.exit_code == 2
    assert part in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "part"),
    [("{", "cannot be read as JSON"), ("[]", "no JSON object"), ('{"width": 3}', "settings that no model has: width")],
)
def test_a_file_of_settings_that_is_none(tmp_path, text, part):
    (tmp_path / "c.json").write_text(text)
    refused(run("init", "--config", tmp_path / "c.json", "-o", tmp_path / "m.safetensors"), "c.json", part)
    assert not (tmp_path / "m.safetensors").exists()


def test_an_existing_file_is_left_alone(small):
    before = (small / "small.safetensors").read_bytes()
    for command in (
        ("init", "--model", "tiny", "-o", small / "small.safetensors"),
        ("convert", small / "small.safetensors", small / "small.safetensors", "--to", "bf16"),
    ):
        refused(run(*command), "small.safetensors exists")
    assert (small / "small.safetensors").read_bytes() == before


def test_convert_there_and_back(small):
    for source, target, form in (("small", "narrow", "bf16"), ("small", "eight", "fp8"), ("eight", "wide", "released")):
        done = run("convert", small / f"{source}.safetensors", small / f"{target}.safetensors", "--to", form)
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith(f"{small}/{target}.safetensors: ")
        assert "next: nava model package" in done.stdout
    wide, narrow = load_file(small / "wide.safetensors"), load_file(small / "narrow.safetensors")
    assert set(wide) == set(narrow) == set(load_file(small / "small.safetensors"))
    assert {str(tensor.dtype) for tensor in wide.values()} == {"torch.float32"}
    assert (
        "28 weights in eight bits"
        in run("convert", small / "small.safetensors", small / "again.safetensors", "--to", "fp8").stdout
    )


def test_convert_refuses_what_is_damaged_dangerous_or_missing(small, monkeypatch):
    content = (small / "small.safetensors").read_bytes()
    (small / "cut.safetensors").write_bytes(content[:-100])

    class Command:
        def __reduce__(self):
            import os

            return os.system, (f"touch {small}/ran",)

    torch.save({"state_dict": {"a": Command()}}, small / "evil.ckpt")
    save_file({"conv.weight": torch.ones(1)}, small / "vae.safetensors")
    for name, parts in {
        "cut.safetensors": ("cut short in tensor 'backbone.",),
        "evil.ckpt": ("code", "not opened"),
        "vae.safetensors": ("holds no NAVA model",),
        "nowhere": ("NAVA.safetensors (25.2 GB, licence Apache-2.0) is not at", "ernie-research/NAVA"),
    }.items():
        result = run("convert", small / name, small / "out.safetensors", "--to", "bf16")
        refused(result, name, *parts)
        assert not (small / "out.safetensors").exists()
    assert not (small / "ran").exists()
    refused(
        run("convert", small / "small.safetensors", small / "out.safetensors", "--to", "bf16", "--model", "tiny"),
        "lacks 'double_blocks.1",
    )


def test_weights_from_a_hub_mirror(small):
    mirror = small / "hub" / "ernie-research" / "NAVA"
    mirror.mkdir(parents=True)
    (small / "small.safetensors").rename(mirror / "NAVA.safetensors")
    assert run("convert", small / "hub", small / "out.safetensors", "--to", "bf16").exit_code == 0


@pytest.fixture
def wan_mirror(small):
    """A Wan model of the same sizes in its own naming, where a hub mirror has it."""
    config = ModelConfig(**SMALL)
    shapes = shapes_of(meta_model(config))
    found = {name: wan_source(name, config) for name in shapes}
    tensors = {
        source[0]: torch.randn(shapes[name]) for name, source in found.items() if source is not None and not source[1]
    }
    folder = small / "hub" / "Wan-AI" / "Wan2.2-TI2V-5B"
    folder.mkdir(parents=True)
    save_file(tensors, folder / "diffusion_pytorch_model-00001-of-00001.safetensors")
    weight_map = dict.fromkeys(tensors, "diffusion_pytorch_model-00001-of-00001.safetensors")
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    return small / "hub", tensors


def test_from_wan_copies_prints_a_table_and_writes_the_report(small, wan_mirror):
    hub, tensors = wan_mirror
    output, report = small / "grown.safetensors", small / "report.json"
    done = run("from-wan", hub, "--config", small / "config.json", "-o", output, "--report", report)
    assert done.exit_code == 0, done.output
    assert "fusion layers" in done.stdout
    assert "copied from Wan" in done.stdout
    assert "new: xavier uniform" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("next: nava model package")
    value = json.loads(report.read_text())
    assert value["naming"] == "original"
    assert value["copied"]["tensors"] == len(tensors)
    stored = load_file(output)
    assert torch.equal(stored["backbone.single_blocks.0.ffn.0.weight"], tensors["blocks.1.ffn.0.weight"])


def test_from_wan_without_wan(small):
    arguments = ("--config", small / "config.json", "-o", small / "o.safetensors", "--report", small / "r.json")
    refused(run("from-wan", small / "nowhere", *arguments), "20 GB", "Wan-AI/Wan2.2-TI2V-5B")
    refused(run("from-wan", small / "small.safetensors", *arguments), "small.safetensors", "not Wan2.2 weights")
    assert not (small / "o.safetensors").exists()
    assert not (small / "r.json").exists()


def test_outputs_of_from_wan_are_refused_before_anything_is_read(small):
    (small / "file").touch()
    good, under = small / "o.safetensors", small / "file" / "sub" / "o.safetensors"
    index = small / "o.safetensors.index.json"
    before = sorted(small.iterdir())
    for output, report, reason in (
        (good, good, "is named for two outputs"),
        (good, small / "nowhere" / ".." / "o.safetensors", "is named for two outputs"),
        (good, index, "is named for two outputs"),
        (good, under, "file: Not a directory"),
        (under, small / "r.json", "file: Not a directory"),
        (good, small / "file", "exists already"),
        (good, small / ("r" * 300), "File name too long"),
        (small, small / "r.json", "exists already"),
    ):
        # Were the outputs not looked at first, the weights would be missed.
        result = run("from-wan", small / "no wan", "--model", "tiny", "-o", output, "--report", report)
        refused(result, reason)
        assert sorted(small.iterdir()) == before


def test_outputs_under_a_file_are_refused_before_anything_is_read(small):
    (small / "file").touch()
    before = sorted(small.iterdir())
    output = small / "file" / "new"
    package = ("package", "--weights", small / "no weights", "--model", "tiny", "--codec", small / "no codec")
    for command in (
        ("init", "--model", "tiny", "-o", output),
        ("convert", small / "no weights", output, "--to", "bf16"),
        (*package, "-o", output, "--key-dir", small / "keys"),
        (*package, "-o", small / "package", "--key-dir", output),
    ):
        refused(run(*command), "cannot be written", "file: Not a directory")
        assert sorted(small.iterdir()) == before


def test_the_signing_key_is_made_in_the_users_configuration_folder(small, monkeypatch):
    monkeypatch.chdir(small)
    monkeypatch.setattr(click, "get_app_dir", lambda name: str(small / "home" / name))
    write_codecs(small / "codec")
    done = run("package", "--weights", "small.safetensors", "--config", "config.json", "--codec", "codec", "-o", "p")
    assert done.exit_code == 0, done.output
    private = small / "home" / "nava" / "keys" / "package-signing.key"
    assert private.stat().st_mode & 0o777 == 0o600
    assert f"--public-key {private.with_suffix('.pub')}" in done.stdout
    assert not (small / "keys").exists()
    assert "[default: (keys in your configuration folder of nava)]" in " ".join(run("package", "--help").output.split())


def test_package(small):
    write_codecs(small / "codec")
    arguments = (
        "--weights",
        small / "small.safetensors",
        "--config",
        small / "config.json",
        "--codec",
        small / "codec",
    )
    done = run("package", *arguments, "-o", small / "package", "--key-dir", small / "keys", "--steps", 3)
    assert done.exit_code == 0, done.output
    first, following = done.stdout.splitlines()
    sha256 = first.split("package ")[-1].split(",")[0]
    public_key = small / "keys" / "package-signing.pub"
    assert load_package(small / "package", public_key, sha256).weights.is_file()
    assert following.startswith(f"next: nava generate --package {small}/package --public-key {public_key}")
    assert json.loads((small / "package" / "generation.json").read_text())["sampler"]["steps"] == 3


def test_a_package_that_does_not_fit_is_not_made(small):
    write_codecs(small / "codec")
    arguments = ("--weights", small / "small.safetensors", "--codec", small / "codec", "-o", small / "package")
    refused(run("package", *arguments, "--model", "tiny"), "small.safetensors lacks")
    refused(run("package", *arguments, "--config", small / "config.json", "--frames", 50), "4n + 1")
    assert not (small / "package").exists()
