"""Clips drawn so that the right answer is known."""

from dataclasses import dataclass

import numpy as np

from nava.evaluation.evidence import Sample
from nava.evaluation.measures import measure
from nava.evaluation.plan import HeldoutClip
from nava.evaluation.vocabulary import Vocabulary

FPS, FRAMES, RATE, SAMPLES = 24, 49, 16_000, 33_280
VOCABULARY = Vocabulary(
    colours={"red": (240, 40, 40), "green": (40, 225, 50), "blue": (60, 100, 245), "yellow": (240, 215, 30)},
    pitches={"low": 300.0, "middle": 720.0, "high": 1700.0},
)


@dataclass(frozen=True)
class Drawn:
    """A drawn clip."""

    frames: np.ndarray
    samples: np.ndarray


def flash_clip(seed, colour="red", pitch="low", delay_s=0.0, grain=0.0, size=16):
    """A bar that flashes at random events with a tone at each, the tone `delay_s` late."""
    rng = np.random.default_rng(seed)
    times, now = [], rng.uniform(0.05, 0.4)
    while now < FRAMES / FPS:
        times.append(now)
        now += rng.uniform(0.3, 0.8)

    def decay(t, rate, shift=0.0):
        level = np.zeros_like(t)
        for start in times:
            since = t - start - shift
            level = np.where(since >= 0, np.exp(-rate * np.clip(since, 0, None)), level)
        return level

    frames = np.full((FRAMES, size, size, 3), 20.0)
    level = 0.12 + 0.88 * decay(np.arange(FRAMES) / FPS, 6.0)
    frames[:, size // 8 : size - size // 8, size // 8 : size // 2 - 1] = level[:, None, None, None] * np.array(
        VOCABULARY.colours[colour]
    )
    frames += grain * rng.normal(size=frames.shape)
    t = np.arange(SAMPLES) / RATE
    tone = 0.5 * decay(t, 9.0, delay_s) * np.sin(2 * np.pi * VOCABULARY.pitches[pitch] * t)
    noise = 0.0008 * rng.normal(size=SAMPLES)
    return Drawn(np.clip(frames, 0, 255).astype(np.uint8), (tone + noise).astype(np.float32))


def noise_clip(seed):
    """What an untrained model makes."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 255, size=(FRAMES, 16, 16, 3)).astype(np.uint8)
    return Drawn(frames, (0.1 * rng.normal(size=SAMPLES)).astype(np.float32))


def heldout(family, n, colours=tuple(VOCABULARY.colours), pitches=tuple(VOCABULARY.pitches)):
    """Held-out clips whose captions walk through all colours and pitches."""
    clips = []
    for i in range(n):
        colour, pitch = colours[i % len(colours)], pitches[i % len(pitches)]
        caption = f"A {colour} bar flashes, with a {pitch} tone at each flash."
        clips.append(HeldoutClip(f"{family}{i:02}", caption, (family, f"colour:{colour}", f"pitch:{pitch}")))
    return clips


def sample_of(request, drawn):
    """The sample of a request that a drawn clip answers."""
    return Sample(request, measure(drawn.frames, drawn.samples, RATE, FPS))
