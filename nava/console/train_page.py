"""The page of a training run: facts from its folder, put together for `nava.pages.training_page`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nava.pages.formats import format_number, format_seconds
from nava.pages.run_facts import ClipFacts
from nava.pages.training_page import TrainingPage, render_training
from nava.runtime.storage import read_json, write_text
from nava.training.job_file import TrainingJob, read_job
from nava.training.run_folder import JOB_FILE, METRICS_FILE, PAGE_FILE, SAMPLES, read_events, read_rows
from nava.training.run_status import read_status

if TYPE_CHECKING:
    from nava.training.run_status import RunStatus

# Of the samples, those of the last so many times.
_SHOWN = 4
_EVENTS = 200


def write_training_page(folder: Path) -> Path:
    """Draw the run of a folder as one HTML file in it.

    Raises:
        InputError: there is no run in the folder.
    """
    job, status, events = read_job(folder / JOB_FILE), read_status(folder), read_events(folder)
    page = TrainingPage(
        status=status.to_json(),
        tiles=list(_tiles(status)),
        rows=read_rows(folder / METRICS_FILE),
        events=[(event["done"], event["event"], _details(event)) for event in events if event["event"] != "samples"][
            -_EVENTS:
        ],
        validation=[(event["done"], event["loss"]) for event in events if event["event"] == "validation"],
        samples=list(_samples(folder)),
        facts=_facts(job),
        config=json.dumps(job.config, indent=2, ensure_ascii=False),
    )
    write_text(folder / PAGE_FILE, render_training(page))
    return folder / PAGE_FILE


def _tiles(status: RunStatus) -> Iterator[Mapping[str, str]]:
    left = f"{format_seconds(status.eta_s)} left" if status.eta_s is not None else status.state
    yield {"label": "Steps", "value": f"{status.step:,} of {status.steps:,}", "detail": left}
    if status.losses:
        parts = [f"{name.removeprefix('loss_')} {value:.3f}" for name, value in status.losses.items() if name != "loss"]
        yield {"label": "Loss", "value": f"{status.losses['loss']:.4f}", "detail": ", ".join(parts)}
    if status.validation:
        detail = f"at step {status.validation['step']:,}"
        yield {"label": "Validation loss", "value": f"{status.validation['loss']:.4f}", "detail": detail}
    if status.speed:
        waits = f"{100 * status.speed['data_wait_share']:.1f} % waiting for data"
        mfu = f", MFU {100 * status.speed['mfu']:.1f} %" if "mfu" in status.speed else ""
        yield {
            "label": "Speed",
            "value": f"{format_number(status.speed['tokens_per_s'])} tokens/s",
            "detail": f"{status.speed['steps_per_s']:.2f} steps/s, {waits}{mfu}",
        }
    if status.checkpoint:
        detail = f"{format_seconds(status.checkpoint.age_s)} old, {status.checkpoint.count} kept"
        yield {"label": "Checkpoint", "value": f"step {status.checkpoint.step:,}", "detail": detail}
    yield {"label": "Spikes", "value": str(status.spikes), "detail": "steps whose loss jumped"}


def _details(event: Mapping[str, Any]) -> str:
    if event["event"] == "validation":
        tasks = event.get("tasks") or {}
        means = [f"{name.replace('_', ' ')} {losses['mean']:.4f}" for name, losses in tasks.items()]
        return f"loss {event['loss']:.4f}" + (f" ({', '.join(means)})" if means else "")
    if event["event"] == "spike":
        clips = ", ".join(event["clips"])
        return f"loss {event['loss']:.4g}, above {event['limit']:.4g}; policy {event['policy']}; clips {clips}"
    return str(event.get("text", ""))


def _samples(folder: Path) -> Iterator[ClipFacts]:
    for made in sorted((folder / SAMPLES).glob("step-*"), reverse=True)[:_SHOWN]:
        listed = made / "samples.json"
        for sample in read_json(listed) if listed.is_file() else ():
            path = made / sample["file"]
            yield ClipFacts(
                path=path,
                prompt=sample["caption"],
                variant=f"step {int(made.name.removeprefix('step-')):,}",
                seed=sample["seed"],
                name=str(path.relative_to(folder)),
                href=str(path.relative_to(folder)),
            )


def _facts(job: TrainingJob) -> dict[str, Any]:
    training = job.config["training"]
    return {
        "latents": job.shards,
        "starts from": job.previous or job.init or "a new model",
        "seed": job.seed,
        "engine": f"{training['engine']}, ZeRO {training['zero_stage']}, {training['precision']}",
        "micro-batches of a step": training["micro_batches_per_step"],
        "learning rate": training["learning_rate"],
    }
