"""Curation into a folder: what lies there, what a second run costs, other executors, and kills at any moment."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nava.artifacts.clip_manifest import read_clips
from nava.config.annotation import AnnotationConfig
from nava.config.curation import CurationConfig, ExecutionConfig
from nava.config.source import SourceConfig
from nava.config.speech import SpeechConfig
from nava.data.curation import folder as folder_module
from nava.data.curation.folder import WORK_DIR, FolderCuration
from nava.data.curation.plan import CurationPlan
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file
from nava.runtime.progress import Progress
from tests.data.curation.conftest import draw_flash, write_media
from tests.data.curation.test_curate import film

TABLES = ("clips.parquet", "sources.parquet", "curation.json")


def curation(out, **execution):
    settings = CurationConfig(execution=ExecutionConfig(**({"workers": 1} | execution)))
    return FolderCuration(CurationPlan(settings, SpeechConfig(), AnnotationConfig()), out, Progress(), print)


def contents(out):
    """Every published file with its hash; the work of the run is its own affair."""
    files = [path for path in out.rglob("*") if path.is_file() and WORK_DIR not in path.parts]
    return {path.relative_to(out).as_posix(): sha256_file(path) for path in files if path.name != "curation-cost.json"}


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    root = tmp_path_factory.mktemp("media")
    write_media(root / "one.mp4", *film(1, 2))
    write_media(root / "two.wav", audio=draw_flash(seconds=5, seed=40)[1])
    (root / "broken.mp4").write_bytes(b"no film" * 99)
    return root


@pytest.fixture(scope="module")
def curated(media, tmp_path_factory):
    out = tmp_path_factory.mktemp("curated") / "corpus"
    result = curation(out).run(SourceConfig(uri=str(media)))
    return out, result


def test_the_folder_has_the_tables_the_media_and_no_more(curated):
    out, result = curated
    rows = read_clips(out).to_pylist()
    assert {row["src_path"] for row in rows} == {"one.mp4", "two.wav", "broken.mp4"}
    columns = ("video_path", "audio_path", "audio_48k_path", "thumbnail_path")
    named = {row[column] for row in rows for column in columns} - {None}
    found = {name for name in contents(out) if name.startswith(("media/", "thumbnails/"))}
    assert found == named
    assert all((out / name).is_file() for name in TABLES)
    assert result.worked == {"look": 3, "words": 2}
    assert result.cpu_s["transcode"] > 0


def test_a_second_run_does_no_work_and_changes_nothing(curated, media):
    out, _ = curated
    before = contents(out)
    result = curation(out).run(SourceConfig(uri=str(media)))
    assert result.worked == {"look": 0, "words": 0}
    assert contents(out) == before


def test_a_source_that_is_gone_leaves_with_its_media(curated, media, tmp_path):
    smaller = tmp_path / "smaller"
    shutil.copytree(media, smaller, ignore=shutil.ignore_patterns("one.mp4"))
    out = tmp_path / "corpus"
    shutil.copytree(curated[0], out)
    result = curation(out).run(SourceConfig(uri=str(smaller)))
    assert result.worked == {"look": 0, "words": 0}
    assert not [name for name in contents(out) if name.endswith(".mp4")]
    assert {row["src_path"] for row in read_clips(out).to_pylist()} == {"two.wav", "broken.mp4"}


def test_two_processes_do_not_curate_into_one_folder(curated, media):
    out, _ = curated
    with folder_module._locked(out / WORK_DIR / "lock", out), pytest.raises(InputError, match="another process"):
        curation(out).run(SourceConfig(uri=str(media)))


def test_ray_makes_the_same_folder(curated, media, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'nava[ray]'")
    out = tmp_path / "corpus"
    try:
        curation(out, executor="ray", workers=2, block_sources=1).run(SourceConfig(uri=str(media)))
    finally:
        ray.shutdown()
    assert contents(out) == contents(curated[0])


COMMAND = ["-m", "nava.cli", "data", "curate", "--recipe", "demo", "--workers", "2"]


def start(media, out):
    # A killed worker's source is tried again; on a slow machine the kills of a test may well hit one source many times.
    tries = "curation.execution.attempts=1000"
    command = [sys.executable, *COMMAND, "--source", str(media), "--out", str(out), tries]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)


def children(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for workers in /proc")
def test_workers_and_the_run_itself_may_be_killed_at_random_moments(media, tmp_path):
    """The short form of tests/soak/test_curation_kills.py."""
    chance, out = random.Random(7), tmp_path / "corpus"
    undisturbed = tmp_path / "undisturbed"
    assert start(media, undisturbed).wait() == 0
    process, kills = start(media, out), 0
    while process.poll() is None and kills < 2:
        time.sleep(chance.uniform(0.2, 1.0))
        workers = [child for child in children(process.pid) if "spawn_main" in command_of(child)]
        if workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
            kills += 1
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert kills == 2
    assert start(media, out).wait() == 0
    assert contents(out) == contents(undisturbed)


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_random_rows_sort_the_same(curated):
    """The manifest is sorted by what it holds, not by who was first."""
    rows = read_clips(curated[0]).to_pylist()
    keys = [(row["src_path"], row["src_id"], row["t0_us"] or 0, row["clip_id"]) for row in rows]
    assert keys == sorted(keys)
    assert len(np.unique([row["clip_id"] for row in rows])) == len(rows)
