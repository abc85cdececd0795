"""The kinds of shots: picture, sound and truth of a few seconds, rendered from one random generator.

`flash` is the family a tiny model learns: one colour, one side, one pitch per shot, and nothing else moves.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nava.data.synthetic import sound
from nava.data.synthetic.drawing import (
    FloatArray,
    Frames,
    Stage,
    dark_gradient,
    landscape,
    paint_ellipse,
    rgb,
    room,
    still,
)
from nava.data.synthetic.plan import ShotPlan
from nava.data.synthetic.sound import Samples
from nava.data.synthetic.speech import SENTENCES, SHORT_SENTENCES, VOICES, Utterance, Voice, mouth_opening, speak

FLASH_REST, FLASH_DECAY_PER_S = 0.12, 6.0
FLASH_GAP_S = (0.3, 0.8)
CONTACT_GAP_S = (0.32, 0.75)
EVENT_MARGIN_S = 0.12

_EYE_WHITE, _DARK, _LIP = (
    np.array([235, 235, 235], np.float32),
    np.array([25, 10, 18], np.float32),
    np.array([150, 40, 60], np.float32),
)


@dataclass(frozen=True)
class Spoken:
    """An utterance and when it starts in the shot, in seconds."""

    utterance: Utterance
    start_s: float


@dataclass
class Shot:
    """A rendered shot.

    Attributes:
        frames_THWC: uint8 RGB.
        audio_L: mono float32, as long as the frames.
        plan: the attributes that were asked for.
        pitch_hz: frequency of the tone where the kind has one, else None.
        side: `left` or `right` where the kind has one, else empty.
        events_s: flashes, contacts or notes, seconds from the shot's start.
        timbre: of the contacts, else empty.
    """

    frames_THWC: Frames  # noqa: N815
    audio_L: Samples  # noqa: N815
    plan: ShotPlan
    pitch_hz: int | None = None
    side: str = ""
    timbre: str = ""
    events_s: tuple[float, ...] = ()
    speech: tuple[Spoken, ...] = field(default=())


def render_shot(stage: Stage, plan: ShotPlan, rng: np.random.Generator) -> Shot:
    """Render one shot; its audio lasts exactly as long as its frames, up to one sample."""
    shot = _RENDERERS[plan.kind](stage, plan, rng)
    if plan.kind != "silent":
        shot.audio_L += sound.room_noise(rng, len(shot.audio_L))
    return shot


def _lengths(stage: Stage, duration_s: float) -> tuple[int, NDArray[np.float64], int]:
    n_frames = stage.frame_count(duration_s)
    return n_frames, stage.frame_times(n_frames), round(n_frames / float(stage.fps) * stage.sample_rate_hz)


def _events(plan: ShotPlan, gap_s: tuple[float, float], rng: np.random.Generator) -> tuple[float, ...]:
    end_s = plan.min_duration_s - plan.tail_s - EVENT_MARGIN_S
    times, time_s = [], plan.lead_s + float(rng.uniform(0.08, 0.4))
    while time_s < end_s:
        times.append(round(time_s, 4))
        time_s += float(rng.uniform(*gap_s))
    return tuple(times)


def brightness(events_s: tuple[float, ...], times_T: NDArray[np.float64]) -> FloatArray:
    """A bar's brightness: `FLASH_REST` at rest, 1 at an event, decaying by exp(-6 dt)."""
    index_T = np.searchsorted(np.asarray(events_s), times_T + 1e-9, side="right") - 1
    since_T = times_T - np.asarray(events_s)[np.maximum(index_T, 0)]
    lit_T = np.where(index_T >= 0, np.exp(-FLASH_DECAY_PER_S * np.maximum(since_T, 0.0)), 0.0)
    return np.asarray(FLASH_REST + (1.0 - FLASH_REST) * lit_T, dtype=np.float32)


def _flash(stage: Stage, plan: ShotPlan, rng: np.random.Generator) -> Shot:
    n_frames, times_T, n_samples = _lengths(stage, plan.min_duration_s)
    events_s = _events(plan, FLASH_GAP_S, rng)
    background = dark_gradient(stage, rng)
    # Off the middle in both directions: a centred bar leaves half of the picture's frequencies to chance, and its
    # flashes would look like cuts to a perceptual hash.
    left = 0.07 if plan.side == "left" else 0.56
    top = float(rng.choice([0.06, 0.34]))
    rows, columns = stage.box(left, top, left + 0.37, top + 0.60)
    frames = still(background, n_frames)
    light_TC = brightness(events_s, times_T)[:, None] * (rgb(plan.colour) * 0.86)
    lit = background[rows, columns][None] + light_TC[:, None, None, :]
    frames[:, rows, columns] = np.clip(lit, 0, 255).astype(np.uint8)
    audio_L = sound.flash_tones(events_s, plan.pitch_hz, n_samples, stage.sample_rate_hz)
    return Shot(frames, audio_L, plan, plan.pitch_hz, plan.side, events_s=events_s)


def _impact(stage: Stage, plan: ShotPlan, rng: np.random.Generator) -> Shot:
    n_frames, times_T, n_samples = _lengths(stage, plan.min_duration_s)
    contacts_s = _events(plan, CONTACT_GAP_S, rng)
    frames = still(room(stage, rng), n_frames)
    radius = 0.15 * stage.side
    x0, y0 = stage.corner
    floor_y = y0 + 0.88 * stage.side - radius
    x_T = x0 + stage.side * (0.5 + 0.2 * np.sin(2.0 * np.pi * (times_T / rng.uniform(2.5, 4.0) + rng.uniform())))
    # Flight before the first and after the last contact follows parabolas of the same shape.
    bounds = np.array([contacts_s[0] - 0.55, *contacts_s, contacts_s[-1] + 0.75, contacts_s[-1] + 1.5])
    index_T = np.clip(np.searchsorted(bounds, times_T, side="right") - 1, 0, len(bounds) - 2)
    gap_T = bounds[index_T + 1] - bounds[index_T]
    phase_T = np.clip((times_T - bounds[index_T]) / gap_T, 0.0, 1.0)
    height_T = np.minimum((gap_T / CONTACT_GAP_S[1]) ** 2, 1.0) * 0.55 * stage.side * 4.0 * phase_T * (1.0 - phase_T)
    colour = rgb(plan.colour)
    for frame, x, height in zip(frames, x_T, height_T, strict=True):
        paint_ellipse(frame, (float(x), floor_y - float(height)), (radius, radius), colour)
    timbre = "knock" if plan.side == "left" else "metal"
    audio_L = sound.knocks(contacts_s, timbre, n_samples, stage.sample_rate_hz)
    return Shot(frames, audio_L, plan, timbre=timbre, events_s=contacts_s)


@dataclass(frozen=True)
class _Face:
    """A face: centre and half height in pixels."""

    x: float
    y: float
    size: float

    def paint(self, picture_HWC: NDArray[np.uint8], colour: FloatArray) -> None:
        paint_ellipse(picture_HWC, (self.x, self.y), (0.8 * self.size, self.size), 0.55 * colour + 90.0)
        for sign in (-1, 1):
            eye = (self.x + sign * 0.32 * self.size, self.y - 0.25 * self.size)
            paint_ellipse(picture_HWC, eye, (0.17 * self.size, 0.12 * self.size), _EYE_WHITE)
            paint_ellipse(picture_HWC, eye, (0.07 * self.size, 0.09 * self.size), _DARK)

    def paint_mouth(self, picture_HWC: NDArray[np.uint8], opening: float) -> None:
        centre = (self.x, self.y + 0.45 * self.size)
        paint_ellipse(picture_HWC, centre, (0.40 * self.size, (0.08 + 0.30 * opening) * self.size), _LIP)
        paint_ellipse(picture_HWC, centre, (0.33 * self.size, (0.02 + 0.27 * opening) * self.size), _DARK)


def _talk(stage: Stage, plan: ShotPlan, rng: np.random.Generator) -> Shot:
    voice = VOICES[int(rng.integers(len(VOICES)))]
    utterance = speak(str(rng.choice(SENTENCES)), voice, seed=int(rng.integers(1, 2**31)))
    start_s = plan.lead_s + round(float(rng.uniform(0.03, 0.12)), 3)
    duration_s = max(plan.min_duration_s, start_s + utterance.duration_s + plan.tail_s)
    return _faces(stage, replace(plan, min_duration_s=duration_s), (Spoken(utterance, start_s),), {voice: 0.5}, rng)


def _dialog(stage: Stage, plan: ShotPlan, rng: np.random.Generator) -> Shot:
    first, second = (VOICES[i] for i in rng.permutation(len(VOICES))[:2])
    pair = 2 * int(rng.integers(len(SHORT_SENTENCES) // 2))
    spoken: list[Spoken] = []
    time_s = plan.lead_s + 0.1
    while time_s < plan.min_duration_s - plan.tail_s - 1.5 or len(spoken) < 2:
        voice = (first, second)[len(spoken) % 2]
        text = SHORT_SENTENCES[(pair + len(spoken)) % len(SHORT_SENTENCES)]
        utterance = speak(text, voice, seed=int(rng.integers(1, 2**31)))
        spoken.append(Spoken(utterance, round(time_s, 3)))
        time_s += utterance.duration_s + float(rng.uniform(0.02, 0.12))
    duration_s = max(plan.min_duration_s, time_s + plan.tail_s)
    return _faces(stage, replace(plan, min_duration_s=duration_s), tuple(spoken), {first: 0.26, second: 0.74}, rng)


def _faces(
    stage: Stage, plan: ShotPlan, spoken: tuple[Spoken, ...], places: dict[Voice, float], rng: np.random.Generator
) -> Shot:
    """Faces at `places` (x in shares of the central square); each mouth follows what its own voice says."""
    n_frames, times_T, n_samples = _lengths(stage, plan.min_duration_s)
    background = still(room(stage, rng), 1)[0]
    x0, y0 = stage.corner
    size = stage.side * (0.42 if len(places) == 1 else 0.27)
    faces = {voice: _Face(x0 + x * stage.side, y0 + 0.52 * stage.side, size) for voice, x in places.items()}
    colours = [rgb(plan.colour), np.array([190, 150, 120], np.float32)]
    for face, colour in zip(faces.values(), colours, strict=False):
        face.paint(background, colour)
    frames = still(background.astype(np.float32), n_frames)
    audio_L = np.zeros(n_samples, np.float32)
    opening_VT = {voice: np.zeros(n_frames, np.float32) for voice in faces}
    for part in spoken:
        sound.mix_in(audio_L, sound.spoken(part.utterance, stage.sample_rate_hz), part.start_s, stage.sample_rate_hz)
        opening_VT[part.utterance.voice] += mouth_opening(part.utterance, times_T - part.start_s)
    for voice, face in faces.items():
        for frame, opening in zip(frames, opening_VT[voice], strict=True):
            face.paint_mouth(frame, float(opening))
    return Shot(frames, audio_L, plan, speech=spoken)


def _music(stage: Stage, plan: ShotPlan, rng: np.random.Generator) -> Shot:
    """One column per degree of the scale; it jumps with its note and sinks while the note rings."""
    n_frames, times_T, n_samples = _lengths(stage, plan.min_duration_s)
    notes = sound.compose(rng, plan.min_duration_s)
    background = room(stage, rng) * 0.6
    frames = still(background, n_frames)
    for degree in range(6):
        starts = tuple(note.start_s for note in notes if note.degree == degree)
        level_T = brightness(starts, times_T) if starts else np.full(n_frames, FLASH_REST, np.float32)
        left = 0.08 + 0.145 * degree
        shade = rgb(plan.colour) * (0.7 + 0.06 * degree)
        for frame, level in zip(frames, level_T, strict=True):
            frame[stage.box(left, 0.86 - 0.72 * float(level), left + 0.11, 0.86)] = shade
    audio_L = sound.play(notes, n_samples, stage.sample_rate_hz)
    return Shot(frames, audio_L, plan, events_s=tuple(note.start_s for note in notes))


def _tone(stage: Stage, plan: ShotPlan, rng: np.random.Generator) -> Shot:
    """A disc that stands higher the higher the tone."""
    n_frames, times_T, n_samples = _lengths(stage, plan.min_duration_s)
    rate, depth, phase = rng.uniform(0.4, 0.9), rng.uniform(0.12, 0.2), rng.uniform(0, 2 * np.pi)

    def bend(times: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(depth * np.sin(2.0 * np.pi * rate * times + phase))

    frames = still(room(stage, rng), n_frames)
    x0, y0 = stage.corner
    x, radius = x0 + stage.side * (0.32 if plan.side == "left" else 0.68), 0.14 * stage.side
    for frame, offset in zip(frames, bend(times_T), strict=True):
        paint_ellipse(frame, (x, y0 + stage.side * (0.5 - 1.4 * float(offset))), (radius, radius), rgb(plan.colour))
    frequency_L = plan.pitch_hz * (1.0 + bend(np.arange(n_samples) / stage.sample_rate_hz))
    return Shot(frames, sound.gliding_tone(frequency_L, stage.sample_rate_hz), plan, plan.pitch_hz, plan.side)


def _rain(stage: Stage, plan: ShotPlan, rng: np.random.Generator) -> Shot:
    n_frames, times_T, n_samples = _lengths(stage, plan.min_duration_s)
    frames = still(room(stage, rng) * np.array([0.6, 0.65, 0.8], np.float32), n_frames)
    n_drops, length = stage.width * stage.height // 350, max(4, stage.height // 18)
    x_N, y_N, speed_N = (
        rng.integers(0, stage.width, n_drops),
        rng.uniform(0, 1, n_drops),
        rng.uniform(1.2, 2.0, n_drops),
    )
    top_TN = ((y_N + times_T[:, None] * speed_N) % 1.0 * stage.height).astype(np.int64)
    rows_TND = (top_TN[..., None] + np.arange(length)) % stage.height
    columns_TN = (x_N + (times_T[:, None] * speed_N * 0.3 * stage.height).astype(np.int64)) % stage.width
    frames[np.arange(n_frames)[:, None, None], rows_TND, columns_TN[..., None]] = (150, 165, 190)
    return Shot(frames, sound.rain(rng, n_samples, stage.sample_rate_hz), plan)


def _landscape(stage: Stage, plan: ShotPlan, rng: np.random.Generator) -> Shot:
    """The camera pans across a textured view; the wind blows."""
    _, times_T, n_samples = _lengths(stage, plan.min_duration_s)
    speed = stage.width * rng.uniform(0.08, 0.25)
    travel_T = speed * (times_T if plan.side == "left" else times_T[-1] - times_T)
    view = landscape(stage, stage.width + int(np.ceil(travel_T.max())) + 1, rng).astype(np.uint8)
    frames = np.stack([view[:, int(x) : int(x) + stage.width] for x in travel_T])
    return Shot(frames, sound.wind(rng, n_samples, stage.sample_rate_hz), plan)


def _singing(stage: Stage, plan: ShotPlan, rng: np.random.Generator) -> Shot:
    """A face whose mouth opens anew with each note."""
    n_frames, times_T, n_samples = _lengths(stage, plan.min_duration_s)
    notes = sound.compose_song(rng, plan.min_duration_s)
    starts = tuple(note.start_s for note in notes)
    background = still(room(stage, rng), 1)[0]
    x0, y0 = stage.corner
    face = _Face(x0 + 0.5 * stage.side, y0 + 0.52 * stage.side, 0.42 * stage.side)
    face.paint(background, rgb(plan.colour))
    frames = still(background.astype(np.float32), n_frames)
    for frame, opening in zip(frames, brightness(starts, times_T), strict=True):
        face.paint_mouth(frame, 0.3 + 0.7 * float(opening))
    return Shot(frames, sound.sing(notes, n_samples, stage.sample_rate_hz), plan, events_s=starts)


def _silent(stage: Stage, plan: ShotPlan, rng: np.random.Generator) -> Shot:
    """A disc that swings without a sound."""
    n_frames, times_T, n_samples = _lengths(stage, plan.min_duration_s)
    frames = still(room(stage, rng), n_frames)
    x0, y0 = stage.corner
    swing_T = 0.6 * np.sin(2.0 * np.pi * (times_T / rng.uniform(1.4, 2.2) + rng.uniform()))
    for frame, angle in zip(frames, swing_T, strict=True):
        x, y = (
            x0 + stage.side * (0.5 + 0.6 * np.sin(float(angle))),
            y0 + stage.side * (0.08 + 0.6 * np.cos(float(angle))),
        )
        paint_ellipse(frame, (x, y), (0.12 * stage.side, 0.12 * stage.side), rgb(plan.colour))
    return Shot(frames, np.zeros(n_samples, np.float32), plan)


_RENDERERS: dict[str, Callable[[Stage, ShotPlan, np.random.Generator], Shot]] = {
    "flash": _flash,
    "impact": _impact,
    "talk": _talk,
    "dialog": _dialog,
    "music": _music,
    "tone": _tone,
    "rain": _rain,
    "landscape": _landscape,
    "singing": _singing,
    "silent": _silent,
}
