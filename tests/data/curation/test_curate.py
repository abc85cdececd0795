"""The step `curate` on folders as users have them: good files, bad files, kills and restarts."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from nava.data.curation.unit import SourceCurator

from nava.artifacts.clip_manifest import read_clips
from nava.artifacts.source_manifest import Source, source_id, write_sources
from nava.config.curation import CurationConfig
from nava.data.curation import step as step_module
from nava.data.curation import unit
from nava.data.curation.step import curate
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_file, sha256_tree
from nava.runtime.step import Step
from tests.data.curation.conftest import RATE_HZ, draw_flash, draw_room, write_media


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


def manifest(media_root, folder):
    sources = []
    for path in sorted(media_root.rglob("*")):
        if path.is_file() and path.suffix != ".vtt":
            sha256, sidecar = sha256_file(path), path.with_suffix(".vtt")
            name = path.relative_to(media_root).as_posix()
            beside = sidecar.relative_to(media_root).as_posix() if sidecar.exists() else None
            sources.append(Source(source_id(sha256), name, sha256, path.stat().st_size, beside, "CC0-1.0", "test"))
    write_sources(folder, sources)
    return Handle.of_path("sources", folder, media_root=str(media_root))


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


def rows_of(handle):
    return read_clips(handle.path).to_pylist()


def by_path(handle):
    return {row["src_path"]: row for row in rows_of(handle)}


@pytest.fixture(scope="module")
def good_run(good_media, tmp_path_factory):
    folder = tmp_path_factory.mktemp("good-run")
    step = Step("curate", folder, "run", {"curation": {}}, seed=0, key="k" * 64)
    step.workdir = folder / "work"
    step.workdir.mkdir()
    return curate(step, manifest(good_media, folder / "sources")), step.workdir


def test_good_files_become_exact_clips_with_media_beside_the_manifest(good_run):
    handle, _ = good_run
    rows = rows_of(handle)
    kept = [row for row in rows if row["status"] == "kept"]
    videos = [row for row in kept if row["modality"] == "av"]
    assert len(videos) == 4
    assert len(kept) == 8
    for row in kept:
        assert sha256_file(handle.path / row["audio_path"]) == row["audio_sha256"]
        assert (row["n_samples"], row["audio_sr"]) == (33_280, 16_000)
    for row in videos:
        assert sha256_file(handle.path / row["video_path"]) == row["video_sha256"]
        assert (row["n_frames"], row["fps"], row["width"], row["height"]) == (49, 24.0, 64, 64)
        assert row["tags"][0] == "flash"
        assert row["t1_us"] - row["t0_us"] == pytest.approx(49e6 / 24, abs=1)
        assert dict(row["stage_versions"])["duplicates"] == "1"


def test_the_transcript_goes_to_the_clip_in_which_it_is_spoken(good_run):
    rows = [row for row in rows_of(good_run[0]) if row["src_path"] == "two.mp4"]
    first, second = sorted(rows, key=lambda row: row["t0_us"])
    assert first["caption"].endswith("<S>Look at that.<E>")
    assert first["speech"][0]["speaker"] == "Ada"
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
    step = Step("curate", folder, "run", {"curation": {}}, seed=0, key="k" * 64, workdir=folder)
    return curate(step, manifest(bad_media, folder / "sources"))


def test_every_bad_file_is_listed_with_its_reason_and_the_run_finishes(bad_run):
    found = {path: (row["status"], row["drop_reason"]) for path, row in by_path(bad_run).items()}
    assert found == {
        "good.mp4": ("kept", None),
        "again.mp4": ("kept", None),
        "corrupt.mp4": ("failed", "truncated"),
        "notes.mp4": ("failed", "not_media"),
        "mute.mp4": ("dropped", "no_audio_track"),
        "silent.mp4": ("dropped", "silent"),
        "quiet.mp4": ("dropped", "too_quiet"),
        "still.mp4": ("dropped", "static_picture"),
        "short.mp4": ("dropped", "too_short"),
        "short.wav": ("dropped", "too_short"),
        "smaller.mp4": ("dropped", "near_duplicate"),
        "late.mp4": ("dropped", "audio_video_offset"),
    }
    assert bad_run.meta["counts"] == {"in": 14, "kept": 2, "dropped": 10, "failed": 2, "quarantined": 0}
    assert all(row["detail"] for row in rows_of(bad_run) if row["status"] != "kept")


def test_what_was_dropped_can_be_seen_and_only_kept_clips_have_media(bad_run):
    rows = by_path(bad_run)
    for path in ("mute.mp4", "silent.mp4", "quiet.mp4", "still.mp4", "short.mp4", "smaller.mp4", "late.mp4"):
        assert (bad_run.path / rows[path]["thumbnail_path"]).read_bytes()[:2] == b"\xff\xd8"
        assert rows[path]["video_path"] is None
    assert rows["corrupt.mp4"]["thumbnail_path"] is None
    files = {path.relative_to(bad_run.path).as_posix() for path in bad_run.path.rglob("*") if path.is_file()}
    named = {row[column] for row in rows_of(bad_run) for column in ("video_path", "audio_path", "thumbnail_path")}
    assert files == (named - {None}) | {"clips.parquet"}


def test_a_re_encoded_copy_names_the_better_one(bad_run):
    rows = by_path(bad_run)
    assert rows["smaller.mp4"]["dup_of"] == rows["good.mp4"]["clip_id"]
    assert rows["smaller.mp4"]["dup_cosine"] > 0.975


def test_shifted_sound_is_measured(bad_run):
    late = by_path(bad_run)["late.mp4"]
    assert late["av_offset_s"] == pytest.approx(0.35, abs=1 / 24)
    assert late["av_backend"] == "block_xcorr"


def test_a_sidecar_that_cannot_be_read_costs_its_text_only(bad_run):
    assert by_path(bad_run)["again.mp4"]["speech"] == []


def test_a_folder_with_nothing_usable_is_refused_with_the_reasons(bad_media, make_step, tmp_path):
    root = tmp_path / "media"
    root.mkdir()
    for name in ("notes.mp4", "mute.mp4", "silent.mp4"):
        shutil.copy(bad_media / name, root / name)
    step = make_step()
    with pytest.raises(InputError, match="nothing of 3 source files") as caught:
        curate(step, manifest(root, tmp_path / "sources"))
    for reason in ("not_media: 1", "no_audio_track: 1", "silent: 1"):
        assert reason in str(caught.value)
    assert not (step.workdir / "clips").exists()


def test_the_result_does_not_depend_on_the_number_of_workers_or_the_place(good_media, good_run, make_step, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(good_media, moved)
    handle = curate(make_step(curation={"workers": 1}), manifest(moved, tmp_path / "sources"))
    assert handle.sha256 == good_run[0].sha256


def test_a_second_attempt_does_nothing_twice(good_media, good_run, monkeypatch, tmp_path):
    handle, workdir = good_run
    step = Step("curate", tmp_path, "run", {"curation": {}}, seed=0, key="k" * 64)
    step.workdir = tmp_path / "work"
    shutil.copytree(workdir / "units", step.workdir / "units")

    def refuse(*_):
        raise AssertionError("a finished source was curated again")

    monkeypatch.setattr(unit.SourceCurator, "_fill", refuse)
    monkeypatch.setattr(step_module, "_process", _only_waiting)
    assert curate(step, manifest(good_media, tmp_path / "sources")).sha256 == handle.sha256


def _only_waiting(step, curator, sources, media_root, units_dir):
    for source in sources:
        curator(unit.SourceUnit(source, media_root, units_dir / source.source_id))
    return {}


class FatalForOne(SourceCurator):
    """Dies like a decoder that a hostile file crashes."""

    def _fill(self, source_unit, folder):
        (folder / "half-written").write_bytes(b"x")
        if source_unit.source.path == "one.mp4":
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / "half-written").unlink()
        super()._fill(source_unit, folder)


def test_a_file_that_crashes_the_decoder_is_quarantined_alone(good_media, make_step, tmp_path, monkeypatch):
    monkeypatch.setattr(unit, "SourceCurator", FatalForOne)
    step = make_step()
    handle = curate(step, manifest(good_media, tmp_path / "sources"))
    rows = rows_of(handle)
    (poison,) = [row for row in rows if row["src_path"] == "one.mp4"]
    assert (poison["status"], poison["drop_reason"]) == ("quarantined", "worker_killed")
    assert "-9" in poison["detail"]
    assert {row["status"] for row in rows if row["src_path"] != "one.mp4"} == {"kept"}
    assert handle.meta["counts"] == {"in": 7, "kept": 6, "dropped": 0, "failed": 0, "quarantined": 1}


RUN = """
import sys
from pathlib import Path
from nava.runtime.handle import Handle
from nava.data.curation.step import curate
from nava.runtime.step import Step
if __name__ == "__main__":
    sources, media, work = map(Path, sys.argv[1:])
    step = Step("curate", work, "run", {"curation": {"workers": 1}}, seed=0, key="k" * 64)
    step.workdir = work
    curate(step, Handle.of_path("sources", sources, media_root=str(media)))
"""


def test_a_run_that_is_killed_goes_on_and_ends_the_same(good_media, good_run, tmp_path):
    sources = manifest(good_media, tmp_path / "sources")
    work = tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-c", RUN, str(sources.path), str(good_media), str(work)]
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None and not list(work.glob("units/src-*/unit.json")):
        time.sleep(0.01)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in work.glob("units/src-*/unit.json")}
    assert done
    step = Step("curate", tmp_path, "run", {"curation": {}}, seed=0, key="k" * 64)
    step.workdir = work
    handle = curate(step, sources)
    assert handle.sha256 == good_run[0].sha256 == sha256_tree(handle.path)
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in done.items())
    assert not list(work.glob("units/.*.part"))


def test_a_handle_of_another_kind_is_refused(make_step, tmp_path):
    tmp_path.joinpath("x").write_text("x")
    with pytest.raises(InputError, match="sources"):
        curate(make_step(), Handle.of_path("clips", tmp_path / "x"))


def test_the_curator_names_the_version_of_every_stage():
    curator = SourceCurator(CurationConfig())
    assert {"decode", "cuts", "windows", "picture", "sound", "synchrony", "burnt_text", "captions", "filters"} <= set(
        curator.versions
    )
    assert Path(unit.__file__).exists()
