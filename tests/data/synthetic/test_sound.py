import numpy as np
import pytest

from nava.data.synthetic import sound
from nava.data.synthetic.speech import VOICES, speak

RATE = 32_000


def loudest_frequency(samples: np.ndarray, rate: int = RATE) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.mark.parametrize("pitch", sound.PITCHES_HZ)
def test_a_flash_tone_has_its_pitch_and_starts_at_its_event(pitch):
    samples = sound.flash_tones([0.5, 1.1], pitch, 2 * RATE, RATE)
    assert not samples[: RATE // 2].any()
    assert loudest_frequency(samples[RATE // 2 : RATE]) == pytest.approx(pitch, rel=0.02)
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.05)


def test_a_flash_tone_decays_as_exp_of_minus_9_dt():
    samples = sound.flash_tones([0.0], 1700, RATE, RATE)
    early, late = (np.sqrt(np.mean(samples[int(t * RATE) : int((t + 0.02) * RATE)] ** 2)) for t in (0.1, 0.3))
    assert late / early == pytest.approx(np.exp(-9 * 0.2), rel=0.05)


def test_each_event_strikes_anew():
    once, twice = (sound.flash_tones(events, 300, RATE, RATE) for events in ([0.1], [0.1, 0.5]))
    assert np.array_equal(once[: RATE // 2], twice[: RATE // 2])
    assert np.abs(twice[RATE // 2 :]).max() > 10 * np.abs(once[RATE // 2 :]).max()


def test_no_events_are_silence():
    assert not sound.flash_tones([], 300, 100, RATE).any()


def test_wood_and_metal_sound_different():
    wood, metal = (sound.knocks([0.1], timbre, RATE // 2, RATE) for timbre in ("knock", "metal"))
    assert loudest_frequency(wood) < 700
    assert loudest_frequency(metal) > 1500


def test_a_tune_stays_in_time_and_on_its_scale():
    notes = sound.compose(np.random.default_rng(1), 4.0)
    starts = [note.start_s for note in notes]
    assert starts == sorted(starts)
    assert len(notes) >= 6
    assert starts[0] > 0.0
    assert starts[-1] < 3.9
    assert {note.degree for note in notes} <= set(range(6))


def test_tunes_are_not_periodic():
    gaps = np.diff([note.start_s for note in sound.compose(np.random.default_rng(1), 6.0)])
    assert len(set(np.round(gaps, 2))) > len(gaps) // 2


def test_a_played_note_is_heard_at_its_time_and_pitch():
    note = sound.Note(0.25, 0, 440.0)
    samples = sound.play([note], RATE, RATE)
    assert not samples[: RATE // 4].any()
    assert loudest_frequency(samples[RATE // 4 :]) == pytest.approx(440, rel=0.02)


def test_a_gliding_tone_follows_its_frequency():
    samples = sound.gliding_tone(np.linspace(400, 800, RATE), RATE)
    assert loudest_frequency(samples[: RATE // 10]) == pytest.approx(420, abs=20)
    assert loudest_frequency(samples[-RATE // 10 :]) == pytest.approx(780, abs=20)


def test_rain_is_noise_without_a_pitch():
    samples = sound.rain(np.random.default_rng(0), 2 * RATE, RATE)
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    assert spectrum.max() / spectrum.mean() < 100
    assert 0.01 < np.sqrt(np.mean(samples**2)) < 0.3


def test_room_noise_has_its_level():
    samples = sound.room_noise(np.random.default_rng(0), RATE)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(sound.ROOM_NOISE_RMS, rel=0.02)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_resampling_keeps_length_pitch_and_level(rate):
    tone = np.sin(2 * np.pi * 440 * np.arange(22_050) / 22_050).astype(np.float32)
    resampled = sound.resample(tone, 22_050, rate)
    assert resampled.dtype == np.float32
    assert len(resampled) == rate
    assert np.allclose(resampled, np.sin(2 * np.pi * 440 * np.arange(rate) / rate), atol=1e-3)


def test_speech_of_all_voices_is_equally_loud():
    levels = [np.sqrt(np.mean(sound.spoken(speak("Rain fell.", voice, 1), RATE) ** 2)) for voice in VOICES[:3]]
    assert levels == pytest.approx([0.12] * 3, rel=1e-3)


def test_mixing_in_adds_and_cuts_at_the_end():
    samples = np.zeros(10, np.float32)
    sound.mix_in(samples, np.ones(4, np.float32), 0.2, 10)
    sound.mix_in(samples, np.ones(4, np.float32), 0.8, 10)
    sound.mix_in(samples, np.ones(4, np.float32), 5.0, 10)
    assert samples.tolist() == [0, 0, 1, 1, 1, 1, 0, 0, 1, 1]


@pytest.mark.parametrize(("length", "expected"), [(2, [1, 1]), (3, [1, 1, 1]), (5, [1, 1, 1, 0, 0])])
def test_fitting_a_length_cuts_or_pads(length, expected):
    assert sound.fit_length(np.ones(3, np.float32), length).tolist() == expected


def test_a_song_moves_in_steps_and_its_notes_follow_each_other():
    notes = sound.compose_song(np.random.default_rng(1), 6.0)
    gaps = np.diff([note.start_s for note in notes])
    assert len(notes) >= 5
    assert 0.35 - 1e-3 <= gaps.min() <= gaps.max() <= 0.9 + 1e-3
    assert np.abs(np.diff([note.degree for note in notes])).max() <= 2
    assert notes[-1].start_s < 5.7


def test_singing_holds_the_pitch_of_its_notes():
    notes = [sound.Note(0.0, 0, 220.0), sound.Note(1.0, 4, 330.0)]
    samples = sound.sing(notes, 2 * 48_000, 48_000)
    for start, hz in ((0.2, 220.0), (1.2, 330.0)):
        part = samples[round(start * 48_000) : round((start + 0.7) * 48_000)]
        correlation = np.correlate(part[:12_000], part[:4_000], "valid")
        period = 60 + int(np.argmax(correlation[60:400]))
        assert 48_000 / period == pytest.approx(hz, rel=0.03)
    assert np.abs(samples).max() < 1.0


def test_wind_is_low_and_has_no_onset():
    samples = sound.wind(np.random.default_rng(2), 4 * 48_000, 48_000)
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / 48_000)
    assert power[hz < 1000].sum() > 0.8 * power.sum()
    level = np.sqrt((samples.reshape(-1, 4800) ** 2).mean(axis=1))
    assert np.abs(np.diff(np.log(level))).max() < np.log(1.5)
