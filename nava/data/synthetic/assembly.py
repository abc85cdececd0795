"""Shots joined to a film with hard cuts and fades, and the truth about it; audio-only recordings."""

from collections.abc import Sequence

import numpy as np

from nava.data.synthetic import sound, transitions
from nava.data.synthetic.drawing import hash_distance
from nava.data.synthetic.files import Film
from nava.data.synthetic.labels import CutLabel, FileLabel, ShotLabel, UtteranceLabel, WordLabel
from nava.data.synthetic.plan import FilePlan, ShotPlan
from nava.data.synthetic.shots import FLASH_GAP_S, Shot, render_shot
from nava.data.synthetic.sound import PITCHES_HZ, Samples
from nava.data.synthetic.speech import SENTENCES, VOICES, Utterance, Voice, speak

# Neighbours of a hard cut differ in this share of their hash bits. PySceneDetect's HashDetector cuts at 0.35.
MIN_CUT_DISTANCE = 0.42
MAX_ATTEMPTS = 16
_EDGE_S = 0.004


def assemble(plan: FilePlan, rng: np.random.Generator, joins: Sequence[str] = ()) -> tuple[Film, FileLabel]:
    """Render every shot of a video file and join them.

    Args:
        joins: kind of each transition (`CutLabel.kind`); by default a fade where a shot has a tail, else a hard cut.
    """
    stage = plan.stage
    joins = joins or ["fade" if shot.tail_s else "hard" for shot in plan.shots[:-1]]
    shots = _render(plan, rng)
    starts = np.cumsum([0, *(len(shot.frames_THWC) for shot in shots)])
    label = FileLabel(plan.path, "video", defect=plan.defect)
    pieces = []
    for shot, first, last in zip(shots, starts, starts[1:], strict=False):
        first_sample, last_sample = (round(int(frame) / stage.fps * stage.sample_rate_hz) for frame in (first, last))
        audio_L = sound.fit_length(shot.audio_L, last_sample - first_sample)
        pieces.append(_to_channels(_soften_edges(audio_L, shot, stage.sample_rate_hz), shot, plan.channels))
        start_s, end_s = float(first / stage.fps), float(last / stage.fps)
        label.shots.append(_shot_label(shot, start_s, end_s, int(first), int(last)))
        label.transcript += [utterance_label(part.utterance, start_s + part.start_s) for part in shot.speech]
    for kind, before, after in zip(joins, shots[:-1], shots[1:], strict=True):
        counts = round(before.plan.tail_s * float(stage.fps)), round(after.plan.lead_s * float(stage.fps))
        transitions.join(kind, before.frames_THWC, after.frames_THWC, *counts)
    label.cuts = [
        _cut(kind, shot.plan, after.start_s)
        for kind, shot, after in zip(joins, shots[:-1], label.shots[1:], strict=True)
    ]
    film = Film(
        np.concatenate([shot.frames_THWC for shot in shots]),
        stage.fps,
        np.concatenate(pieces, axis=1),
        stage.sample_rate_hz,
    )
    return film, label


def describe_film(label: FileLabel, film: Film) -> None:
    """Write a film's form into its label."""
    frames, height, width, _ = film.frames_THWC.shape
    label.width, label.height, label.fps, label.frames = width, height, str(film.fps), frames
    label.duration_s = round(float(frames / film.fps), 6)
    if film.audio_CL is not None:
        label.sample_rate_hz, label.channels = film.sample_rate_hz, len(film.audio_CL)


def _render(plan: FilePlan, rng: np.random.Generator) -> list[Shot]:
    """Render the shots; one that looks too much like the end of the one before is drawn anew."""
    shots: list[Shot] = []
    for shot_plan in plan.shots:
        best, best_distance = None, -1.0
        for _ in range(MAX_ATTEMPTS):
            shot = render_shot(plan.stage, shot_plan, rng)
            distance = (
                hash_distance(shots[-1].frames_THWC[-1], shot.frames_THWC[0]) if shots and not shot_plan.lead_s else 1.0
            )
            if distance > best_distance:
                best, best_distance = shot, distance
            if distance >= MIN_CUT_DISTANCE:
                break
        assert best is not None
        shots.append(best)
    return shots


def _soften_edges(audio_L: Samples, shot: Shot, rate_hz: int) -> Samples:
    """No clicks at a cut; the sound fades with the picture at a fade."""
    for length_s, part in ((shot.plan.lead_s, slice(None)), (shot.plan.tail_s, slice(None, None, -1))):
        view_L = audio_L[part]
        n_samples = round(max(length_s, _EDGE_S) * rate_hz)
        view_L[:n_samples] *= np.linspace(0.0, 1.0, n_samples, dtype=np.float32)
    return audio_L


def _to_channels(audio_L: Samples, shot: Shot, channels: int) -> Samples:
    """Mono to the file's channels; a side is heard on its side."""
    if channels == 1:
        return audio_L[None]
    left, right = {"left": (1.0, 0.6), "right": (0.6, 1.0)}.get(shot.side, (0.8, 0.8))
    return np.stack([audio_L * np.float32(left), audio_L * np.float32(right)])


def _cut(kind: str, before: ShotPlan, time_s: float) -> CutLabel:
    half_s = before.tail_s
    return CutLabel(round(time_s, 6), kind, round(time_s - half_s, 6), round(time_s + half_s, 6))


def _shot_label(shot: Shot, start_s: float, end_s: float, first: int, last: int) -> ShotLabel:
    return ShotLabel(
        kind=shot.plan.kind,
        start_s=round(start_s, 6),
        end_s=round(end_s, 6),
        start_frame=first,
        end_frame=last,
        colour="" if shot.plan.kind in ("rain", "landscape") else shot.plan.colour,
        side=shot.side,
        pitch_hz=shot.pitch_hz,
        timbre=shot.timbre,
        speakers=sorted({part.utterance.voice.speaker for part in shot.speech}),
        events_s=[round(start_s + event, 4) for event in shot.events_s],
    )


def utterance_label(utterance: Utterance, start_s: float) -> UtteranceLabel:
    """The truth about an utterance that starts at a time of the file."""
    words = [
        WordLabel(word.text, round(start_s + word.start_s, 4), round(start_s + word.end_s, 4))
        for word in utterance.words
    ]
    voice = utterance.voice
    return UtteranceLabel(
        voice.speaker,
        voice.espeak_voice,
        round(start_s, 4),
        round(start_s + utterance.duration_s, 4),
        utterance.text,
        words,
    )


def record(plan: FilePlan, rng: np.random.Generator) -> tuple[Samples, FileLabel]:
    """Render an audio-only file of 4 to 8 s as (1, L) samples."""
    rate_hz, duration_s = plan.stage.sample_rate_hz, round(float(rng.uniform(4.3, 7.8)), 3)
    n_samples = round(duration_s * rate_hz)
    label = FileLabel(plan.path, "audio", defect=plan.defect)
    shot = ShotLabel(plan.sound, 0.0, duration_s, 0, 0)
    if plan.sound in ("speech", "dialog"):
        samples_L = np.zeros(n_samples, np.float32)
        label.transcript = _converse(samples_L, rate_hz, _voices(plan.sound, rng), rng)
        shot.speakers = sorted({part.speaker for part in label.transcript})
    elif plan.sound == "flash_tones":
        shot.pitch_hz = PITCHES_HZ[plan.variant % len(PITCHES_HZ)]
        shot.events_s = _tone_times(duration_s, rng)
        samples_L = sound.flash_tones(shot.events_s, shot.pitch_hz, n_samples, rate_hz)
    elif plan.sound == "music":
        notes = sound.compose(rng, duration_s)
        shot.events_s = [note.start_s for note in notes]
        samples_L = sound.play(notes, n_samples, rate_hz)
    elif plan.sound == "singing":
        notes = sound.compose_song(rng, duration_s)
        shot.events_s = [note.start_s for note in notes]
        samples_L = sound.sing(notes, n_samples, rate_hz)
    else:
        samples_L = sound.rain(rng, n_samples, rate_hz)
    label.shots = [shot]
    return (samples_L + sound.room_noise(rng, n_samples))[None], label


def _tone_times(duration_s: float, rng: np.random.Generator) -> list[float]:
    times, time_s = [], float(rng.uniform(0.08, 0.4))
    while time_s < duration_s - 0.12:
        times.append(round(time_s, 4))
        time_s += float(rng.uniform(*FLASH_GAP_S))
    return times


def _voices(kind: str, rng: np.random.Generator) -> list[Voice]:
    if kind == "speech":
        return [VOICES[int(rng.integers(len(VOICES)))]]
    return [VOICES[int(i)] for i in rng.permutation(len(VOICES))[:2]]


def _converse(
    samples_L: Samples, rate_hz: int, voices: Sequence[Voice], rng: np.random.Generator
) -> list[UtteranceLabel]:
    """The speakers take turns to say different sentences until the time is up."""
    transcript: list[UtteranceLabel] = []
    time_s = 0.1
    for turn, position in enumerate(rng.permutation(len(SENTENCES))):
        utterance = speak(SENTENCES[int(position)], voices[turn % len(voices)], seed=int(rng.integers(1, 2**31)))
        if len(transcript) >= len(voices) and time_s + utterance.duration_s > len(samples_L) / rate_hz:
            break
        sound.mix_in(samples_L, sound.spoken(utterance, rate_hz), time_s, rate_hz)
        transcript.append(utterance_label(utterance, time_s))
        time_s += utterance.duration_s + float(rng.uniform(0.1, 0.3))
    return transcript
