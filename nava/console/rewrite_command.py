"""`nava rewrite`: a plain prompt to a structured one; or a file of prompts to a file that `nava generate` takes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nava.runtime.errors import EXIT_DONE, EXIT_FAILED, InputError

if TYPE_CHECKING:
    from nava.conditioning.speech import SpeechSpan
    from nava.config.rewriting import RewritingConfig
    from nava.rewriting.batch import BatchResult

PATH = click.Path(path_type=Path)


@click.command("rewrite")
@click.argument("prompt", required=False)
@click.option("--in", "input_path", type=PATH, help="JSONL file: prompt, and any speech, audio_prompt, task.")
@click.option("--out", "output_path", type=PATH, help="JSONL file to make; what is in it is not asked again.")
@click.option("--speech", multiple=True, metavar="[SPEAKER=]WORDS", help="What is said, in its order.")
@click.option("--audio-prompt", default="", help="What is heard beside speech.")
@click.option("--task", default="T2AV", show_default=True, help="T2AV, TI2AV, T2A, T2V or TIA2AV.")
@click.option("--quotes-are-speech", is_flag=True, help="Words in double quotes are spoken, as if they were marked.")
@click.option("--settings", type=PATH, help="YAML file with settings: rewriter, endpoint, cache_dir, max_cost_usd ...")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="NAME=VALUE",
    help="One setting, e.g. rewriter=endpoint.",
)
@click.option("--again", is_flag=True, help="Ask again for lines of --out that the rules had to step in for.")
@click.option("--json", "as_json", is_flag=True, help="Print the prompt with who made it and how.")
def rewrite(**given: Any) -> None:
    """Rewrite PROMPT, or the lines of a file, in the form that the model was trained on.

    By default rules sort what was given into the parts of the template and add nothing; with rewriter=endpoint a model
    writes it out. Spoken words, between <S> and <E> or given as speech, come back letter for letter; if a model loses
    them it is told so and asked again, and at last the rules step in, which is said.

    Keys of endpoints are read from the environment variable that endpoint.api_key_variable names.

    Exit codes: 0 done, 1 some lines failed, 2 wrong input or setting.
    """
    if (given["prompt"] is None) == (given["input_path"] is None):
        raise InputError("give either a prompt, or --in and --out")
    config = rewriting_config(given["settings"], given["overrides"])
    sys.exit(_one(given, config) if given["input_path"] is None else _many(given, config))


def _one(given: dict[str, Any], config: RewritingConfig) -> int:
    from nava.rewriting.request import RewriteRequest
    from nava.rewriting.rewriter import make_rewriter

    if given["output_path"] is not None or given["again"]:
        raise InputError("--out and --again belong to --in")
    speech = tuple(_span(text) for text in given["speech"])
    request = RewriteRequest(
        given["prompt"], speech, given["audio_prompt"], given["task"].upper(), given["quotes_are_speech"]
    )
    result = make_rewriter(config).rewrite(request)
    if given["as_json"]:
        click.echo(json.dumps({"prompt": result.text, "rewriting": result.to_json()}, indent=2, ensure_ascii=False))
        return EXIT_DONE
    click.echo(result.text)
    for problem in result.problems:
        click.echo(f"note: {problem}", err=True)
    return EXIT_DONE


def _many(given: dict[str, Any], config: RewritingConfig) -> int:
    from nava.rewriting.batch import Line, read_lines, rewrite_batch
    from nava.rewriting.request import TASKS
    from nava.rewriting.rewriter import make_rewriter

    source, output = given["input_path"], given["output_path"]
    if output is None:
        raise InputError("--out: name the file for the rewritten lines")
    if source.resolve() == output.resolve():
        raise InputError(f"--out: {output} is the input itself; name another file")
    if given["speech"] or given["audio_prompt"] or given["as_json"]:
        raise InputError("--speech, --audio-prompt and --json belong to a single prompt; lines have fields for them")
    task = given["task"].upper()
    if task not in TASKS:
        raise InputError(f"--task: {given['task']!r} is unknown; there are {', '.join(TASKS)}")
    rewriter = make_rewriter(config)
    lines = read_lines(source, rewriter, task, quotes_are_speech=given["quotes_are_speech"])

    def tell(line: Line, outcome: str) -> None:
        click.echo(f"line {line.number}: {outcome}", err=outcome.startswith("failed"))

    result = rewrite_batch(lines, rewriter, output, in_flight=config.max_in_flight, again=given["again"], on_line=tell)
    click.echo(f"{output}: {_summary(result)}")
    return EXIT_FAILED if result.failed else EXIT_DONE


def _summary(result: BatchResult) -> str:
    counts = {
        "rewritten": len(result.written),
        "there already": len(result.kept),
        "of these by the rules instead of the endpoint": len(result.fell_back),
        "failed": len(result.failed),
        "of an earlier input dropped": result.outdated,
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing to do"


def rewriting_config(settings: Path | None, overrides: tuple[str, ...]) -> RewritingConfig:
    """The settings of a file with single ones changed. InputError: a setting that there is not, or a wrong value."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from nava.config.rewriting import RewritingConfig
    from nava.runtime.step import typed_section

    if wrong := [text for text in overrides if "=" not in text]:
        raise InputError(f"--set: {wrong[0]!r} is not NAME=VALUE")
    try:
        given = OmegaConf.load(settings) if settings is not None else OmegaConf.create({})
        values: Any = OmegaConf.merge(given, OmegaConf.from_dotlist(list(overrides)))
        config = typed_section(RewritingConfig, values)
    except OSError as error:
        raise InputError(f"--settings: {settings} cannot be read: {error.strerror or error}") from error
    except (OmegaConfBaseException, YAMLError, ValueError) as error:
        raise InputError(f"settings of rewriting: {' '.join(str(error).split())}") from error
    config.check()
    return config


def _span(text: str) -> SpeechSpan:
    """Speech as people write it: the words, or `Speaker=words`."""
    from nava.conditioning.speech import SpeechSpan

    named = re.fullmatch(r"([^=]+)=(.*)", text, re.DOTALL)
    return SpeechSpan(named[2].strip(), named[1].strip()) if named else SpeechSpan(text.strip())
