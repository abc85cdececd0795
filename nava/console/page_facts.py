"""From what a run recorded to what its page shows."""

import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from nava.artifacts.clip_manifest import ClipRow, Status
from nava.artifacts.corpus_version import read_corpus_version
from nava.artifacts.evaluation_result import (
    ALIGN_GAIN,
    SWAP_COLOUR,
    SWAP_PITCH,
    TEXT_COLOUR,
    TEXT_PITCH,
)
from nava.console.pipeline_ir import from_repository
from nava.console.recorded_run import STAGES, RecordedRun
from nava.console.result_facts import GATES, clips, gate_facts, metric, model_version, promotion, serve_check
from nava.pages.run_facts import (
    ALL_SECTIONS,
    Command,
    CorpusFacts,
    Failure,
    LossCurve,
    PageLink,
    QualityFigure,
    Record,
    RunPage,
    SourceFacts,
    StageFacts,
    Statement,
    StepFacts,
)
from nava.runtime.errors import EXIT_INTERRUPTED
from nava.runtime.storage import read_json

TEXT_CONTROL = (TEXT_COLOUR, TEXT_PITCH, SWAP_COLOUR, SWAP_PITCH)
# What pipelines are called, and the sections of the page for those that do not fill them all.
PIPELINES = {"lifecycle": "life cycle", "ablation": "architecture ablation", "evaluate": "benchmark"}
SECTIONS = {
    "ablation": ("pipeline", "sources", "corpus", "gates", "record", "next"),
    "evaluate": ("pipeline", "record", "next"),
}
REMEDIES = {
    1: "The log has the details. The same command goes on from what is finished.",
    2: "Mend the input or the setting and run the same command again; what is finished is reused.",
    3: "Look at the rule and its records, mend the data or the recipe, and run again; the rest is reused.",
    EXIT_INTERRUPTED: "The same command goes on from what is finished.",
}


def run_page(run: RecordedRun, seconds: float) -> RunPage:
    """Everything the page of a run shows."""
    evaluation = run.evaluation
    metrics = evaluation.metrics if evaluation else []
    record = run_record(run)
    return RunPage(
        run_name=run.run_dir.name,
        run_id=run.row.run_id,
        state=run.state,  # type: ignore[arg-type]
        started_at=run.row.started_at,
        duration_s=seconds,
        title=f"NAVA {PIPELINES[run.row.pipeline]}: {run.run_dir.name}",
        pipeline=PIPELINES[run.row.pipeline],
        sections=SECTIONS.get(run.row.pipeline, ALL_SECTIONS),
        pages=[PageLink(f"page of {step}", run.href(path)) for step, path in run.pages()],
        recipe=run.row.recipe,
        git_sha=str(record.get("git_sha") or ""),
        git_dirty=bool(record.get("git_dirty")),
        steps=[step_facts(run, step) for step in run.steps],
        failure=failure(run),
        sources=sources(run),
        corpus=corpus(run),
        codec_quality=codec_quality(run),
        stages=[stage for name in STAGES if (stage := stage_facts(run, name))],
        clips=clips(run),
        metrics=[metric(item) for item in metrics if item.name not in (ALIGN_GAIN, *TEXT_CONTROL)],
        guidance=[metric(item) for item in metrics if item.name == ALIGN_GAIN],
        text_control=[metric(item) for item in metrics if item.name in TEXT_CONTROL],
        statements=[Statement(item.text, item.learned, item.family) for item in evaluation.statements]
        if evaluation
        else [],
        gates=[gate for step in GATES if (gate := gate_facts(run, step))],
        model_version=model_version(run),
        serve_check=serve_check(run),
        promotion=promotion(run),
        run_record=record,
        config=read_json(Path(run.row.parameters["config"]))["config"],
        commands=commands(run),
    )


def step_facts(run: RecordedRun, step: Any) -> StepFacts:
    """One step of the DAG."""
    return StepFacts(
        name=step.name,
        state=step.state,
        seconds=step.seconds,
        cached=step.cached,
        depends_on=step.depends_on,
        error=(step.error or {}).get("message", ""),
        log_href=run.href(Path(step.log_path)) if step.log_path else "",
        key=(step.key or "")[:16],
        peak_memory_mb=step.peak_memory_mb,
    )


def failure(run: RecordedRun) -> Failure | None:
    """Which step, which rule, which records, and what to do."""
    step = run.failed_step
    if step is None or step.error is None:
        return None
    verdict = gate_facts(run, step.name) if step.name in GATES else None
    rule = next((rule for rule in verdict.rules if rule["passed"] is False), None) if verdict else None
    code = int(step.error.get("exit_code", 1))
    return Failure(
        step=step.name,
        message=step.error["message"],
        rule=rule["rule"] if rule else "",
        records=rule["offending"] if rule else [],
        remedy=REMEDIES[code],
        exit_code=code,
        log_href=run.href(Path(step.log_path)) if step.log_path else "",
    )


def sources(run: RecordedRun) -> SourceFacts | None:
    """What went in and what became of it, with every record that was not kept."""
    if not run.clips:
        return None
    counts = run.record_counts()
    records = [_record(run, row) for row in run.clips if row["status"] != Status.KEPT]
    records += [Record(file.path, "dropped", str(file.reason), file.path, "ingest") for file in run.ignored]
    origins = Counter(source.origin or "not stated" for source in run.sources)
    licences = Counter(source.licence or "not stated" for source in run.sources)
    return SourceFacts(
        files=len(run.sources) + len(run.ignored),
        total=counts["in"],
        kept=counts["kept"],
        dropped=counts["dropped"],
        failed=counts["failed"],
        quarantined=counts["quarantined"],
        reasons=run.reason_counts(),
        records=records,
        facts={"origin": ", ".join(origins), "licence": ", ".join(licences)},
    )


def _record(run: RecordedRun, row: ClipRow) -> Record:
    assert run.clips_dir is not None
    thumbnail = run.clips_dir / row["thumbnail_path"] if row["thumbnail_path"] else None
    return Record(
        record_id=row["clip_id"],
        status=row["status"],
        reason=row["drop_reason"] or "",
        source=row["src_path"],
        stage=row["stage"],
        detail=row["detail"] or "",
        thumbnail=thumbnail,
    )


def corpus(run: RecordedRun) -> CorpusFacts | None:
    """The corpus version and how its clips divide."""
    handle = run.handle("version")
    if handle is None:
        return None
    version = read_corpus_version(handle)
    kept = [row for row in run.clips if row["status"] == Status.KEPT]
    return CorpusFacts(
        revision=version.git_revision,
        dvc_hash=version.dvc_md5,
        parent=version.parent,
        clips=len(kept),
        splits=Counter(row["split"] for row in kept),
        modalities=Counter({"av": "audio and video", "audio": "audio only"}[row["modality"]] for row in kept),
        tags=Counter(tag for row in kept for tag in row["tags"] or []),
        facts={"version": version.version, "remote": version.remote_url, "content sha256": version.content_sha256},
    )


def codec_quality(run: RecordedRun) -> list[QualityFigure]:
    """How well the codecs give back held-out clips."""
    handle = run.handle("encode")
    if handle is None:
        return []
    quality = read_json(handle.path / "reconstruction.json")
    return [QualityFigure(**figure) for figure in quality_figures(quality)]


def quality_figures(quality: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures of `reconstruction.json` with labels and units."""
    labels = {
        ("video", "psnr_db"): ("PSNR", "dB", "higher is better; 30 dB is hard to tell from the original"),
        ("video", "ssim"): ("SSIM", "", "1 is identical"),
        ("audio", "mel_error_db"): ("mel error", "dB", "lower is better"),
        ("audio", "envelope_correlation"): ("envelope correlation", "r", "1 keeps every onset"),
    }
    return [
        {"label": label, "value": quality[modality][key], "unit": unit, "modality": modality, "reading": reading}
        for (modality, key), (label, unit, reading) in labels.items()
        if quality.get(modality) and quality[modality].get(key) is not None
    ]


def stage_facts(run: RecordedRun, step: str) -> StageFacts | None:
    """Loss curves and validation of one stage."""
    handle = run.handle(step)
    if handle is None:
        return None
    from nava.training.curves import read_curves

    rows = read_curves(handle.path / "curves.jsonl")
    validation = read_json(handle.path / "validation.json")
    name = step.removeprefix("train_")
    curves = []
    for modality in ("video", "audio"):
        train = [(row.step, value) for row in rows if (value := getattr(row, f"loss_{modality}")) is not None]
        curves.append(LossCurve(modality, "train", train))
        curves.append(LossCurve(modality, "validation", _validation_points(validation, modality, rows[-1].step)))
    ratio = validation["micro_batches"]
    return StageFacts(
        name=name,
        title=f"Stage {name[-1]}",
        curves=curves,
        first_validation_loss=validation["first"]["total"],
        last_validation_loss=validation["last"]["total"],
        facts={
            "steps": rows[-1].step,
            "clips seen": rows[-1].samples,
            "audio-only : audio-video": f"{ratio['audio_only']} : {ratio['audio_video']}",
        },
    )


def _validation_points(validation: dict[str, Any], modality: str, last_step: int) -> list[tuple[float, float]]:
    """First and last validation loss of a modality: of audio-video clips, or of audio alone where there are none."""
    names = [f"av_{modality}", modality]
    points = []
    for step, moment in ((0, "first"), (last_step, "last")):
        tasks = validation[moment]["tasks"]
        task = next((tasks[name] for name in names if name in tasks), None)
        if task is not None:
            points.append((float(step), float(task["mean"])))
    return points


def run_record(run: RecordedRun) -> dict[str, Any]:
    """The run record as the registry has it; empty before registration."""
    handle = run.handle("register")
    if handle is None:
        return {}
    path = handle.path.parent / "run_record.json"
    value: dict[str, Any] = read_json(path) if path.is_file() else {}
    return value


def commands(run: RecordedRun) -> list[Command]:
    """What to do next, as commands for the project's root."""
    here = from_repository(run.run_dir)
    found = []
    version = run.model_version() if run.handle("package") else None
    if version and "champion" in version["aliases"]:
        found.append(Command("Serve the champion", _nava("serve", "--run-dir", here, "--port", "3000")))
        request = '{"prompt": "A red bar on the left flashes, with a low tone at each flash.", "seed": 1}'
        ask = f"curl -s -X POST -H 'Content-Type: application/json' -d '{request}' -o clip.mp4 http://127.0.0.1:3000/generate"
        found.append(Command("Ask it for a clip", ask))
    if version:
        found.append(Command("Versions and aliases", _nava("registry", "list", "--run-dir", here)))
    if (run.run_dir / "mlflow.db").exists():
        ui = [".venv/bin/mlflow", "ui", "--backend-store-uri", f"sqlite:///{here}/mlflow.db", "--port", "5000"]
        found.append(Command("Look further in the MLflow UI", shlex.join(ui), "then open http://127.0.0.1:5000"))
    found.append(Command("Run again (what has not changed is reused)", run_again(run)))
    return found


def run_again(run: RecordedRun) -> str:
    """The command that asks for this run once more: its source, folder, seed, policy and settings."""
    asked = run.row.parameters
    options = {
        "--recipe": run.row.recipe,
        "--source": _source_for_people(asked.get("source") or ""),
        "--workspace": from_repository(run.run_dir.parent),
        "--name": run.run_dir.name,
        "--seed": str(asked.get("seed", 0)),
        "--policy": asked.get("promotion_policy", "auto"),
    }
    usual = {"--source": "", "--workspace": "runs", "--name": run.row.recipe, "--seed": "0", "--policy": "auto"}
    words = [word for name, value in options.items() if value != usual.get(name) for word in (name, value)]
    return _nava("pipeline", "run", run.row.pipeline, *words, *asked.get("overrides", []))


def _source_for_people(source: str) -> str:
    return source if not source or "://" in source else from_repository(Path(source))


def _nava(*words: str) -> str:
    return shlex.join([".venv/bin/nava", *words])
