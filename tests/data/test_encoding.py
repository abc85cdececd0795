"""The encode step: what it leaves behind, that it repeats exactly, and that a kill costs at most one shard."""

import json
import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from nava.artifacts.clip_manifest import read_clips, write_clips
from nava.artifacts.latent_shard import RECONSTRUCTION_FILE, read_index
from nava.conditioning.text import load_text_encoder
from nava.data import clip_encoder
from nava.data.encoding import encode
from nava.data.shards import LatentShards
from nava.latents.registry import load_codecs
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.step import Step
from nava.runtime.storage import read_json
from tests.data.flash_corpus import write_flash_corpus

SECTIONS: dict[str, Any] = {
    "latents": {"video": {"fit_clips": 12, "fit_blocks": 600, "subspace_iterations": 2}},
    "conditioning": {},
    "encoding": {"clips_per_shard": 4, "reconstruction_clips": 2},
}
KEY = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flash_corpus(tmp_path_factory.mktemp("corpus"), train=12, held_out=2, audio_only=3)


def as_step(run_dir: Path, **encoding: Any) -> Step:
    sections = SECTIONS | {"encoding": SECTIONS["encoding"] | encoding}
    return Step("encode", run_dir, "run", sections, seed=0, key=KEY, workdir=run_dir / "work")


def replace_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    repository = types.ModuleType("nava.data.corpus.repository")
    repository.checkout = lambda handle: handle.path  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nava.data.corpus.repository", repository)


@pytest.fixture
def corpus(corpus_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Handle:
    """A corpus version whose checkout is a plain folder, so that this test needs neither git nor DVC."""
    replace_checkout(monkeypatch)
    return Handle("corpus_version", str(corpus_folder), "0" * 64)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_the_step_leaves(corpus: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handle = encode(as_step(tmp_path), corpus)
    folder = tmp_path / "shards" / KEY[:16]
    assert (handle.kind, handle.path) == ("latent_shards", folder)
    assert handle.meta["clips"] == 17
    assert handle.meta["by_split"] == {"heldout/av": 2, "train/audio": 3, "train/av": 12}
    assert handle.meta["by_bucket"] == {"a52": 3, "v13x4x4-a52": 14}
    assert handle.meta["truncated_captions"] == 0
    assert json.loads(json.dumps(handle.meta)) == handle.meta
    shards = LatentShards(folder)
    shards.verify()
    batch = shards.read(shards.ids("train", "av"))
    assert batch.video_BCTHW is not None
    assert batch.video_BCTHW.shape == (12, 48, 13, 4, 4)
    assert batch.video_BCTHW.square().mean() == pytest.approx(1.0, abs=0.15)
    assert batch.audio_BLC.square().mean() == pytest.approx(2.25, abs=0.4)
    assert "dropped" not in shards.entries
    entry = read_index(folder)[0]
    assert load_codecs(shards.codec_folder).identities == {
        "video": entry.video_codec_id,
        "audio": entry.audio_codec_id,
    }
    assert load_text_encoder(shards.codec_folder / "text").identity == entry.text_encoder_id
    assert read_json(folder / RECONSTRUCTION_FILE)["video"]["n"] == 2
    assert "latent shards: 5 in" in capsys.readouterr().out


def test_two_runs_are_byte_identical(corpus: Handle, tmp_path: Path) -> None:
    first = encode(as_step(tmp_path / "one"), corpus)
    second = encode(as_step(tmp_path / "two", decode_workers=1), corpus)
    assert first.sha256 == second.sha256
    assert files_of(first.path) == files_of(second.path)


KILLED_RUN = """
import os, signal, sys, types
from pathlib import Path
sys.path.insert(0, os.getcwd())
repository = types.ModuleType("nava.data.corpus.repository")
repository.checkout = lambda handle: handle.path
sys.modules["nava.data.corpus.repository"] = repository
from nava.artifacts.clip_manifest import read_clips, write_clips
from nava.runtime.handle import Handle
from nava.data import clip_encoder
from nava.data.encoding import encode
from tests.data.test_encoding import as_step
encode_batches, calls = clip_encoder._encode, []
def killed_at_the_third_shard(*arguments):
    calls.append(arguments)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode_batches(*arguments)
clip_encoder._encode = killed_at_the_third_shard
encode(as_step(Path(sys.argv[1])), Handle("corpus_version", sys.argv[2], "0" * 64))
"""


def test_kill_minus_nine_loses_at_most_the_shard_in_flight(
    corpus: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED_RUN, str(tmp_path / "killed"), corpus.uri]
    killed = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    folder = tmp_path / "killed" / "shards" / KEY[:16]
    assert len(list(folder.rglob("0*.safetensors"))) == 2
    with pytest.raises(InputError, match=r"index\.parquet is missing"):
        LatentShards(folder)

    encoded = []
    encode_batches = clip_encoder._encode
    monkeypatch.setattr(
        clip_encoder, "_encode", lambda clips, *rest: encoded.append(len(clips)) or encode_batches(clips, *rest)
    )
    monkeypatch.setattr(clip_encoder, "_fit", lambda *_: pytest.fail("the codecs were fitted twice"))
    resumed = encode(as_step(tmp_path / "killed"), corpus)
    assert encoded == [4, 4, 4]
    monkeypatch.undo()
    replace_checkout(monkeypatch)
    assert encode(as_step(tmp_path / "undisturbed"), corpus).sha256 == resumed.sha256


def test_parts_that_a_kill_left_are_removed(corpus: Handle, tmp_path: Path) -> None:
    clean = encode(as_step(tmp_path / "clean"), corpus)
    folder = tmp_path / "killed" / "shards" / KEY[:16]
    for name in (
        ".index.parquet.0123abcd.part",
        "a52/.00000.safetensors.0123abcd.part",
        ".codec.0123abcd.part/video/x",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"half")
    resumed = encode(as_step(tmp_path / "killed"), corpus)
    assert files_of(folder) == files_of(clean.path)
    assert resumed.sha256 == clean.sha256


def test_long_captions_are_reported(
    corpus: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = as_step(tmp_path)
    step.sections["conditioning"] = {"text_rows": 4}
    handle = encode(step, corpus)
    assert handle.meta["truncated_captions"] == 17
    assert "17 captions are longer than 4 words" in capsys.readouterr().out


def test_wrong_settings_leave_no_shards(corpus: Handle, tmp_path: Path) -> None:
    step = as_step(tmp_path)
    step.sections["latents"] = {"video": {"type": "wan22"}}
    with pytest.raises(InputError, match="unknown video codec type 'wan22'; known types: block_dct, block_pca"):
        encode(step, corpus)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_changed_caption_changes_the_hash_and_only_its_shard(
    corpus: Handle, corpus_folder: Path, tmp_path: Path
) -> None:
    """What later steps depend on is the content."""
    before = encode(as_step(tmp_path / "before"), corpus)
    changed = shutil.copytree(corpus_folder, tmp_path / "corpus")
    rows = read_clips(changed).to_pylist()
    rows = [row | {"caption": "rain", "stage_versions": None} if row["clip_id"] == "audio2000" else row for row in rows]
    write_clips(changed, rows)
    after = encode(as_step(tmp_path / "after"), Handle("corpus_version", str(changed), "1" * 64))
    assert before.sha256 != after.sha256
    first, second = files_of(before.path), files_of(after.path)
    assert {name for name in first if first[name] != second[name]} == {"a52/00000.safetensors", "index.parquet"}


def test_another_kind_of_handle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a handle of kind 'corpus_version', got 'clips'"):
        encode(as_step(tmp_path), Handle("clips", str(tmp_path), "0" * 64))


def test_the_module_is_light_to_import() -> None:
    """A cached step imports it only to look up its key."""
    code = "import sys, nava.data.encoding; sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
