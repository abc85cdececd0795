"""Renders the corpus: files in parallel, each written whole or not at all, those that are there already left alone."""

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import groupby
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from nava.config.synthetic import SyntheticConfig
from nava.data.synthetic import case_plan, cases, defects
from nava.data.synthetic.assembly import assemble, describe_film, record
from nava.data.synthetic.case_plan import CasePlan, plan_cases
from nava.data.synthetic.files import read_film, write_audio, write_mp4
from nava.data.synthetic.labels import FileLabel, file_label, webvtt, write_labels
from nava.data.synthetic.plan import FilePlan, plan_corpus
from nava.data.synthetic.speech import require_espeak
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.progress import Progress
from nava.runtime.storage import atomic_file, read_json, write_bytes, write_json, write_text

MEDIA_DIR = "media"
TRUTH_DIR = "truth"
LICENCE = "CC0-1.0"
ORIGIN = "nava.data.synthetic"


def generate(out_dir: Path, config: SyntheticConfig, seed: int, progress: Progress | None = None) -> Path:
    """Make the corpus in `out_dir`: media below `media/`, the truth in `labels.jsonl`.

    The bytes depend on the configuration, the seed and the libraries, not on the number of workers or on how often the
    work was interrupted: a file that is complete is not made again.

    Returns:
        The media folder.

    Raises:
        InputError: espeak-ng is missing, a setting is out of range, or the folder holds other files.
    """
    require_espeak()
    plans = [*plan_corpus(config, seed), *plan_cases(config, seed)]
    # Copies come after the files they are copies of.
    plans.sort(key=lambda plan: bool(plan.copy_of))
    media = out_dir / MEDIA_DIR
    _remove_partial_files(out_dir)
    _refuse_foreign_files(media, plans)
    waiting = [plan for plan in plans if _finished(out_dir, plan) is None]
    report = progress or Progress()
    rounds = (list(group) for _, group in groupby(waiting, key=lambda plan: bool(plan.copy_of)))
    done = (path for group in rounds for path in _render_all(out_dir, group, config.workers))
    for _ in report(done, total=len(waiting), label="source files"):
        pass
    labels = [label for plan in plans if (label := _finished(out_dir, plan)) is not None]
    assert len(labels) == len(plans), "a file that was just written does not match its label"
    write_labels(out_dir, labels)
    return media


def _remove_partial_files(out_dir: Path) -> None:
    """Remove what a killed run left half-written."""
    for path in out_dir.rglob(".*.part*"):
        path.unlink()


def _refuse_foreign_files(media: Path, plans: Sequence[FilePlan]) -> None:
    media.mkdir(parents=True, exist_ok=True)
    expected = {media / plan.path for plan in plans} | {(media / plan.path).with_suffix(".vtt") for plan in plans}
    found = sorted(path for path in media.rglob("*") if not path.is_dir())
    foreign = [path.relative_to(media).as_posix() for path in found if path not in expected]
    if foreign:
        raise InputError(
            f"{media} holds {len(foreign)} files that are not of this corpus (first: {foreign[0]}); give an empty "
            "folder, or the one of the same configuration and seed"
        )


def _truth_path(out_dir: Path, path: str) -> Path:
    return out_dir / TRUTH_DIR / f"{path.replace('/', '-')}.json"


def _finished(out_dir: Path, plan: FilePlan) -> FileLabel | None:
    """The label of a file that was made from the same plan and is complete, else None."""
    truth, path = _truth_path(out_dir, plan.path), out_dir / MEDIA_DIR / plan.path
    if not truth.is_file() or not path.is_file():
        return None
    kept = read_json(truth)
    label = file_label(kept["label"])
    if kept["plan"] != sha256_json(plan.to_json()) or label.sha256 != sha256_file(path):
        return None
    if label.sidecar and not (out_dir / MEDIA_DIR / label.sidecar).is_file():
        return None
    return label


def _render_all(out_dir: Path, plans: Sequence[FilePlan], workers: int) -> Iterator[str]:
    if workers == 1 or len(plans) < 2:
        for plan in plans:
            yield render_file(out_dir, plan)
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(min(workers, len(plans)), mp_context=context, initializer=_end_with_parent)
    try:
        for future in as_completed([executor.submit(render_file, out_dir, plan) for plan in plans]):
            yield future.result()
    finally:
        executor.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def render_file(out_dir: Path, plan: FilePlan) -> str:
    """Make one file, its transcript and its label; the label is written last and says that the others are whole.

    Returns:
        The file's path in the media folder.
    """
    path = out_dir / MEDIA_DIR / plan.path
    label = _write_case(path, plan, out_dir) if isinstance(plan, CasePlan) else _write(path, plan, out_dir)
    label.sha256 = sha256_file(path)
    sidecar = path.with_suffix(".vtt")
    if plan.sidecar and label.transcript:
        write_text(sidecar, webvtt(label.transcript))
        label.sidecar = sidecar.relative_to(out_dir / MEDIA_DIR).as_posix()
    else:
        sidecar.unlink(missing_ok=True)
    write_json(_truth_path(out_dir, plan.path), {"plan": sha256_json(plan.to_json()), "label": label.to_json()})
    return plan.path


def _write(path: Path, plan: FilePlan, out_dir: Path) -> FileLabel:
    rng = np.random.default_rng([plan.seed, 1, plan.index])
    if plan.modality == "none":
        return _write_garbage(path, plan, rng)
    if plan.modality == "audio":
        return _write_recording(path, plan, rng)
    return _write_copy(path, plan, out_dir) if plan.copy_of else _write_video(path, plan, rng)


def _write_case(path: Path, plan: CasePlan, out_dir: Path) -> FileLabel:
    rng = np.random.default_rng([plan.seed, case_plan.RANDOM_STREAM, plan.index])
    if plan.modality == "audio":
        return _write_recording(path, plan, rng)
    if plan.copy_of:
        return cases.write_copy(path, plan, out_dir / MEDIA_DIR / plan.copy_of, _label_of(out_dir, plan.copy_of))
    return cases.write_case(path, plan, rng)


def _label_of(out_dir: Path, path: str) -> FileLabel:
    return file_label(read_json(_truth_path(out_dir, path))["label"])


def _write_video(path: Path, plan: FilePlan, rng: np.random.Generator) -> FileLabel:
    film, label = assemble(plan, rng)
    if plan.defect in defects.FILM_DEFECTS:
        film = defects.FILM_DEFECTS[plan.defect](film, label, plan.variant, rng)
    describe_film(label, film)
    with atomic_file(path) as partial:
        if plan.defect == "truncated":
            front_index = plan.variant % 2 == 1
            write_mp4(partial, film, front_index=front_index)
            partial.write_bytes(defects.truncate(partial.read_bytes(), front_index))
            label.detail = "the end is missing" if front_index else "the end is missing, and the index with it"
        else:
            write_mp4(partial, film)
    return label


def _write_copy(path: Path, plan: FilePlan, out_dir: Path) -> FileLabel:
    """Decode the original and encode it again: a true near-duplicate, with the original's truth."""
    label = _label_of(out_dir, plan.copy_of)
    film, crf, change = defects.re_encode(read_film(out_dir / MEDIA_DIR / plan.copy_of), plan.variant)
    label.path, label.defect, label.detail, label.duplicate_of, label.sidecar = (
        plan.path,
        plan.defect,
        change,
        plan.copy_of,
        "",
    )
    describe_film(label, film)
    with atomic_file(path) as partial:
        write_mp4(partial, film, crf)
    return label


def _write_recording(path: Path, plan: FilePlan, rng: np.random.Generator) -> FileLabel:
    audio_CL, label = record(plan, rng)
    label.sample_rate_hz, label.channels = plan.stage.sample_rate_hz, len(audio_CL)
    label.duration_s = round(audio_CL.shape[1] / plan.stage.sample_rate_hz, 6)
    with atomic_file(path) as partial:
        write_audio(partial, audio_CL, plan.stage.sample_rate_hz)
    return label


def _write_garbage(path: Path, plan: FilePlan, rng: np.random.Generator) -> FileLabel:
    data, form = defects.garbage(plan.variant, rng)
    write_bytes(path, data)
    return FileLabel(plan.path, "none", defect=plan.defect, detail=form)
