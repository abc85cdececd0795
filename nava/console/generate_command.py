"""`nava generate`: a prompt in, a film out; or a file of requests in, a folder of films out."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nava.runtime.errors import EXIT_DONE, EXIT_FAILED, EXIT_WRONG_INPUT, InputError

if TYPE_CHECKING:
    from nava.generation.pipeline import Generator, OnStep
    from nava.generation.request import Request, SamplerOverrides

PATH = click.Path(path_type=Path)
DEFAULT_RUN = Path("runs/demo")
WEIGHTS_CACHE = Path("~/.cache/nava/weights")

# What a model can compute on.
_DEVICES = ("cpu", "cuda", "mps")


@click.command("generate")
@click.option("--prompt", help="What is to be seen and heard; spoken words between <S> and <E>.")
@click.option("--image", type=PATH, help="Picture that the clip begins with.")
@click.option("--voice", "voices", multiple=True, metavar="[NAME=]FILE", help="Voice for the i-th <S>, or by name.")
@click.option("--task", help="T2AV, TI2AV, T2A, T2V or TIA2AV; inferred from what is given (.wav: T2A).")
@click.option("--seconds", type=float, help="Length; the package's own by default.")
@click.option("--frames", type=int, help="Length in frames, 4n + 1, instead of --seconds.")
@click.option("--size", metavar="WIDTHxHEIGHT", help="Pixels, for example 1280x704; the package's own by default.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed and request give the same bytes.")
@click.option("--output", "-o", type=PATH, help="File to write: .mp4, or .wav for sound alone.")
@click.option("--requests", type=PATH, help="JSONL file, a request per line: prompt, image_path, spk_wavs, id, seed.")
@click.option("--output-dir", type=PATH, help="Folder for the clips of --requests; what is finished there is kept.")
@click.option("--run-dir", type=PATH, help=f"Run whose champion generates.  [default: {DEFAULT_RUN}]")
@click.option("--package", type=PATH, help="Model package to use instead of a run's champion.")
@click.option("--public-key", type=PATH, help="Key that the signature of --package is verified with.")
@click.option(
    "--unsigned",
    is_flag=True,
    help="Generate from a package whose signature is not verified; its files are compared with its own list only.",
)
@click.option("--weights", help="Where published weights lie that the package refers to: folder, hub mirror or bucket.")
@click.option("--steps", type=int, help="Sampling steps.")
@click.option("--mode", help="corrected, or release: as the published code samples.")
@click.option("--guidance-video", "video_text", type=float, help="How closely the picture follows the prompt.")
@click.option("--guidance-audio", "audio_text", type=float, help="How closely the sound follows the prompt.")
@click.option("--guidance-video-align", "video_align", type=float, help="How closely the picture follows the sound.")
@click.option("--guidance-audio-align", "audio_align", type=float, help="How closely the sound follows the picture.")
@click.option("--guidance-timbre", "audio_timbre", type=float, help="How closely speech follows the reference voices.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ...")
@click.option("--dtype", help="float32 or bfloat16; by default float32 on a CPU and bfloat16 on a GPU.")
@click.option("--fp8", is_flag=True, help="Hold the transformer's linear maps in eight bits.")
@click.option("--offload", type=int, default=0, metavar="N", help="Keep blocks on the host, N at a time on the GPU.")
@click.option("--compile", "compile_blocks", is_flag=True, help="Compile the transformer: slower start, faster steps.")
def generate(**given: Any) -> None:
    """Generate a clip from a prompt, or many from a file of requests.

    Every request is checked whole before anything is generated; a bad one is told in one line. Beside each clip lies a
    file of its name and .json that says how it was made. Options left out are the package's own, with which it was
    evaluated. In batches, lines that are wrong are listed and the others generated.

    Exit codes: 0 done, 1 failed, 2 wrong input (of a batch: of one line or more).
    """
    if (given["prompt"] is None) == (given["requests"] is None):
        raise InputError("give either --prompt and --output, or --requests and --output-dir")
    sys.exit(_one(given) if given["requests"] is None else _many(given))


def _one(given: dict[str, Any]) -> int:
    from dataclasses import replace

    from nava.generation.output import SOUND_SUFFIX, check_output, check_overwriting, sidecar_path, write_output
    from nava.generation.request import Task

    output = given["output"]
    if output is None or given["output_dir"] is not None:
        raise InputError("output: name the file to write with --output; --output-dir belongs to --requests")
    request = _request(given)
    if request.task is None and request.image is None and output.suffix.lower() == SOUND_SUFFIX:
        request = replace(request, task=Task.T2A)
    check_output(output, pictures=request.task is not Task.T2A)
    check_overwriting(output, request)
    generator = _generator(given)
    request = replace(request, sampler=_overrides(given).apply(generator.sampler))
    plan = generator.plan(request)
    _writable(output.parent)
    if plan.dropped_words:
        click.echo(f"note: the last {plan.dropped_words} words of the prompt do not fit and are ignored", err=True)
    with _progress() as on_step:
        (clip,) = generator.fulfil([plan], on_step=on_step)
    write_output(clip, output, generator)
    click.echo(f"{output}: {_described(clip)}; how it was made: {sidecar_path(output)}")
    return EXIT_DONE


def _many(given: dict[str, Any]) -> int:
    from dataclasses import replace

    from nava.generation.batch import BatchLine, read_batch, run_batch

    folder = given["output_dir"]
    if folder is None or given["output"] is not None:
        raise InputError("output-dir: name the folder for the clips with --output-dir; --output belongs to --prompt")
    if given["image"] is not None or given["voices"]:
        raise InputError("image and voices of a batch stand in its lines, as image_path and spk_wavs")
    defaults = _request(given)
    lines = read_batch(given["requests"], defaults)
    generator = _generator(given)
    sampler = _overrides(given).apply(generator.sampler)
    lines = [
        line if line.request is None else replace(line, request=replace(line.request, sampler=sampler))
        for line in lines
    ]
    _writable(folder)

    def tell(line: BatchLine, outcome: str) -> None:
        bad = outcome.startswith(("refused", "failed"))
        click.echo(f"line {line.number} ({line.name}): {outcome}", err=bad)

    with _progress() as on_step:
        result = run_batch(lines, generator, folder, on_line=tell, on_step=on_step)
    counts: dict[str, dict[int, Any]] = {
        "written": result.written,
        "finished already": result.skipped,
        "refused": result.refused,
        "failed": result.failed,
    }
    click.echo(f"{folder}: " + ", ".join(f"{len(numbers)} {name}" for name, numbers in counts.items() if numbers))
    if result.refused:
        return EXIT_WRONG_INPUT
    return EXIT_FAILED if result.failed else EXIT_DONE


def _request(given: dict[str, Any]) -> Request:
    """The request of the options; of a batch what its lines take where they say nothing."""
    from nava.generation.request import Request, parse_size, parse_task, parse_voice

    return Request(
        prompt=given["prompt"] or "",
        seed=given["seed"],
        task=None if given["task"] is None else parse_task(given["task"]),
        seconds=given["seconds"],
        frames=given["frames"],
        size=None if given["size"] is None else parse_size(given["size"]),
        image=given["image"],
        voices=tuple(parse_voice(voice) for voice in given["voices"]),
    )


def _overrides(given: dict[str, Any]) -> SamplerOverrides:
    from dataclasses import fields

    from nava.generation.request import SamplerOverrides

    return SamplerOverrides(**{field.name: given[field.name] for field in fields(SamplerOverrides)})


def _generator(given: dict[str, Any]) -> Generator:
    """The generator of the package that the options name, its signature verified unless --unsigned is given."""
    import tempfile
    from functools import partial

    from nava.artifacts.model_package import load_package
    from nava.generation.loading import load_generator
    from nava.registry.package_store import fetch_package
    from nava.serving.command import champion_package

    if given["offload"] < 0:
        raise InputError(f"offload: {given['offload']} is no number of blocks; 0 keeps all on the device")
    device = _device(given["device"])
    load = partial(
        load_generator,
        weights=given["weights"],
        device=device,
        dtype=_dtype(given["dtype"], device),
        cache=WEIGHTS_CACHE.expanduser(),
        fp8=given["fp8"],
        offload_group=given["offload"],
        compile_blocks=given["compile_blocks"],
    )
    if given["package"] is not None:
        if given["run_dir"] is not None:
            raise InputError("package: give --package or --run-dir, not both")
        folder, key = given["package"], given["public_key"]
        if (key is None) != given["unsigned"]:
            raise InputError(
                "package: give --public-key FILE to verify its signature, or --unsigned to load it unverified"
                + ("" if key is None else ", not both")
            )
        return load(folder if key is None else load_package(folder, key))
    if given["public_key"] is not None or given["unsigned"]:
        name = "unsigned" if given["unsigned"] else "public-key"
        raise InputError(f"{name}: it belongs to --package; a run's champion is verified with the run's own key")
    run_dir = given["run_dir"] or DEFAULT_RUN
    if not (run_dir / "store.db").is_file():
        raise InputError(f"no run in {run_dir}; `nava pipeline run lifecycle` makes one, or give --package")
    champion = champion_package(run_dir.resolve())
    with tempfile.TemporaryDirectory(prefix="nava-package-") as cache:
        package = load_package(fetch_package(champion.uri, Path(cache)), champion.public_key, champion.sha256)
        return load(package)


def _device(name: str) -> Any:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.partition(":")[0] not in _DEVICES:
        raise InputError(f"device: {name!r} is not one of auto, {', '.join(_DEVICES)}")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    # What torch raises for a device that it was not built for differs from device to device.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"device: {name!r} is not to be had here: {' '.join(str(error).split())}") from error
    return device


def _dtype(name: str | None, device: Any) -> Any:
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name is None:
        return known["float32" if device.type == "cpu" else "bfloat16"]
    if name not in known:
        raise InputError(f"dtype: {name!r} is unknown; there are {', '.join(known)}")
    return known[name]


def _writable(folder: Path) -> None:
    """Make the folder, or say now that nothing can be written there, and not after the work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output: {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"output: nothing can be written to {folder}")


@contextlib.contextmanager
def _progress() -> Iterator[OnStep]:
    """A bar on a terminal; plain lines now and then where the output goes elsewhere."""
    if sys.stderr.isatty():
        with contextlib.ExitStack() as bars:
            yield _bar(bars)
    else:
        yield _lines()


def _bar(bars: contextlib.ExitStack) -> Callable[[int, int], None]:
    state: dict[str, Any] = {}

    def on_step(done: int, total: int) -> None:
        if done == 1:
            bars.close()
            state["bar"] = bars.enter_context(click.progressbar(length=total, label="steps", file=sys.stderr))
        state["bar"].update(1)
        if done == total:
            bars.close()

    return on_step


def _lines() -> Callable[[int, int], None]:
    from nava.runtime.progress import Progress

    progress, state = Progress(), {}

    def on_step(done: int, total: int) -> None:
        if done == 1:
            state["steps"] = progress(range(total), total, "steps")
            next(state["steps"])
        # A step is over when the next one is asked for; asking after the last prints the closing line.
        next(state["steps"], None)

    return on_step


def _described(clip: Any) -> str:
    """What a clip is, for people: pictures, sound, length."""
    parts = []
    if clip.frames is not None:
        frames, height, width, _ = clip.frames.shape
        parts.append(f"{frames} frames of {width}x{height} at {clip.fps:g} fps ({frames / clip.fps:.2f} s)")
    if clip.samples is not None:
        length_s = clip.samples.shape[-1] / clip.sample_rate
        channels = "mono" if clip.samples.ndim == 1 else "stereo"
        parts.append(f"{length_s:.2f} s of {channels} sound at {clip.sample_rate / 1000:g} kHz")
    return ", ".join(parts)
