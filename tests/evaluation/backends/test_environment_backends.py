"""Backends in environments are backends like others: absent with the reason, keyed by recipe, rows from features."""

from pathlib import Path

import numpy as np
import pytest

from nava.evaluation.environments import recipe as recipes
from nava.evaluation.environments.recipe import why_not
from nava.evaluation.extraction import extractor
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.environment_worker import EnvironmentBackend
from nava.evaluation.extraction.extractor import ENTRIES, ExtractorEntry, identity, make_extractor, needs_weights
from nava.evaluation.extraction.features import UnmeasurableError
from nava.evaluation.run.cells import columns
from nava.runtime.errors import InputError
from tests.evaluation.benchmark_items import a_task, items_in
from tests.evaluation.environments.tiny_workers import pretend_made, sound, tiny_recipe, tiny_worker, weights


class Honest(EnvironmentBackend):
    """Of the tiny worker."""

    environment = "tiny"
    backend = "honest"
    version = 1


class Weighted(Honest):
    """The same with weights."""

    needs_weights = True


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without environments, a recipe `tiny` and two backends in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(recipes, "RECIPES", tmp_path / "recipes")
    tiny_recipe(tmp_path / "recipes" / "tiny")
    for name, kind in (("honest", "Honest"), ("weighted", "Weighted")):
        monkeypatch.setitem(extractor.ENTRIES, name, ExtractorEntry(name, f"{__name__}:{kind}", environment="tiny"))
    identity.cache_clear()
    yield tmp_path
    identity.cache_clear()


def make(home: Path) -> None:
    pretend_made(recipes.find_recipe("tiny"), home / ".cache/nava/environments/tiny")


def test_without_its_environment_a_backend_is_absent_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found, absent = columns(a_task("sim.seed_tts", "cer.seed_tts", "wer.verse_bench"), items_in(tmp_path))
    reasons = {entry.backend: entry.reason for entry in absent}
    for name in ("resemblyzer", "paraformer_zh", "sensevoice_small"):
        environment = ENTRIES[name].environment
        assert reasons[name] == (
            f"environment {environment} has not been made: nava eval environment make {environment}"
        )
    assert "sim.seed_tts[mel_statistics]" in {column.name for column in found}
    with pytest.raises(
        InputError, match="backend resemblyzer cannot be had: environment resemblyzer has not been made"
    ):
        make_extractor("resemblyzer")


def test_once_made_it_is_an_extractor(home: Path) -> None:
    make(home)
    backend = make_extractor("honest")
    assert backend.extract(ClipFile(sound(home / "a.wav"))).values["seconds"] == pytest.approx(0.5)
    assert backend.weights_sha256 is None
    backend.close()


def test_weights_are_named_by_path_and_hash(home: Path) -> None:
    make(home)
    path, sha256 = weights(home / "weights")
    assert needs_weights("weighted")
    backend = make_extractor("weighted", {"weights": path, "sha256": sha256, "device": "cpu"})
    assert backend.weights_sha256 == sha256
    backend.close()
    with pytest.raises(InputError, match=rf"have sha256 {sha256}, but none is named"):
        make_extractor("weighted", {"weights": path})


def test_another_recipe_is_other_features_and_wants_to_be_made_again(home: Path) -> None:
    make(home)
    before = identity("honest")
    tiny_worker(home / "recipes" / "tiny", "# another\n")
    identity.cache_clear()
    assert identity("honest") != before
    with pytest.raises(
        InputError, match="environment tiny was made from another recipe: nava eval environment make tiny"
    ):
        make_extractor("honest")


@pytest.mark.skipif(bool(why_not("resemblyzer")), reason=why_not("resemblyzer") or "made")
def test_resemblyzer_tells_voices_by_more_than_their_words(tmp_path: Path) -> None:
    from nava.data.synthetic.speech import SENTENCES, Voice, speak
    from nava.generation.media import write_wav

    backend = make_extractor("resemblyzer")
    found = {}
    for name in ("en-us+m3", "en-us+f3"):
        for number in (0, 1):
            path = tmp_path / f"{name}{number}.wav"
            said = speak(f"{SENTENCES[number]} {SENTENCES[number + 6]}", Voice("", name, 165, 50), number)
            write_wav(path, said.samples_L, 22_050)
            found[name[-2:], number] = backend.extract(ClipFile(path)).arrays["embedding_D"]
    assert {vector.shape for vector in found.values()} == {(256,)}
    assert all(abs(np.linalg.norm(vector) - 1) < 1e-4 for vector in found.values())
    same = [found[name, 0] @ found[name, 1] for name in ("m3", "f3")]
    other = [found["m3", one] @ found["f3", two] for one in (0, 1) for two in (0, 1)]
    assert min(same) > max(other) + 0.1
    write_wav(tmp_path / "silent.wav", np.zeros(16_000, np.float32), 16_000)
    with pytest.raises(UnmeasurableError, match="silent: there is no voice"):
        backend.extract(ClipFile(tmp_path / "silent.wav"))
    backend.close()
