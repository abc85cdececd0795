"""DNSMOS: windows and log-mel against slow definitions, measured values, and rows of a run."""

import sys
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise

import numpy as np
import pytest

from nava.evaluation.benchmark.item import Item, Spoken
from nava.evaluation.extraction import dnsmos
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.dnsmos import MODELS, P808, Dnsmos, log_mel, model_path, windows
from nava.evaluation.extraction.feature_cache import FeatureCache
from nava.evaluation.extraction.unit import extract
from nava.evaluation.run import score as run
from nava.evaluation.run.score import ScoringSettings, score_outputs
from nava.generation.media import write_wav
from nava.runtime.errors import InputError
from tests.evaluation.benchmark_items import a_task

RATE = 16_000


def installed():
    try:
        return bool(version("speechmos"))
    except PackageNotFoundError:
        return False


needs_models = pytest.mark.skipif(not installed(), reason="the package speechmos is not installed")


def noise(seconds, seed=0, gain=0.1):
    return (gain * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


@pytest.mark.parametrize(
    ("seconds", "starts"),
    [
        (9.01, [0]),
        (9.9, [0]),
        (10, [0]),
        (11, [0, 1]),
        (15.5, [0, 1, 2, 3, 4, 5]),
        # 16.01 s and the like are one sample less in binary numbers.
        (20, [0, 1, 2, 3, 4, 5, 6]),
        (34, [0, 1, 2, 3, 4, 5, 6, 24]),
    ],
)
def test_windows_of_nine_seconds_begin_every_second(seconds, starts):
    samples_N = noise(seconds)
    found = list(windows(samples_N))
    assert len(found) == len(starts)
    for window_N, start in zip(found, starts, strict=True):
        assert np.array_equal(window_N, samples_N[start * RATE : start * RATE + 144_160])


@pytest.mark.parametrize(("seconds", "times"), [(0.3, 32), (2, 8), (4.5, 4), (5, 2), (9, 2)])
def test_a_short_sound_is_doubled_until_it_is_long_enough(seconds, times):
    samples_N = noise(seconds)
    found = list(windows(samples_N))
    repeated_N = np.tile(samples_N, times)
    assert len(found) == min(7, int(len(repeated_N) // RATE - 9.01) + 1)
    for start, window_N in enumerate(found):
        assert np.array_equal(window_N, repeated_N[start * RATE : start * RATE + 144_160])


def slaney_hz(mel):
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def test_a_frame_is_a_windowed_spectrum_in_slaneys_bands_below_the_loudest_value():
    samples_N = noise(0.1, 3).astype(np.float64)
    padded = np.concatenate([np.zeros(160), samples_N, np.zeros(160)])
    top = 15 + 27 * np.log(8) / np.log(6.4)
    edges = [slaney_hz(mel) for mel in np.linspace(0, top, 122)]
    assert edges[-1] == pytest.approx(8000)
    frequencies = np.arange(161) * RATE / 321
    levels = []
    for frame in range(10):
        hann = [0.5 - 0.5 * np.cos(2 * np.pi * n / 321) for n in range(321)]
        power = np.abs(np.fft.fft(padded[frame * 160 : frame * 160 + 321] * hann)[:161]) ** 2
        row = []
        for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
            weight = np.interp(frequencies, [low, centre, high], [0, 1, 0]) * 2 / (high - low)
            row.append(10 * np.log10(max(1e-10, weight @ power)))
        levels.append(row)
    expected = (np.maximum(np.array(levels) - np.max(levels), -80) + 40) / 40
    found = log_mel(samples_N)
    assert (found.shape, found.dtype) == ((10, 120), np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(log_mel(7 * samples_N), expected, atol=1e-5)
    assert log_mel(noise(9)).shape == (900, 120), "as many frames as the model of P.808 takes"
    assert (log_mel(np.zeros(1600)) == 1).all()


@needs_models
def test_white_noise_has_the_measured_scores_and_loudness_matters_little(tmp_path):
    """Section 2.2 of the evaluation reference: OVRL 1.11, P.808 2.09 of white noise."""
    backend = Dnsmos()
    for gain in (0.03, 0.1):
        write_wav(tmp_path / "noise.wav", noise(5, gain=gain), RATE)
        found = backend.extract(ClipFile(tmp_path / "noise.wav")).values
        assert set(found) == {"SIG", "BAK", "OVRL", "P808"}
        assert found["OVRL"] == pytest.approx(1.11, abs=0.05)
        assert found["P808"] == pytest.approx(2.09, abs=0.06)
    assert "speechmos" not in sys.modules
    assert "librosa" not in sys.modules


@needs_models
def test_speech_falls_with_noise_as_measured(tmp_path):
    """Section 2.2: clean espeak OVRL 2.96 and P.808 3.82, with noise 10 dB below it 2.00 and 2.74; of unknown words."""
    pytest.importorskip("espeakng_loader")
    from nava.data.synthetic.speech import SAMPLE_RATE_HZ, Voice, speak

    backend = Dnsmos()
    said = "The primary coil has fifty turns. A well known fact about transformers is that power is kept."
    spoken = speak(said, Voice("X", "en-us", 165, 50), seed=1)
    clean_N = spoken.samples_L * (0.5 / np.abs(spoken.samples_L).max())
    hiss_N = np.random.default_rng(0).standard_normal(len(clean_N)) * clean_N.std()
    found = []
    for below_db in (np.inf, 10, 0):
        mixed_N = np.clip(clean_N + hiss_N * 10 ** (-below_db / 20), -1, 1).astype(np.float32)
        write_wav(tmp_path / "said.wav", mixed_N, SAMPLE_RATE_HZ)
        values = backend.extract(ClipFile(tmp_path / "said.wav")).values
        found.append((values["OVRL"], values["P808"]))
    assert found[0] == pytest.approx((2.96, 3.82), abs=0.4)
    assert found[1] == pytest.approx((2.00, 2.74), abs=0.3)
    for before, after in pairwise(found):
        assert before[0] > after[0]
        assert before[1] > after[1]


@needs_models
def test_rows_of_a_run_have_a_value_or_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "extract_all", lambda units, *_: ((unit, extract(unit)) for unit in units))
    write_wav(tmp_path / "hiss.wav", noise(3), RATE)
    write_wav(tmp_path / "blip.wav", noise(0.1), RATE)
    items = [Item(name, "one", "noise", speech=(Spoken("hello"),)) for name in ("hiss", "blip")]
    items.append(Item("mute", "one", "nothing is said"))
    outputs = {item.item_id: tmp_path / f"{item.item_id}.wav" for item in items}
    task = a_task("dnsmos_ovrl", "dnsmos_p808")
    found = score_outputs(
        task, items, outputs, FeatureCache(tmp_path / "cache"), ScoringSettings(workers=1), lambda things, *_: things
    )
    rows = {(row.metric, row.item_id): row for row in found.rows}
    assert len(rows) == 4, "who says nothing is not judged"
    assert rows["dnsmos_ovrl", "hiss"].value == pytest.approx(1.1, abs=0.1)
    assert rows["dnsmos_p808", "hiss"].value == pytest.approx(2.1, abs=0.1)
    assert "lasts 0.10 s" in rows["dnsmos_p808", "blip"].reason
    assert {figure.tier for figure in found.figures} == {"embedded"}


@needs_models
def test_another_model_is_refused(monkeypatch):
    monkeypatch.setitem(MODELS, P808, "0" * 64)
    with pytest.raises(InputError, match=r"model_v8\.onnx is missing or another model"):
        model_path(P808)


def test_without_the_package_it_says_which(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(dnsmos, "distribution", absent)
    with pytest.raises(InputError, match="needs the package speechmos"):
        Dnsmos()
