"""FunASR's worker through the real protocol, on a stand-in for the library: what it is asked, and what comes of it."""

import json
import sys
from pathlib import Path

import pytest

from nava.evaluation.environments.recipe import find_recipe
from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.environment_worker import WorkerCommand, WorkerExtractor
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_path
from tests.evaluation.environments.tiny_workers import sound

STAND_IN = Path(__file__).parent / "stand_in_funasr"
START = """
import runpy, sys
sys.path.insert(0, sys.argv.pop(1))
del sys.argv[0]
runpy.run_path(sys.argv[0], None, "__main__")
"""
WORKER = find_recipe("funasr").worker


def model_folder(folder: Path, heard: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("model.pt", "config.yaml", "am.mvn"):
        (folder / name).write_text(name)
    (folder / "heard.txt").write_text(heard)
    return folder


def extractor(backend: str, weights: Path, sha256: str = "") -> WorkerExtractor:
    sha256 = sha256 or sha256_path(weights)
    named = ("--backend", backend, "--weights", str(weights), "--sha256", sha256)
    program = (sys.executable, "-I", "-c", START, str(STAND_IN), str(WORKER), *named)
    return WorkerExtractor(WorkerCommand(program, backend, sha256))


@pytest.mark.parametrize(("heard", "text"), [("今 天 天 氣", "今 天 天 气"), ("", "")])
def test_paraformer_is_asked_as_seed_tts_asks_it(tmp_path: Path, heard: str, text: str) -> None:
    weights = model_folder(tmp_path / "up" / "paraformer", heard)
    worker = extractor("paraformer_zh", weights)
    assert worker.extract(ClipFile(sound(tmp_path / "a.wav"))).values == {"text": text}
    worker.close()
    made, asked = json.loads((weights.parent / "calls.json").read_text())
    assert asked == {"input": "WAV", "batch_size_s": 300}
    assert made["model"] == str(weights)
    assert not {"vad_model", "punc_model"} & set(made)
    assert made["frontend_conf"] == {"dither": 0.0}, "else the same file gives other texts"
    assert (made["disable_update"], made["trust_remote_code"], made["device"]) == (True, False, "cpu")


def test_sensevoice_is_asked_as_verse_bench_asks_it(tmp_path: Path) -> None:
    model_folder(tmp_path / "both" / "fsmn-vad", "")
    model_folder(tmp_path / "both" / "SenseVoiceSmall", "<|en|><|NEUTRAL|><|Speech|><|withitn|>It has 50 turns.")
    worker = extractor("sensevoice_small", tmp_path / "both")
    clip = ClipFile(sound(tmp_path / "a.wav"))
    assert worker.extract(clip).values == {"text": "It has 50 turns."}
    worker.close()
    made, asked = json.loads((tmp_path / "both" / "calls.json").read_text())
    assert (asked["language"], asked["use_itn"], asked["merge_vad"]) == ("auto", True, True)
    assert made["frontend_conf"] == made["vad_kwargs"]["frontend_conf"] == {"dither": 0.0}
    assert made["vad_model"] == str(tmp_path / "both" / "fsmn-vad")


def test_no_connection_is_made(tmp_path: Path) -> None:
    weights = model_folder(tmp_path / "paraformer", "x")
    (weights / "fetches").touch()
    with pytest.raises(InputError, match=r"ConnectionRefusedError: this worker stays offline, .*192\.0\.2\.1"):
        extractor("paraformer_zh", weights)


def test_weights_that_are_others_or_not_whole_are_refused(tmp_path: Path) -> None:
    weights = model_folder(tmp_path / "paraformer", "x")
    with pytest.raises(InputError, match=rf"have sha256 {sha256_path(weights)}, but 0{{64}} is named"):
        extractor("paraformer_zh", weights, "0" * 64)
    (weights / "am.mvn").unlink()
    with pytest.raises(InputError, match=r"paraformer lacks am\.mvn: copy the folder"):
        extractor("paraformer_zh", weights)
    with pytest.raises(InputError, match=r"SenseVoiceSmall lacks model\.pt, config\.yaml, am\.mvn"):
        extractor("sensevoice_small", weights)


def test_the_hash_of_a_folder_is_the_one_that_the_rest_of_nava_computes(tmp_path: Path) -> None:
    """Names whose order as texts and as paths differ, folders inside, an empty file."""
    weights = model_folder(tmp_path / "w", "x")
    for name in ("a/b", "a-b", "a.b/c", "B", "ä", "a/empty"):
        (weights / name).parent.mkdir(exist_ok=True)
        (weights / name).write_text("" if name.endswith("empty") else name)
    extractor("paraformer_zh", weights).close()
