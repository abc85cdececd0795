"""The options that say which model generates, how it samples and on what; shared by the commands that generate."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nava.runtime.errors import InputError

if TYPE_CHECKING:
    from nava.artifacts.model_package import ModelPackage
    from nava.generation.pipeline import Generator
    from nava.generation.request import SamplerOverrides

PATH = click.Path(path_type=Path)
DEFAULT_RUN = Path("runs/demo")
WEIGHTS_CACHE = Path("~/.cache/nava/weights")
Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--run-dir", type=PATH, help=f"Run whose champion generates.  [default: {DEFAULT_RUN}]"),
    click.option("--package", type=PATH, help="Model package to use instead of a run's champion."),
    click.option("--public-key", type=PATH, help="Key that the signature of --package is verified with."),
    click.option(
        "--unsigned",
        is_flag=True,
        help="Generate from a package whose signature is not verified; its files are compared with its own list only.",
    ),
    click.option(
        "--weights", help="Where published weights lie that the package refers to: folder, hub mirror or bucket."
    ),
    click.option("--steps", type=int, help="Sampling steps."),
    click.option("--mode", help="corrected, or release: as the published code samples."),
    click.option("--guidance-video", "video_text", type=float, help="How closely the picture follows the prompt."),
    click.option("--guidance-audio", "audio_text", type=float, help="How closely the sound follows the prompt."),
    click.option(
        "--guidance-video-align", "video_align", type=float, help="How closely the picture follows the sound."
    ),
    click.option(
        "--guidance-audio-align", "audio_align", type=float, help="How closely the sound follows the picture."
    ),
    click.option(
        "--guidance-timbre", "audio_timbre", type=float, help="How closely speech follows the reference voices."
    ),
    click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ..."),
    click.option("--dtype", help="float32 or bfloat16; by default float32 on a CPU and bfloat16 on a GPU."),
    click.option("--fp8", is_flag=True, help="Hold the transformer's linear maps in eight bits."),
    click.option(
        "--offload", type=int, default=0, metavar="N", help="Keep blocks on the host, N at a time on the GPU."
    ),
    click.option(
        "--compile", "compile_blocks", is_flag=True, help="Compile the transformer: slower start, faster steps."
    ),
)


def generator_options(command: Command) -> Command:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def sampler_overrides(given: dict[str, Any]) -> SamplerOverrides:
    """The sampler settings among the options."""
    from dataclasses import fields

    from nava.generation.request import SamplerOverrides

    return SamplerOverrides(**{field.name: given[field.name] for field in fields(SamplerOverrides)})


def load_given(given: dict[str, Any]) -> Generator:
    """The generator of the package that the options name, its signature verified unless --unsigned is given."""
    load = given_loader(given)
    with given_package(given) as package:
        return load(package)


def given_loader(given: dict[str, Any]) -> partial[Generator]:
    """What makes a generator of a package, on the device and in the number format of the options."""
    from nava.generation.device import device_named, dtype_named
    from nava.generation.loading import load_generator

    if given["offload"] < 0:
        raise InputError(f"offload: {given['offload']} is no number of blocks; 0 keeps all on the device")
    device = device_named(given["device"])
    return partial(
        load_generator,
        weights=given["weights"],
        device=device,
        dtype=dtype_named(given["dtype"], device),
        cache=WEIGHTS_CACHE.expanduser(),
        fp8=given["fp8"],
        offload_group=given["offload"],
        compile_blocks=given["compile_blocks"],
    )


@contextlib.contextmanager
def given_package(given: dict[str, Any]) -> Iterator[ModelPackage]:
    """The package that the options name; a champion's that lies in a bucket is here while the block runs."""
    import tempfile

    from nava.artifacts.model_package import load_package, load_unsigned
    from nava.registry.champion import champion_package
    from nava.registry.package_store import fetch_package

    if given["package"] is not None:
        if given["run_dir"] is not None:
            raise InputError("package: give --package or --run-dir, not both")
        folder, key = given["package"], given["public_key"]
        if (key is None) != given["unsigned"]:
            raise InputError(
                "package: give --public-key FILE to verify its signature, or --unsigned to load it unverified"
                + ("" if key is None else ", not both")
            )
        yield load_unsigned(folder) if key is None else load_package(folder, key)
        return
    if given["public_key"] is not None or given["unsigned"]:
        name = "unsigned" if given["unsigned"] else "public-key"
        raise InputError(f"{name}: it belongs to --package; a run's champion is verified with the run's own key")
    run_dir = given["run_dir"] or DEFAULT_RUN
    if not (run_dir / "store.db").is_file():
        raise InputError(f"no run in {run_dir}; `nava pipeline run lifecycle` makes one, or give --package")
    champion = champion_package(run_dir.resolve())
    with tempfile.TemporaryDirectory(prefix="nava-package-") as cache:
        yield load_package(fetch_package(champion.uri, Path(cache)), champion.public_key, champion.sha256)
