"""The encode step: what it leaves behind, that it repeats exactly, and that a kill costs at most one shard."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from nava.artifacts.clip_manifest import read_clips, write_clips
from nava.artifacts.latent_shard import RECONSTRUCTION_FILE, read_index
from nava.conditioning.text import load_text_encoder
from nava.data import clip_encoder, shard_encoder
from nava.data.encoding import encode
from nava.data.shards import LatentShards, ShardPlan
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
from nava.data import shard_encoder
from nava.data.encoding import encode
from tests.data.test_encoding import as_step
encode_clips, calls = shard_encoder.encode_clips, []
def killed_at_the_third_shard(*arguments):
    calls.append(arguments)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode_clips(*arguments)
shard_encoder.encode_clips = killed_at_the_third_shard
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
    encode_clips = shard_encoder.encode_clips
    monkeypatch.setattr(
        shard_encoder, "encode_clips", lambda clips, *rest: encoded.append(len(clips)) or encode_clips(clips, *rest)
    )
    monkeypatch.setattr(clip_encoder, "_fit", lambda *_: pytest.fail("the codecs were fitted twice"))
    resumed = encode(as_step(tmp_path / "killed"), corpus)
    assert encoded == [4, 4, 4]
    monkeypatch.undo()
    replace_checkout(monkeypatch)
    assert encode(as_step(tmp_path / "undisturbed"), corpus).sha256 == resumed.sha256


def test_two_workers_one_of_them_killed_write_the_same_bytes(corpus: Handle, tmp_path: Path) -> None:
    alone = encode(as_step(tmp_path / "alone"), corpus)
    step = as_step(tmp_path / "killed", workers=2)
    killed: list[int] = []

    def kill_a_worker(plans: Iterator[ShardPlan], total: int, label: str) -> Iterator[ShardPlan]:
        for plan in plans:
            if not killed:
                victim = multiprocessing.active_children()[0].pid
                assert victim is not None
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)
            yield plan

    step.progress = kill_a_worker  # type: ignore[assignment]
    together = encode(step, corpus)
    assert killed
    assert multiprocessing.active_children() == []
    assert files_of(together.path) == files_of(alone.path)
    assert together.meta == alone.meta


def test_what_a_worker_cannot_encode_is_told_as_by_one_process(
    corpus_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_checkout(monkeypatch)
    copy = shutil.copytree(corpus_folder, tmp_path / "corpus")
    (copy / "media" / "av1001.mp4").write_bytes(b"no film")
    with pytest.raises(InputError, match=r"av1001.mp4 cannot be read"):
        encode(as_step(tmp_path / "run", workers=2), Handle("corpus_version", str(copy), "0" * 64))
    assert not list((tmp_path / "run").rglob("index.parquet"))


def test_voices_are_encoded_if_a_timbre_encoder_is_configured(
    corpus_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_checkout(monkeypatch)
    spoken = shutil.copytree(corpus_folder, tmp_path / "corpus")
    rows = read_clips(spoken).to_pylist()
    talks = {
        "av0000": ("one <S>hello<E> two <S>yes<E> three <S>bye<E>", ["a", "b", "a"]),
        "av0001": ("one <S>hello<E>", ["a", "b"]),
    }
    for row in rows:
        row["stage_versions"] = None
        if row["clip_id"] in talks:
            row["caption"], speakers = talks[row["clip_id"]]
            times = [(0.1, 0.7), (0.7, 1.2), (1.2, 1.9)]
            row["speech"] = [
                {"speaker": speaker, "t0_s": t0_s, "t1_s": t1_s, "text": "x"}
                for speaker, (t0_s, t1_s) in zip(speakers, times)
            ]
    write_clips(spoken, rows)
    handle = Handle("corpus_version", str(spoken), "0" * 64)
    silent = encode(as_step(tmp_path / "without"), handle)
    assert "2 clips have speech; their voices are not encoded" in capsys.readouterr().out
    assert (silent.meta["clips_with_speech"], silent.meta["clips_with_voices"]) == (2, 0)

    step = as_step(tmp_path / "with")
    step.sections["conditioning"] = {"timbre_encoder": "mel_statistics"}
    voiced = encode(step, handle)
    assert "1 of 2 clips with speech have no voices: their text does not mark that speech" in capsys.readouterr().out
    shards = LatentShards(voiced.path)
    shards.verify()
    entry = shards.entries["av0000"]
    assert (entry.voice_width, len(entry.voice_slots)) == (192, 3)
    assert clip_encoder.load_encoders(shards.codec_folder).identities["timbre_encoder_id"] == entry.timbre_encoder_id
    batch = shards.read(["av0002", "av0000"])
    assert batch.voice_SE is not None
    assert torch.equal(batch.voice_SE[0], batch.voice_SE[2])
    # What the second speaker says is half a second: too little to be told, so an unknown voice.
    assert batch.voice_SE.norm(dim=1).tolist() == pytest.approx([1.0, 0.0, 1.0], abs=1e-4)
    slots = load_text_encoder(shards.codec_folder / "text").encode_prompts([talks["av0000"][0]]).slots[0]
    assert batch.voice_slot_S.tolist() == [entry.text_shape[0] + slot for slot in slots]


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
