"""`nava model`: look at a model's tensors, make weights, convert them, put them into a package."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from nava.console.encoders_command import encoders
from nava.console.output_paths import require_new, require_writable
from nava.console.parity_command import parity

_FILE = click.Path(path_type=Path)
# Published files of NAVA itself, as a hub mirror or a bucket has them.
_NAVA = ("nava", "nava_fp8", "nava_ckpt")


@click.group("model")
def model() -> None:
    """Models and their weights."""


model.add_command(encoders)
model.add_command(parity)


def _architecture(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option("--config", "config_file", type=_FILE, help="Instead of a size: a JSON file of settings.")(
        command
    )
    return click.option("--model", "name", help="A size by name; `nava model keys --model x` lists them.")(command)


def _output(command: Callable[..., None]) -> Callable[..., None]:
    shard = click.option("--max-shard-gb", type=click.FloatRange(min=0.001), help="Split into files of this size.")
    return click.option("-o", "--output", type=_FILE, required=True, help="The new safetensors file.")(shard(command))


_CACHE = click.option("--cache", type=_FILE, help="Where files of a bucket are kept here.")
_FORM = click.option(
    "--dtype", "form", type=click.Choice(["fp32", "bf16", "fp8"]), default="fp32", show_default=True, help="Stored as."
)
_SEED = click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Draws what is new."
)


@model.command("keys")
@click.option("--model", "name", default="nava_6b", show_default=True, help="A size by name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, name to shape.")
def keys_command(name: str, as_json: bool) -> None:
    """Every tensor of a model with its shape, and how many parameters they are."""
    from nava.model.keys import model_shapes, parameter_count

    shapes = model_shapes(name)
    if as_json:
        click.echo(json.dumps(shapes, indent=1))
        return
    for key, shape in shapes.items():
        click.echo(f"{key} {shape}")
    click.echo(f"{len(shapes)} tensors, {parameter_count(shapes):,} parameters")


@model.command("init")
@_architecture
@_SEED
@_FORM
@_output
def init_command(
    name: str | None, config_file: Path | None, seed: int, form: Any, output: Path, max_shard_gb: float | None
) -> None:
    """Weights of a model that was never trained, written tensor by tensor: they need not fit into memory.

    The values are those that training with this seed starts from.
    """
    from nava.model.keys import config_of, meta_model
    from nava.model.weights.fresh import write_fresh

    config = config_of(name, config_file)
    _require_new(output)
    with _progress("drawing", len(meta_model(config).state_dict())) as each:
        report = write_fresh(config, seed, output, form, max_shard_bytes=_bytes(max_shard_gb), each=each)
    click.echo(str(report))
    click.echo(f"next: {_package_hint(report.path, name, config_file)}")


@model.command("from-wan")
@click.argument("wan")
@_architecture
@_CACHE
@click.option("--report", "report_file", type=_FILE, required=True, help="JSON: where each tensor comes from.")
@click.option(
    "--audio-from",
    type=click.Choice(["fresh", "video"]),
    default="fresh",
    show_default=True,
    help="The audio stream: drawn anew, or a copy of the video stream.",
)
@_SEED
@_FORM
@_output
def from_wan_command(
    wan: str,
    name: str | None,
    config_file: Path | None,
    cache: Path | None,
    report_file: Path,
    audio_from: Any,
    seed: int,
    form: Any,
    output: Path,
    max_shard_gb: float | None,
) -> None:
    """Weights grown from Wan2.2-TI2V at WAN: a file, an index of shards, a folder, a hub mirror or a bucket address.

    Safetensors and .pth files, Wan's own names and diffusers' are understood.
    """
    from nava.model.keys import config_of, meta_model
    from nava.model.weights.files import find_weights
    from nava.model.weights.wan import write_from_wan
    from nava.runtime.storage import write_json

    config = config_of(name, config_file)
    _require_new(output, report_file)
    source = find_weights(wan, ("wan_ti2v_5b", "wan_ti2v_5b_diffusers"), cache)
    with _progress("copying", len(meta_model(config).state_dict())) as each:
        written, report = write_from_wan(
            source,
            config,
            output,
            form=form,
            audio_from=audio_from,
            seed=seed,
            max_shard_bytes=_bytes(max_shard_gb),
            each=each,
        )
    write_json(report_file, report.as_json())
    click.echo(report.table())
    click.echo(f"{written}: NAVA weights from {wan}; {report_file} says where each tensor comes from")
    click.echo(f"next: {_package_hint(written, name, config_file)}")


@model.command("convert")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT", type=_FILE)
@click.option(
    "--to",
    "form",
    type=click.Choice(["released", "fp8", "bf16"]),
    required=True,
    help="released: float32; fp8: the blocks' matrices in eight bits with a scale per row; bf16: all in bfloat16.",
)
@click.option("--model", "name", help="Refuse tensors that this size does not have.")
@click.option("--max-shard-gb", type=click.FloatRange(min=0.001), help="Split into files of this size.")
@_CACHE
def convert_command(
    source: str, target: Path, form: str, name: str | None, max_shard_gb: float | None, cache: Path | None
) -> None:
    """Weights in another form, under the released names.

    IN is a safetensors file in any of the forms, an index of shards, a legacy .ckpt file, a folder with one, a hub
    mirror or a bucket address.
    """
    from nava.model.keys import meta_model, named_config, shapes_of
    from nava.model.weights.export import convert_weights
    from nava.model.weights.files import find_weights, open_weights

    shapes = None if name is None else shapes_of(meta_model(named_config(name)))
    _require_new(target)
    found = find_weights(source, _NAVA, cache)
    with _progress("converting", len(open_weights(found).tensors)) as each:
        report = convert_weights(
            found,
            target,
            "fp32" if form == "released" else "fp8" if form == "fp8" else "bf16",
            shapes=shapes,
            max_shard_bytes=_bytes(max_shard_gb),
            each=each,
        )
    click.echo(str(report))
    click.echo(f"next: {_package_hint(report.path, name, None)}")


@model.command("package")
@click.option("--weights", required=True, help="Safetensors file, index of shards, folder, hub mirror or bucket.")
@_architecture
@_CACHE
@click.option("--codec", type=_FILE, required=True, help="Folder with video/, audio/, text/ and optionally timbre/.")
@click.option("-o", "--output", type=_FILE, required=True, help="The new folder.")
@click.option(
    "--key-dir",
    type=_FILE,
    # Not the working folder, which may be a repository: the private key must not be committed by accident.
    default=lambda: Path(click.get_app_dir("nava")) / "keys",
    show_default="keys in your configuration folder of nava",
    help="The signing key; made on first use.",
)
@click.option("--frames", type=click.IntRange(1), help="Of a clip, 4n + 1.  [default: by the model]")
@click.option("--height", type=click.IntRange(1), help="In pixels.  [default: by the model]")
@click.option("--width", type=click.IntRange(1), help="In pixels.  [default: by the model]")
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True), help="The longest clip.")
@click.option("--mode", type=click.Choice(["corrected", "release"]), help="Of the sampler.")
@click.option("--steps", type=click.IntRange(1), help="Of the sampler.")
@click.option("--negative-prompts", type=_FILE, help="JSON with the texts video, audio and joint, for mode release.")
@click.option("--licence", default="Apache-2.0", show_default=True, help="Of the weights.")
def package_command(
    weights: str,
    name: str | None,
    config_file: Path | None,
    cache: Path | None,
    codec: Path,
    output: Path,
    key_dir: Path,
    negative_prompts: Path | None,
    licence: str,
    **clip: Any,
) -> None:
    """A signed folder with all that turns a prompt into a clip: weights, settings, codecs and encoders, model card.

    Codecs and encoders of published weights are referred to by file name and hash; their licences are on the card.
    """
    from nava.artifacts.signature import PRIVATE_KEY_FILE
    from nava.model.keys import config_of
    from nava.model.weights.files import find_weights
    from nava.registry.release_package import clip_settings, release_package

    config = config_of(name, config_file)
    require_new(output)
    if not (key_dir / PRIVATE_KEY_FILE).exists():
        require_writable(key_dir / PRIVATE_KEY_FILE)
    made = release_package(
        output,
        weights=find_weights(weights, _NAVA, cache),
        config=config,
        codec=codec,
        clip=clip_settings(config, **clip),
        key_dir=key_dir,
        licence=licence,
        negative_prompts=negative_prompts,
    )
    click.echo(f"{made.folder}: package {made.sha256}, verified with {made.public_key}")
    click.echo(f"next: nava generate --package {made.folder} --public-key {made.public_key} --prompt '...' -o clip.mp4")


def _require_new(weights: Path, *others: Path) -> None:
    """Weights may become one file, or shards with an index: neither may be in the way of anything."""
    from nava.model.weights.writing import index_path

    require_new(weights)
    require_new(weights, index_path(weights), *others)


def _bytes(gigabytes: float | None) -> int | None:
    return None if gigabytes is None else int(gigabytes * 1e9)


def _package_hint(weights: Path, name: str | None, config_file: Path | None) -> str:
    config = f"--config {config_file}" if config_file is not None else f"--model {name or 'NAME'}"
    return f"nava model package --weights {weights} {config} --codec DIR -o DIR"


@contextmanager
def _progress(label: str, total: int) -> Iterator[Callable[[str], None]]:
    with click.progressbar(length=total, label=label, file=sys.stderr) as bar:
        yield lambda name: bar.update(1)
