"""A tiny benchmark of media that are quickly made, for the tests of evaluation runs."""

from pathlib import Path

import numpy as np

from nava.evaluation.benchmark.item import Item, Spoken
from nava.evaluation.benchmark.task import Routing, Subset, Task
from nava.generation.media import write_mp4, write_wav

RATE_HZ = 16_000
FPS = 25


def clip(path: Path, seed: int = 0, seconds: float = 1.2, events_s: tuple[float, ...] = (0.2, 0.6, 1.0)) -> Path:
    """A picture that lights up with each of its tones."""
    rng = np.random.default_rng(seed)
    times_N = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    sound_N = 0.001 * rng.standard_normal(len(times_N))
    light_T = np.zeros(int(seconds * FPS))
    for event_s in events_s:
        since_N = times_N - event_s
        ringing = (
            (since_N >= 0) * np.exp(-12 * np.maximum(since_N, 0)) * np.sin(2 * np.pi * (500 + 40 * seed) * since_N)
        )
        sound_N += 0.4 * ringing
        since_T = np.arange(len(light_T)) / FPS - event_s
        light_T += (since_T >= -1e-9) * np.exp(-12 * np.maximum(since_T, 0))
    frames = np.zeros((len(light_T), 64, 64, 3))
    frames += rng.uniform(20, 60, (1, 64, 64, 3))
    frames[:, 16:48, 16:48] += 150 * np.minimum(light_T, 1.2)[:, None, None, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, frames.clip(0, 255).astype(np.uint8), FPS, sound_N.astype(np.float32), RATE_HZ)
    return path


def tone(path: Path, hertz: float = 220.0, seconds: float = 1.5) -> Path:
    """A recording of a hum with overtones."""
    times_N = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    sound = sum(np.sin(2 * np.pi * hertz * k * times_N) / k for k in range(1, 6))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, (0.2 * sound).astype(np.float32), RATE_HZ)
    return path


def a_task(*metrics: str, aggregation: str = "items") -> Task:
    """A task of two subsets under these metrics."""
    return Task(
        task_id="tiny",
        version=1,
        edition="test",
        title="Tiny",
        layout="none",
        licence="",
        citation="",
        subsets={"one": Subset(2, ""), "two": Subset(1, "")},
        metrics=tuple(Routing(metric) for metric in metrics),
        aggregation=aggregation,
        sha256="0" * 64,
    )


def items_in(folder: Path) -> list[Item]:
    """Three items with references."""
    made = []
    for number, subset in enumerate(("one", "one", "two")):
        reference = clip(folder / "true" / f"item{number}.mp4", number)
        made.append(
            Item(
                item_id=f"item{number}",
                subset=subset,
                prompt="a light",
                speech=(Spoken("hello there"),) if number == 0 else (),
                reference_audio=reference,
                truth={"events_s": [0.2, 0.6, 1.0]},
            )
        )
    return made


def outputs_in(folder: Path) -> dict[str, Path]:
    """The true clips as outputs."""
    return {path.stem: path for path in sorted((folder / "true").glob("*.mp4"))}
