"""What the corpus will hold: every file and shot, decided from configuration and seed before anything is rendered."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np

from nava.config.synthetic import SyntheticConfig
from nava.data.synthetic.drawing import COLOURS, Stage
from nava.data.synthetic.sound import PITCHES_HZ
from nava.runtime.errors import InputError

GENERATOR_VERSION = 1
FADE_S = 0.25

# Picture sizes as people upload them: landscape, portrait, square, odd ratios; each with a weight.
SIZES = {
    (160, 128): 5,
    (192, 128): 5,
    (176, 144): 4,
    (240, 160): 3,
    (256, 144): 3,
    (144, 256): 2,
    (180, 180): 2,
    (318, 134): 1,
    (320, 240): 1,
}
SUBTITLE_SIZES = ((320, 240), (320, 180), (256, 192))
FRAME_RATES = (Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30))
SAMPLE_RATES_HZ = (48_000, 44_100, 32_000)
AUDIO_KINDS = ("speech", "flash_tones", "music", "flash_tones", "speech", "rain", "flash_tones", "speech")
AUDIO_FORMATS = ("wav", "flac", "mp3")

# The shots of a file with a defect: kinds in which the defect can be seen or heard.
DEFECT_SHOTS: dict[str, tuple[str, ...]] = {
    "subtitled": ("talk", "talk"),
    "shifted": ("flash", "impact"),
    "quiet": ("talk", "music"),
    "clipped": ("music", "talk"),
    "static": ("talk", "music"),
    "blurred": ("talk", "music"),
    "truncated": ("flash", "talk"),
    "without_audio": ("flash", "impact"),
}


@dataclass(frozen=True)
class ShotPlan:
    """One shot: its kind and the attributes a caption may name.

    Attributes:
        min_duration_s: it lasts at least so long, fades included.
        lead_s: nothing happens in the first part (the picture fades in).
        tail_s: nothing happens in the last part (the picture fades out).
    """

    kind: str
    colour: str
    side: str
    pitch_hz: int
    min_duration_s: float
    lead_s: float = 0.0
    tail_s: float = 0.0


@dataclass(frozen=True)
class FilePlan:
    """One file of the corpus.

    Attributes:
        index: place in the corpus; with the seed it fixes every random choice of the file.
        path: relative to the media folder.
        modality: `video`, `audio`, or `none` for garbage.
        defect: key of `DefectCounts`, or empty.
        variant: counts the files with the same defect, so that its forms take turns.
        copy_of: path of the file that this one is a near-duplicate of, or empty.
        sidecar: a transcript lies beside it.
    """

    index: int
    path: str
    modality: str
    seed: int
    stage: Stage
    channels: int
    shots: tuple[ShotPlan, ...] = ()
    sound: str = ""
    defect: str = ""
    variant: int = 0
    copy_of: str = ""
    sidecar: bool = True

    def to_json(self) -> dict[str, Any]:
        """Every field that the file's bytes depend on, and the generator's version."""
        value = asdict(self) | {"generator_version": GENERATOR_VERSION}
        value["stage"]["fps"] = str(self.stage.fps)
        return value


def plan_corpus(config: SyntheticConfig, seed: int) -> list[FilePlan]:
    """Every file of the corpus, near-duplicates after the files they copy.

    Raises:
        InputError: a setting is out of range.
    """
    _check(config)
    rng = np.random.default_rng([seed, 0])
    shot_lists = _clean_shots(config, rng)
    drafts: list[dict[str, Any]] = [{"modality": "video", "shots": shots} for shots in shot_lists]
    for defect, count in asdict(config.defects).items():
        drafts += [_defective(defect, variant, config, rng) for variant in range(count)]
    names = rng.permutation(len(drafts))
    files = [
        _video(draft, int(name), seed, config, rng)
        if draft["modality"] == "video"
        else _garbage(draft, int(name), seed)
        for draft, name in zip(drafts, names, strict=True)
    ]
    files = _point_copies(files, config)
    files += [_audio(number, len(files) + number, seed, config, rng) for number in range(config.audio_files)]
    return sorted(files, key=lambda file: (bool(file.copy_of), file.index))


def _check(config: SyntheticConfig) -> None:
    counts = {"videos": config.videos, "audio_files": config.audio_files, **asdict(config.defects)}
    for name, count in counts.items():
        if count < 0:
            raise InputError(f"synthetic.{name} is {count}; it counts files and cannot be negative")
    for name in ("long_share", "flash_share", "fade_share", "sidecar_share"):
        if not 0.0 <= (share := float(getattr(config, name))) <= 1.0:
            raise InputError(f"synthetic.{name} is {share}; it is a share and lies between 0 and 1")
    if not 1 <= config.min_shots <= config.max_shots:
        raise InputError(
            f"synthetic.min_shots ({config.min_shots}) must lie between 1 and synthetic.max_shots ({config.max_shots})"
        )
    if not 2.1 <= config.min_shot_s <= config.long_shot_s:
        raise InputError(
            f"synthetic.min_shot_s is {config.min_shot_s}; it must lie between 2.1 (room for one clip) and "
            f"synthetic.long_shot_s ({config.long_shot_s})"
        )
    if config.defects.near_duplicate and not config.videos:
        raise InputError(
            "synthetic.defects.near_duplicate needs synthetic.videos of at least 1: a duplicate copies a clean video"
        )
    if config.workers < 1:
        raise InputError(f"synthetic.workers is {config.workers}; it must be at least 1")


def _spread(share: float, count: int, rng: np.random.Generator) -> list[bool]:
    """Exactly round(share * count) times True, in random order."""
    chosen = np.zeros(count, bool)
    chosen[: round(share * count)] = True
    return [bool(value) for value in rng.permutation(chosen)]


def _take_turns(values: list[Any], rng: np.random.Generator) -> Callable[[], Any]:
    """Draws from `values` so that each comes equally often: a fresh permutation when all have been drawn."""
    waiting: list[Any] = []

    def draw() -> Any:
        if not waiting:
            waiting.extend(values[i] for i in rng.permutation(len(values)))
        return waiting.pop()

    return draw


def _clean_shots(config: SyntheticConfig, rng: np.random.Generator) -> list[tuple[ShotPlan, ...]]:
    """The shots of the clean videos. Shares hold exactly over the corpus, and the looks of each kind take turns."""
    lengths = [int(rng.integers(config.min_shots, config.max_shots + 1)) for _ in range(config.videos)]
    total = sum(lengths)
    is_flash, is_long = _spread(config.flash_share, total, rng), _spread(config.long_share, total, rng)
    looks = {
        kind: _take_turns(list(product(COLOURS, ("left", "right"), PITCHES_HZ)), rng)
        for kind in {"flash", *config.other_kinds}
    }
    other = _take_turns(list(config.other_kinds), rng)
    shots = []
    for flash, long in zip(is_flash, is_long, strict=True):
        kind = "flash" if flash else other()
        colour, side, pitch = looks[kind]()
        seconds = config.long_shot_s if long or kind == "dialog" else config.min_shot_s
        shots.append(ShotPlan(kind, colour, side, pitch, round(seconds + float(rng.uniform(0.0, 0.15)), 3)))
    bounds = np.cumsum([0, *lengths])
    files = [shots[start:end] for start, end in pairwise(bounds)]
    fades = iter(_spread(config.fade_share, total - config.videos, rng)) if config.videos else iter(())
    return [_with_fades(file, fades) for file in files]


def _with_fades(shots: list[ShotPlan], fades: Any) -> tuple[ShotPlan, ...]:
    for position in range(len(shots) - 1):
        if next(fades):
            before, after = shots[position], shots[position + 1]
            shots[position] = replace(before, tail_s=FADE_S, min_duration_s=round(before.min_duration_s + FADE_S, 3))
            shots[position + 1] = replace(after, lead_s=FADE_S, min_duration_s=round(after.min_duration_s + FADE_S, 3))
    return tuple(shots)


def _defective(defect: str, variant: int, config: SyntheticConfig, rng: np.random.Generator) -> dict[str, Any]:
    if defect == "garbage":
        return {"modality": "none", "defect": defect, "variant": variant}
    shots = tuple(
        ShotPlan(
            kind,
            str(rng.choice(list(COLOURS))),
            str(rng.choice(["left", "right"])),
            int(rng.choice(PITCHES_HZ)),
            config.min_shot_s,
        )
        for kind in DEFECT_SHOTS.get(defect, ())
    )
    return {"modality": "video", "shots": shots, "defect": defect, "variant": variant}


def _video(draft: dict[str, Any], name: int, seed: int, config: SyntheticConfig, rng: np.random.Generator) -> FilePlan:
    weights = np.array(list(SIZES.values()), float)
    size = list(SIZES)[int(rng.choice(len(SIZES), p=weights / weights.sum()))]
    if draft.get("defect") == "subtitled":
        size = SUBTITLE_SIZES[draft["variant"] % len(SUBTITLE_SIZES)]
    fps = FRAME_RATES[int(rng.integers(len(FRAME_RATES)))]
    stage = Stage(size[0], size[1], fps, int(rng.choice(SAMPLE_RATES_HZ)))
    return FilePlan(
        index=name,
        path=f"video/v{name:04d}.mp4",
        seed=seed,
        stage=stage,
        channels=2 if rng.uniform() < 0.25 else 1,
        sidecar=bool(rng.uniform() < config.sidecar_share),
        **draft,
    )


def _garbage(draft: dict[str, Any], name: int, seed: int) -> FilePlan:
    stage = Stage(2, 2, Fraction(24), SAMPLE_RATES_HZ[0])
    return FilePlan(
        index=name, path=f"video/v{name:04d}.mp4", seed=seed, stage=stage, channels=1, sidecar=False, **draft
    )


def _point_copies(files: list[FilePlan], config: SyntheticConfig) -> list[FilePlan]:
    """Let each near-duplicate copy a clean video of its own, as long as there are enough."""
    clean = [file for file in files if file.modality == "video" and not file.defect]
    return [
        replace(
            file,
            copy_of=(original := clean[file.variant % config.videos]).path,
            stage=original.stage,
            channels=original.channels,
        )
        if file.defect == "near_duplicate"
        else file
        for file in files
    ]


def _audio(number: int, index: int, seed: int, config: SyntheticConfig, rng: np.random.Generator) -> FilePlan:
    stage = Stage(2, 2, Fraction(24), int(rng.choice(SAMPLE_RATES_HZ)))
    return FilePlan(
        index=index,
        path=f"audio/a{number:04d}.{AUDIO_FORMATS[number % len(AUDIO_FORMATS)]}",
        modality="audio",
        seed=seed,
        stage=stage,
        channels=1,
        sound=AUDIO_KINDS[number % len(AUDIO_KINDS)],
        variant=number // len(AUDIO_KINDS),
        sidecar=bool(rng.uniform() < config.sidecar_share),
    )
