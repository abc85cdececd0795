"""`nava generate`: a prompt in, a film out; or a file of requests in, a folder of films out."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nava.console.generator_options import generator_options, load_given, sampler_overrides
from nava.runtime.errors import EXIT_DONE, EXIT_FAILED, EXIT_WRONG_INPUT, InputError

if TYPE_CHECKING:
    from nava.generation.pipeline import OnStep
    from nava.generation.request import Request

PATH = click.Path(path_type=Path)


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
@generator_options
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
    generator = load_given(given)
    request = replace(request, sampler=sampler_overrides(given).apply(generator.sampler))
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
    generator = load_given(given)
    sampler = sampler_overrides(given).apply(generator.sampler)
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
