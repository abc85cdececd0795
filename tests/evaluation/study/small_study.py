"""A study small enough for tests, with real clips: half a second of a square and a tone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nava.evaluation.study.plan import AttentionCheck, StudyCase, make_study
from nava.evaluation.study.study_file import ALIGNMENT, OVERALL, Study
from nava.evaluation.study.votes import Vote
from nava.generation.media import write_mp4

# Names that occur nowhere else, so that a page can be searched for them.
MODELS = ("zephyrine", "quokkadyne", "marlowtron")
RATE_HZ, FPS, FRAMES = 16_000, 24, 12


def write_clip(path: Path, number: int, *, tags: dict[str, str] | None = None, silent: bool = False) -> Path:
    """A clip whose colour and pitch follow from a number, so that no two are the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    video_THWC = np.zeros((FRAMES, 32, 32, 3), np.uint8)
    video_THWC[:, 8:24, 8:24] = (40 * number % 256, 90, 255 - 30 * number % 256)
    time_N = np.arange(RATE_HZ * FRAMES // FPS) / RATE_HZ
    samples_N = (0 if silent else 0.3) * np.sin(2 * np.pi * (200 + 40 * number) * time_N)
    write_mp4(path, video_THWC, FPS, samples_N.astype(np.float32), RATE_HZ, tags=tags)
    return path


def write_outputs(
    folder: Path, cases: Sequence[str], models: Sequence[str] = MODELS, **clip: Any
) -> dict[str, dict[str, Path]]:
    """A clip of each model for each case, in a folder by model."""
    return {
        model: {
            case: write_clip(folder / model / f"{case}.mp4", place * len(cases) + number, **clip)
            for number, case in enumerate(cases)
        }
        for place, model in enumerate(models)
    }


def study_cases(folder: Path, t2av: int = 2, ti2av: int = 1) -> list[StudyCase]:
    """Cases of both tasks; those of TI2AV have a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / "first.png"
    Image.new("RGB", (32, 32), (200, 30, 30)).save(image)
    texts = [StudyCase(f"t{number}", "T2AV", f"A <b>square</b> hums, take {number}.") for number in range(t2av)]
    pictures = [StudyCase(f"i{number}", "TI2AV", f"The square sings {number}.", image) for number in range(ti2av)]
    return [*texts, *pictures]


def small_study(
    root: Path, *, models: Sequence[str] = MODELS, t2av: int = 2, ti2av: int = 1, checks: int = 1, repeats: int = 1
) -> tuple[Path, Study]:
    """The study in `root/study`."""
    cases = study_cases(root / "given", t2av, ti2av)
    outputs = write_outputs(root / "outputs", [case.case_id for case in cases], models)
    broken = write_clip(root / "broken.mp4", 99, silent=True)
    attention = [AttentionCheck(cases[number].case_id, models[0], broken) for number in range(checks)]
    folder = root / "study"
    made = make_study(folder, "spring", outputs, cases, seed=7, attention_checks=attention, repeats=repeats)
    return folder, made


def vote(rater: str = "ann", case: str = "t0", choice: str = "left", **values: Any) -> Vote:
    """A vote as it might stand in a file; `values` change it."""
    plain: dict[str, Any] = {
        "study_id": "spring",
        "rater": rater,
        "item_id": f"{case}-item",
        "case_id": case,
        "task": "T2AV",
        "left_model": MODELS[0],
        "right_model": MODELS[1],
        "criterion": OVERALL,
        "choice": choice,
        "seconds": 3.5,
        "played": True,
        "time": "2026-01-02T03:04:05.678+00:00",
    }
    return Vote(**(plain | values))


def both_criteria(**values: Any) -> list[Vote]:
    """The same answer to both questions."""
    return [vote(criterion=criterion, **values) for criterion in (OVERALL, ALIGNMENT)]
