"""The files of the labelled corpus: each case of `CaseCounts` as files whose forms take turns.

They draw from a random stream of their own, so that the rest of a corpus does not change with them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from nava.config.synthetic import SyntheticConfig
from nava.data.synthetic.drawing import COLOURS, Stage
from nava.data.synthetic.plan import FRAME_RATES, FilePlan, ShotPlan
from nava.data.synthetic.sound import PITCHES_HZ
from nava.runtime.errors import InputError

CASES_VERSION = 2
RANDOM_STREAM = 2  # of numpy's SeedSequence: 0 plans the corpus, 1 renders it
COPIES = ("rescaled", "recompressed", "brightened", "cropped", "mirrored", "with_logo")
FORMS = ("variable_rate", "rotated", "surround", "odd_size", "long_gop", "mov", "mkv", "webm")
SPOILT = ("quiet", "clipped", "static", "blurred", "silent", "without_audio")
FAMILIES = ("music", "singing", "landscape", "rain", "tone", "impact")
RECORDINGS = ("speech", "dialog", "music", "singing", "rain")
RECORDING_SUFFIXES = ("wav", "flac", "mp3", "m4a")
UNDECODABLE_SUFFIXES = ("mp4", "mov", "mp4", "webm", "mkv")
JOINS = ("hard", "fade", "hard", "dissolve", "hard", "fade_white", "hard", "hard")
IN_TIME = (("talk", "talk"), ("dialog",), ("impact", "impact"), ("talk", "impact"), ("dialog", "talk"), ("impact",))
SUBTITLED = (("talk", "landscape"), ("dialog", "talk"), ("impact", "talk"), ("talk", "music"), ("landscape", "dialog"))
FILM_KINDS = ("talk", "landscape", "impact", "rain", "dialog", "music", "flash", "landscape", "talk", "tone", "singing")
_SHORT_SHOT_S, _HALF_JOIN_S = 1.2, (0.2, 0.5)
_LARGE = ((640, 360), (640, 360), (854, 480), (360, 640), (640, 480))
_MIDDLE = ((480, 270), (426, 240), (480, 360), (270, 480))
_SMALL = (320, 180)


@dataclass(frozen=True)
class CasePlan(FilePlan):
    """One file of the labelled corpus.

    Attributes:
        case: field of `CaseCounts`.
        form: which of the case's forms it is, or empty.
        joins: kind of each transition between the shots.
    """

    case: str = ""
    form: str = ""
    joins: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Every field that the file's bytes depend on, and the versions of what renders it."""
        return super().to_json() | {"cases_version": CASES_VERSION}


def plan_cases(config: SyntheticConfig, seed: int) -> list[CasePlan]:
    """Every file of the cases, copies after the files they copy.

    Raises:
        InputError: copies are wanted, and no films that they could copy.
    """
    rng = np.random.default_rng([seed, RANDOM_STREAM])
    cases = [(case, variant) for case, count in asdict(config.cases).items() for variant in range(count)]
    names = [int(name) for name in rng.permutation(len(cases))]
    plans = [_plan(case, variant, name, seed, config, rng) for (case, variant), name in zip(cases, names, strict=True)]
    return sorted(_point_copies(plans), key=lambda plan: (bool(plan.copy_of), plan.index))


def _plan(case: str, variant: int, name: int, seed: int, config: SyntheticConfig, rng: np.random.Generator) -> CasePlan:
    stage = _stage(case, variant, rng)
    shots, joins = _shots(case, variant, config.min_shot_s, rng)
    modality = {"recordings": "audio", "undecodable": "none"}.get(case, "video")
    form = _form(case, variant)
    return CasePlan(
        index=name,
        path=f"{'audio' if modality == 'audio' else 'video'}/c{name:04d}.{_suffix(case, variant, form)}",
        modality=modality,
        seed=seed,
        stage=_suited(stage, form),
        channels=2 if modality == "video" and rng.uniform() < 0.3 else 1,
        shots=shots,
        sound=RECORDINGS[variant % len(RECORDINGS)] if modality == "audio" else "",
        defect=_defect(case, form),
        variant=variant,
        sidecar=bool(rng.uniform() < config.sidecar_share),
        case=case,
        form=form,
        joins=joins,
    )


def _form(case: str, variant: int) -> str:
    forms = {"forms": FORMS, "spoilt": SPOILT}.get(case)
    if forms is not None:
        return forms[variant % len(forms)]
    return case if case in COPIES else ""


def _defect(case: str, form: str) -> str:
    """The key of `EXPECTED_OUTCOMES`."""
    if case in COPIES:
        return "altered_copy" if case in COPIES[3:] else "near_duplicate"
    if case == "spoilt":
        return form
    names = {"undecodable": "garbage"}
    return names.get(case, case if case in ("subtitled", "shifted", "damaged", "slightly_damaged") else "")


def _suffix(case: str, variant: int, form: str) -> str:
    if case == "recordings":
        return RECORDING_SUFFIXES[variant % len(RECORDING_SUFFIXES)]
    if case == "undecodable":
        return UNDECODABLE_SUFFIXES[variant % len(UNDECODABLE_SUFFIXES)]
    return form if form in ("mov", "mkv", "webm") else "mp4"


def _stage(case: str, variant: int, rng: np.random.Generator) -> Stage:
    """Large pictures where letters or lips matter, small ones where only packets do."""
    if case in ("subtitled", "synchronous", "shifted"):
        size = _LARGE[variant % len(_LARGE)]
    elif case in ("undecodable", "damaged", "slightly_damaged", "recordings"):
        size = _SMALL
    else:
        size = _MIDDLE[variant % len(_MIDDLE)]
    fps = FRAME_RATES[int(rng.integers(len(FRAME_RATES)))]
    return Stage(*size, fps, int(rng.choice([48_000, 44_100])))


def _suited(stage: Stage, form: str) -> Stage:
    """A stage that the form can have."""
    if form == "odd_size":
        return replace(stage, width=stage.width + 1 - stage.width % 2, height=stage.height + 1 - stage.height % 2)
    if form == "variable_rate":
        return replace(stage, fps=Fraction(30))
    return replace(stage, sample_rate_hz=48_000) if form == "webm" else stage


def _shots(
    case: str, variant: int, shot_s: float, rng: np.random.Generator
) -> tuple[tuple[ShotPlan, ...], tuple[str, ...]]:
    if case == "transitions":
        return _film(variant, shot_s, rng)
    kinds: Sequence[str] = {
        "subtitled": SUBTITLED[variant % len(SUBTITLED)],
        "synchronous": IN_TIME[variant % len(IN_TIME)],
        "shifted": IN_TIME[variant % len(IN_TIME)],
        "families": (FAMILIES[variant % len(FAMILIES)],) * 2,
        "forms": ("talk", "impact"),
        "damaged": ("talk", "impact", "landscape", "dialog"),
        "slightly_damaged": ("talk", "impact", "landscape", "dialog"),
        "undecodable": ("impact",),
        "spoilt": ("silent",) * 2 if SPOILT[variant % len(SPOILT)] == "silent" else ("talk", "landscape"),
    }.get(case, ())
    length_s = 2 * shot_s if len(kinds) == 1 else 1.2 * shot_s
    return tuple(_shot(kind, length_s, rng) for kind in kinds), ("hard",) * max(0, len(kinds) - 1)


def _shot(kind: str, duration_s: float, rng: np.random.Generator) -> ShotPlan:
    colour, side = str(rng.choice(list(COLOURS))), str(rng.choice(["left", "right"]))
    return ShotPlan(kind, colour, side, int(rng.choice(PITCHES_HZ)), round(duration_s, 3))


def _film(variant: int, shot_s: float, rng: np.random.Generator) -> tuple[tuple[ShotPlan, ...], tuple[str, ...]]:
    """Five to seven shots of different kinds; every fourth is too short for a clip."""
    count = 5 + variant % 3
    kinds = [FILM_KINDS[(variant * 5 + number) % len(FILM_KINDS)] for number in range(count)]
    joins = tuple(JOINS[(variant * 3 + number) % len(JOINS)] for number in range(count - 1))
    shots = [
        _shot(kind, _SHORT_SHOT_S if number % 4 == 3 else shot_s + float(rng.uniform(0.0, 0.6)), rng)
        for number, kind in enumerate(kinds)
    ]
    for number, kind in enumerate(joins):
        if kind != "hard":
            half_s = round(float(rng.uniform(*_HALF_JOIN_S)), 3)
            before, after = shots[number], shots[number + 1]
            shots[number] = replace(before, tail_s=half_s, min_duration_s=round(before.min_duration_s + half_s, 3))
            shots[number + 1] = replace(after, lead_s=half_s, min_duration_s=round(after.min_duration_s + half_s, 3))
    return tuple(shots), joins


def _point_copies(plans: list[CasePlan]) -> list[CasePlan]:
    """Let each copy have an original of its own, as long as there are enough."""
    originals: list[Any] = [plan for plan in plans if plan.case in ("synchronous", "transitions")]
    copies = [plan for plan in plans if plan.case in COPIES]
    if copies and not originals:
        raise InputError(
            "synthetic.cases has copies but no films to copy: synthetic.cases.synchronous or "
            "synthetic.cases.transitions must be at least 1"
        )
    pointed = {}
    for number, plan in enumerate(copies):
        original = originals[number % len(originals)]
        pointed[plan.index] = replace(
            plan, copy_of=original.path, stage=original.stage, channels=original.channels, sidecar=False
        )
    return [pointed.get(plan.index, plan) for plan in plans]
