"""Sound backends through a whole scoring run: rows with values, or null with a reason."""

from dataclasses import replace

import numpy as np
import pytest

from nava.evaluation.benchmark.item import Item, Spoken
from nava.evaluation.extraction.extractor import ENTRIES
from nava.evaluation.extraction.feature_cache import FeatureCache, Wish
from nava.evaluation.extraction.unit import extract
from nava.evaluation.run import score as run
from nava.evaluation.run.records import read_rows, write_rows
from nava.evaluation.run.score import ScoringSettings, score_outputs
from nava.evaluation.scoring.cosine import cosine
from nava.generation.media import write_mp4, write_wav
from nava.runtime.hashing import sha256_path
from tests.data.speech.whisper_folder import write_whisper
from tests.evaluation.backends.sound_checkpoints import write_aesthetics, write_clap, write_passt, write_speaker
from tests.evaluation.benchmark_items import a_task

RATE = 16_000
SMALL = "tests.evaluation.backends.sound_checkpoints"
AXES = ("audiobox_ce", "audiobox_cu", "audiobox_pc", "audiobox_pq")
PAIRS = ("clap_score", "fd.pair_clap", "kl.passt", "sim.seed_tts")
METRICS = (*AXES, *PAIRS, "wer.seed_tts", "fd.frechet_clap")
PAPER = ("audiobox_aesthetics", "clap_630k_fusion", "passt", "wavlm_large_ecapa", "whisper_large_v3")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    places = {
        "whisper_large_v3": write_whisper(folder / "whisper"),
        "wavlm_large_ecapa": write_speaker(folder / "speaker"),
        "audiobox_aesthetics": write_aesthetics(folder / "audiobox"),
        "clap_630k_fusion": write_clap(folder / "clap"),
        "passt": write_passt(folder / "passt"),
    }
    return {
        name: {"weights": str(place), "sha256": sha256_path(place), "device": "cpu"} for name, place in places.items()
    }


@pytest.fixture(autouse=True)
def small_and_in_this_process(monkeypatch):
    """Networks of the real layout but small ones, which a worker process would not know of."""
    kinds = {
        "wavlm_large_ecapa": "SmallWavlmEcapa",
        "audiobox_aesthetics": "SmallAudiobox",
        "passt": "SmallPasst",
    }
    for name, kind in kinds.items():
        monkeypatch.setitem(ENTRIES, name, replace(ENTRIES[name], place=f"{SMALL}:{kind}"))
    monkeypatch.setattr(run, "extract_all", lambda units, *_: ((unit, extract(unit)) for unit in units))


def noise(seed, seconds=1.0):
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    frames = np.zeros((10, 32, 32, 3), np.uint8)
    for name, samples in (
        ("same", noise(0)),
        ("other", noise(1)),
        ("stereo", np.stack([noise(0), noise(1)])),
        ("mean", (noise(0) + noise(1)) / 2),
        ("silent", np.zeros(RATE, np.float32)),
        ("blip", noise(0, 0.1)),
        ("reference", noise(0)),
    ):
        write_wav(folder / f"{name}.wav", samples, RATE)
    write_mp4(folder / "mute.mp4", frames, 25, None, RATE)
    (folder / "torn.wav").write_bytes(b"RIFF")
    return folder


def items_of(media, *names):
    reference = media / "reference.wav"
    items = [
        Item(
            item_id=name,
            subset="one",
            prompt="noise",
            speech=(Spoken("hello there"),),
            audio_prompt="a hiss",
            reference_audio=reference,
            reference_voice=reference,
        )
        for name in names
    ]
    paths = {name: next(media.glob(f"{name}.*")) for name in names}
    return items, paths


def scored(media, cache, settings, *names, metrics=METRICS):
    items, outputs = items_of(media, *names)
    runs = ScoringSettings(workers=1, attempts=1)
    watch = lambda things, *_: things  # noqa: E731
    return score_outputs(a_task(*metrics), items, outputs, FeatureCache(cache, settings), runs, watch)


def paper_rows(found):
    return {(row.metric, row.item_id): row for row in found.rows if row.tier == "paper"}


def test_every_metric_has_a_row_with_a_value(media, tmp_path, settings):
    found = scored(media, tmp_path, settings, "same", "other")
    rows = paper_rows(found)
    assert {metric for metric, _ in rows} == set(METRICS) - {"fd.frechet_clap"}
    assert {row.reason for row in rows.values()} == {""}
    assert rows["sim.seed_tts", "same"].value == pytest.approx(1, abs=1e-6)
    assert rows["fd.pair_clap", "same"].value == pytest.approx(0, abs=1e-6)
    assert rows["kl.passt", "same"].value == pytest.approx(0, abs=1e-5)
    assert rows["kl.passt", "other"].value > rows["kl.passt", "same"].value
    assert rows["sim.seed_tts", "other"].value < 1
    assert rows["fd.pair_clap", "other"].value > rows["fd.pair_clap", "same"].value
    assert -1 <= rows["clap_score", "same"].value <= 1
    assert rows["wer.seed_tts", "same"].value >= 0
    assert all(figure.unproven for figure in found.figures if figure.tier == "paper")
    write_rows(tmp_path / "rows.jsonl", found.rows)
    assert sorted(read_rows(tmp_path / "rows.jsonl"), key=str) == sorted(found.rows, key=str)
    assert {row.backend for row in rows.values()} == set(PAPER)


def test_the_score_of_a_text_is_the_cosine_with_its_embedding(media, tmp_path, settings):
    row = paper_rows(scored(media, tmp_path, settings, "same", metrics=("clap_score",)))["clap_score", "same"]
    cache = FeatureCache(tmp_path, settings)
    text = cache.text_file("a hiss")
    assert text.read_text() == "a hiss"
    sound_D, text_D = (
        cache.find(Wish(path, "clap_630k_fusion")).arrays["embedding_D"] for path in (media / "same.wav", text)
    )
    assert row.value == cosine(sound_D, text_D).value
    assert cache.text_file("another") != text


def test_a_second_run_computes_nothing_and_gives_the_same(media, tmp_path, settings, monkeypatch):
    first = scored(media, tmp_path, settings, "same", "other")
    monkeypatch.setattr(run, "extract_all", lambda units, *_: pytest.fail("extracted again") if units else iter(()))
    assert scored(media, tmp_path, settings, "same", "other") == first


def test_stereo_is_heard_as_its_mean(media, tmp_path, settings):
    rows = paper_rows(scored(media, tmp_path, settings, "stereo", "mean", metrics=(*AXES, *PAIRS)))
    for metric in (*AXES, *PAIRS):
        # Two channels are rounded to 16 bits one by one.
        assert rows[metric, "stereo"].value == pytest.approx(rows[metric, "mean"].value, abs=2e-2), metric


def test_what_cannot_be_heard_is_null_with_a_reason(media, tmp_path, settings):
    rows = paper_rows(scored(media, tmp_path, settings, "blip", "mute", "torn"))
    for (_, item), row in rows.items():
        assert row.value is None
        expected = {"blip": "lasts 0.10 s", "mute": "the clip has no sound", "torn": "torn.wav"}[item]
        assert expected in row.reason
    assert len(rows) == 3 * (len(METRICS) - 1)


def test_silence_is_null_where_nothing_is_defined_and_a_score_where_the_network_has_one(media, tmp_path, settings):
    rows = paper_rows(scored(media, tmp_path, settings, "silent"))
    assert "no voice" in rows["sim.seed_tts", "silent"].reason
    for metric in ("clap_score", "fd.pair_clap", "kl.passt"):
        assert rows[metric, "silent"].value is None
        assert "no peak" in rows[metric, "silent"].reason
    for metric in (*AXES, "wer.seed_tts"):
        assert rows[metric, "silent"].value is not None, "left out, silent clips would make the mean better"


def test_other_weights_than_stated_are_the_reason_of_every_row(media, tmp_path, settings):
    wrong = {name: {**values, "sha256": "0" * 64} for name, values in settings.items()}
    rows = paper_rows(scored(media, tmp_path, wrong, "same"))
    assert len(rows) == len(METRICS) - 1
    assert all(row.value is None and "has sha256" in row.reason for row in rows.values())


def test_without_weights_they_are_absent_and_say_so(media, tmp_path):
    found = scored(media, tmp_path, {}, "same")
    absent = {entry.backend: entry.reason for entry in found.absent}
    assert set(absent) == set(PAPER)
    assert all(reason.startswith("no weights are configured") for reason in absent.values())
