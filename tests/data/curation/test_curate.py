"""The step `curate` on folders as users have them: good files, bad files, kills, restarts, and a corpus that grows."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from nava.artifacts.clip_manifest import read_clips
from nava.artifacts.source_manifest import write_sources
from nava.config.annotation import AnnotationConfig
from nava.config.curation import CurationConfig, ExecutionConfig, FilterConfig
from nava.config.source import SourceConfig
from nava.config.speech import SpeechConfig
from nava.data.curation import execution
from nava.data.curation.curate import Curation
from nava.data.curation.plan import CurationPlan
from nava.data.curation.step import WORK_DIR, curate
from nava.data.sources.scan import scan_sources
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_file, sha256_tree
from nava.runtime.progress import Progress
from nava.runtime.step import Step
from tests.data.curation.conftest import RATE_HZ, draw_flash, draw_room, write_media

EMPTY = {"speech": {}, "annotation": {}}


def film(*seeds, seconds=2.3, size=(96, 128), **changes):
    """Flash shots one after the other, on grounds that differ."""
    shots = [draw_flash(seconds=seconds, seed=seed, size=size, **changes) for seed in seeds]
    frames = np.concatenate([frames for frames, _ in shots])
    for number, start in enumerate(range(0, len(frames), len(shots[0][0]))):
        # A panel of its own tells each shot from the next.
        frames[start : start + len(shots[0][0]), :20, :] //= 1
        frames[start : start + len(shots[0][0]), 84:] = (90, 40, 40) if number % 2 else (40, 40, 90)
        frames[start : start + len(shots[0][0]), :20] = (20, 70, 30) if number % 2 else (80, 80, 20)
    return frames, np.concatenate([audio for _, audio in shots])


@pytest.fixture(scope="module")
def good_media(tmp_path_factory):
    root = tmp_path_factory.mktemp("good")
    write_media(root / "one.mp4", *film(1, 2))
    write_media(root / "two.mp4", *film(3, 4, tone_hz=300), fps=24)
    (root / "two.vtt").write_text("WEBVTT\n\n00:00.300 --> 00:01.200\n<v Ada>Look at that.\n")
    for number, name in enumerate(("sounds/tones.wav", "sounds/low.flac")):
        write_media(root / name, audio=draw_flash(seconds=5, seed=40 + number, tone_hz=(700, 250)[number])[1])
    return root


@pytest.fixture(scope="module")
def bad_media(tmp_path_factory):
    root = tmp_path_factory.mktemp("bad")
    frames, audio = film(5)
    whole = write_media(root / "good.mp4", frames, audio)
    write_media(root / "again.mp4", *film(6, tone_hz=1700))
    (root / "corrupt.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (root / "notes.mp4").write_text("These are my notes, not a video.\n" * 30)
    write_media(root / "mute.mp4", frames)
    write_media(root / "silent.mp4", frames, np.zeros_like(audio))
    write_media(root / "quiet.mp4", frames, audio * 0.005)
    write_media(root / "still.mp4", draw_room(3, 60, (96, 128)), audio)
    write_media(root / "short.mp4", frames[:24], audio[:RATE_HZ])
    write_media(root / "short.wav", audio=audio[:RATE_HZ])
    write_media(root / "smaller.mp4", frames[:, ::2, ::2], audio)
    write_media(root / "late.mp4", *film(24, 25, 26, late_s=0.35))
    (root / "again.vtt").write_bytes(b"\x00\x01 not WebVTT")
    return root


def manifest(media_root, folder):
    listing = scan_sources(SourceConfig(uri=str(media_root), licence="CC0-1.0", origin="test"), folder / "cache")
    write_sources(folder / "table", listing.sources, listing.ignored)
    return Handle.of_path("sources", folder / "table", media_roots=listing.media_roots)


def make(folder, **curation):
    step = Step("curate", folder, "run", {"curation": curation, **EMPTY}, seed=0, key="k" * 64)
    step.workdir = folder / "work"
    step.workdir.mkdir(parents=True)
    return step


def rows_of(handle):
    return read_clips(handle.path).to_pylist()


def by_path(handle):
    return {row["src_path"]: row for row in rows_of(handle)}


@pytest.fixture(scope="module")
def good_run(good_media, tmp_path_factory):
    folder = tmp_path_factory.mktemp("good-run")
    return curate(make(folder), manifest(good_media, folder / "sources")), folder


def test_good_files_become_exact_clips_with_media_beside_the_manifest(good_run):
    handle, _ = good_run
    rows = rows_of(handle)
    kept = [row for row in rows if row["status"] == "kept"]
    videos = [row for row in kept if row["modality"] == "av"]
    assert len(videos) == 4
    assert len(kept) == 8
    for row in kept:
        for kind in ("audio", "audio_48k"):
            assert sha256_file(handle.path / row[f"{kind}_path"]) == row[f"{kind}_sha256"]
        assert (row["n_samples_16k"], row["audio_sr"], row["n_samples_48k"]) == (33_280, 16_000, 99_840)
        assert row["subsets"][0] == "stage1"
        assert row["prompt"]
    for row in videos:
        assert sha256_file(handle.path / row["video_path"]) == row["video_sha256"]
        assert (row["n_frames"], row["fps"], row["width"], row["height"]) == (49, 24.0, 64, 64)
        assert row["tags"][0] == "flash"
        assert row["t1_us"] - row["t0_us"] == pytest.approx(49e6 / 24, abs=1)
        assert row["scene_t0_us"] <= row["t0_us"] < row["t1_us"] <= row["scene_t1_us"] + 25_000
        assert dict(row["stage_versions"])["duplicates"] == "3"


def test_the_transcript_goes_to_the_clip_in_which_it_is_spoken(good_run):
    rows = [row for row in rows_of(good_run[0]) if row["src_path"] == "two.mp4"]
    first, second = sorted(rows, key=lambda row: row["t0_us"])
    assert first["caption"].endswith("<S>Look at that.<E>")
    assert first["speech"][0]["speaker"] == "Ada"
    assert first["asr_backend"] == "sidecar"
    assert "<S>" not in second["caption"]
    assert second["speech"] == []


def test_both_splits_have_sources_of_both_kinds_and_a_source_has_one_split(good_run):
    rows = [row for row in rows_of(good_run[0]) if row["status"] == "kept"]
    assert {(row["modality"], row["split"]) for row in rows} == {
        (modality, split) for modality in ("av", "audio") for split in ("train", "heldout")
    }
    assert len({(row["src_id"], row["split"]) for row in rows}) == len({row["src_id"] for row in rows}) == 4


def test_the_handle_says_how_it_went(good_run):
    meta = good_run[0].meta
    assert meta["counts"]["kept"] == meta["counts"]["in"] == 8
    assert meta["sources"] == 4
    assert meta["kept_by_modality"] == {"audio": 4, "av": 4}
    assert sum(meta["text_checks"].values()) == 4


@pytest.fixture(scope="module")
def bad_run(bad_media, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad-run")
    return curate(make(folder), manifest(bad_media, folder / "sources"))


def test_every_bad_file_is_listed_with_its_reason_and_the_run_finishes(bad_run):
    found = {path: (row["status"], row["drop_reason"]) for path, row in by_path(bad_run).items()}
    assert found == {
        "good.mp4": ("kept", None),
        "again.mp4": ("kept", None),
        "corrupt.mp4": ("quarantined", "undecodable"),
        "notes.mp4": ("quarantined", "undecodable"),
        "mute.mp4": ("dropped", "no_audio_track"),
        "silent.mp4": ("dropped", "silent"),
        "quiet.mp4": ("dropped", "too_quiet"),
        "still.mp4": ("dropped", "static_picture"),
        "short.mp4": ("dropped", "too_short"),
        "short.wav": ("dropped", "too_short"),
        "smaller.mp4": ("dropped", "near_duplicate"),
        "late.mp4": ("dropped", "audio_video_offset"),
    }
    assert bad_run.meta["counts"] == {"in": 14, "kept": 2, "dropped": 10, "failed": 0, "quarantined": 2}
    assert all(row["detail"] for row in rows_of(bad_run) if row["status"] != "kept")


def test_what_was_dropped_can_be_seen_and_only_kept_clips_have_media(bad_run):
    rows = by_path(bad_run)
    for path in ("mute.mp4", "silent.mp4", "quiet.mp4", "still.mp4", "short.mp4", "smaller.mp4", "late.mp4"):
        assert (bad_run.path / rows[path]["thumbnail_path"]).read_bytes()[:2] == b"\xff\xd8"
        assert rows[path]["video_path"] is None
    assert rows["corrupt.mp4"]["thumbnail_path"] is None
    files = {path.relative_to(bad_run.path).as_posix() for path in bad_run.path.rglob("*") if path.is_file()}
    columns = ("video_path", "audio_path", "audio_48k_path", "thumbnail_path", "embedding_ref")
    named = {row[column] for row in rows_of(bad_run) for column in columns}
    tables = {"clips.parquet", "sources.parquet", "ignored.parquet", "curation.json", "signatures/index.json"}
    assert files == (named - {None}) | tables


def test_a_re_encoded_copy_names_the_better_one(bad_run):
    rows = by_path(bad_run)
    assert rows["smaller.mp4"]["dup_of"] == rows["good.mp4"]["clip_id"]
    assert rows["smaller.mp4"]["dup_cosine"] > 0.975
    assert rows["smaller.mp4"]["cluster"] is not None


def test_shifted_sound_is_measured(bad_run):
    late = by_path(bad_run)["late.mp4"]
    assert late["av_offset_s"] == pytest.approx(0.35, abs=1 / 24)
    assert late["av_backend"] == "block_xcorr"


def test_a_sidecar_that_cannot_be_read_costs_its_text_only(bad_run):
    assert by_path(bad_run)["again.mp4"]["speech"] == []


def test_a_folder_with_nothing_usable_is_refused_with_the_reasons(bad_media, tmp_path):
    root = tmp_path / "media"
    root.mkdir()
    for name in ("notes.mp4", "mute.mp4", "silent.mp4"):
        shutil.copy(bad_media / name, root / name)
    step = make(tmp_path / "run")
    with pytest.raises(InputError, match="nothing of 3 source files") as caught:
        curate(step, manifest(root, tmp_path / "sources"))
    for reason in ("undecodable: 1", "no_audio_track: 1", "silent: 1"):
        assert reason in str(caught.value)
    assert not (step.workdir / "clips").exists()


def test_the_result_does_not_depend_on_the_number_of_workers_or_the_place(good_media, good_run, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(good_media, moved)
    handle = curate(make(tmp_path / "run", execution={"workers": 1}), manifest(moved, tmp_path / "sources"))
    assert handle.sha256 == good_run[0].sha256


def refuse(*_):
    raise AssertionError("a finished source was worked on again")


def test_a_second_attempt_does_nothing_twice(good_media, good_run, monkeypatch, tmp_path):
    handle, folder = good_run
    shutil.copytree(folder / WORK_DIR, tmp_path / "run" / WORK_DIR)
    monkeypatch.setattr(execution.LocalExecutor, "run", lambda self, stages, tasks: iter(map(refuse, tasks)))
    assert curate(make(tmp_path / "run"), manifest(good_media, tmp_path / "sources")).sha256 == handle.sha256


def plan(**changes):
    settings = CurationConfig(execution=ExecutionConfig(workers=1), **changes)
    return CurationPlan(settings, SpeechConfig(), AnnotationConfig())


def test_thresholds_move_without_measuring_again(good_media, good_run, monkeypatch, tmp_path):
    shutil.copytree(good_run[1] / WORK_DIR, tmp_path / "work")
    seen = []
    monkeypatch.setattr(execution.LocalExecutor, "run", lambda self, stages, tasks: iter(seen.extend(tasks) or []))
    listing = scan_sources(SourceConfig(uri=str(good_media), licence="CC0-1.0", origin="test"), tmp_path / "cache")
    strict = plan(filters=FilterConfig(min_sharpness=1e6))
    curated = Curation(strict, tmp_path / "work", Progress()).run(listing.sources, listing.media_roots)
    reasons = {row["src_path"]: row.get("drop_reason") for row in curated.rows}
    assert reasons == {"one.mp4": "blurred", "two.mp4": "blurred", "sounds/tones.wav": None, "sounds/low.flac": None}
    assert seen == []


def test_a_grown_corpus_costs_what_is_new_and_ends_as_if_curated_at_once(good_media, good_run, bad_media, tmp_path):
    grown = tmp_path / "grown"
    shutil.copytree(good_media, grown)
    shutil.copy(bad_media / "again.mp4", grown / "new.mp4")
    # A worse copy of a clip that is in the corpus already.
    with_copy = write_media(grown / "copy.mp4", film(1, 2)[0][:, ::2, ::2], film(1, 2)[1])
    shutil.copytree(good_run[1] / WORK_DIR, tmp_path / "work")
    listing = scan_sources(SourceConfig(uri=str(grown), licence="CC0-1.0", origin="test"), tmp_path / "cache")
    runs = [Curation(plan(), tmp_path / name, Progress()) for name in ("work", "at-once")]
    later, at_once = (run.run(listing.sources, listing.media_roots) for run in runs)
    assert later.worked["look"] == 2
    assert at_once.worked["look"] == 6
    assert later.rows == at_once.rows
    copies = [row for row in later.rows if row["src_path"] == with_copy.name]
    originals = {row["clip_id"] for row in later.rows if row["src_path"] == "one.mp4"}
    assert {row["drop_reason"] for row in copies} == {"near_duplicate"}
    assert {row["dup_of"] for row in copies} == originals


class FatalForOne(execution.TaskRunner):
    """Dies like a decoder that a hostile file crashes."""

    def __call__(self, task):
        if task.source.path == "one.mp4":
            (task.folder / "media").mkdir(parents=True, exist_ok=True)
            (task.folder / "media" / "half-written").write_bytes(b"x")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(task)


def test_a_file_that_crashes_the_decoder_is_quarantined_alone(good_media, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "TaskRunner", FatalForOne)
    handle = curate(make(tmp_path / "run", execution={"attempts": 2}), manifest(good_media, tmp_path / "sources"))
    rows = rows_of(handle)
    (poison,) = [row for row in rows if row["src_path"] == "one.mp4"]
    assert (poison["status"], poison["drop_reason"]) == ("quarantined", "worker_killed")
    assert "each of 2 times" in poison["detail"]
    assert {row["status"] for row in rows if row["src_path"] != "one.mp4"} == {"kept"}
    assert handle.meta["counts"] == {"in": 7, "kept": 6, "dropped": 0, "failed": 0, "quarantined": 1}


RUN = """
import sys
from pathlib import Path
from nava.runtime.handle import Handle
from nava.data.curation.step import curate
from nava.runtime.step import Step
if __name__ == "__main__":
    sources, media, folder = map(Path, sys.argv[1:])
    sections = {"curation": {"execution": {"workers": 1}}, "speech": {}, "annotation": {}}
    step = Step("curate", folder, "run", sections, seed=0, key="k" * 64)
    step.workdir = folder / "work"
    step.workdir.mkdir(parents=True, exist_ok=True)
    curate(step, Handle.of_path("sources", sources, media_roots={"": str(media)}))
"""


def test_a_run_that_is_killed_goes_on_and_ends_the_same(good_media, good_run, tmp_path):
    sources, run = manifest(good_media, tmp_path / "sources"), tmp_path / "run"
    command = [sys.executable, "-c", RUN, str(sources.path), str(good_media), str(run)]
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None and not list(run.glob("curation/units/*/src-*/look.json")):
        time.sleep(0.01)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in run.glob("curation/units/*/src-*/look.json")}
    assert done
    step = Step("curate", run, "run", {"curation": {}, **EMPTY}, seed=0, key="k" * 64)
    step.workdir = run / "work"
    step.workdir.mkdir(exist_ok=True)
    handle = curate(step, sources)
    assert handle.sha256 == good_run[0].sha256 == sha256_tree(handle.path)
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in done.items())


def test_a_handle_of_another_kind_is_refused(tmp_path):
    tmp_path.joinpath("x").write_text("x")
    with pytest.raises(InputError, match="sources"):
        curate(make(tmp_path / "run"), Handle.of_path("clips", tmp_path / "x"))


def test_the_plan_names_the_version_of_every_stage():
    wanted = "integrity scenes windows text transcode picture sound synchrony signature filters duplicates speech"
    assert set(wanted.split()) | {"audio_tags", "visual_tags", "captions", "prompts", "split"} <= set(plan().versions)
