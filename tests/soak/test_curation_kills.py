"""Curation under fire: fifty random kills of workers, twenty of the run itself; the manifest does not notice."""

import os
import random
import signal
import time

import pytest

from nava.artifacts.clip_manifest import read_clips
from nava.config.composition import compose
from nava.config.synthetic import SyntheticConfig
from nava.data.synthetic.generate import generate
from nava.runtime.step import typed_section
from tests.data.curation.test_folder import children, command_of, contents, start

pytestmark = pytest.mark.soak

WORKER_KILLS = 50
RUN_KILLS = 20


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    settings = typed_section(SyntheticConfig, compose("smoke").config["synthetic"])
    return generate(tmp_path_factory.mktemp("raw"), settings, seed=3)


@pytest.fixture(scope="module")
def undisturbed(media, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "corpus"
    assert start(media, out).wait() == 0
    return contents(out)


def kill_a_worker(process, chance):
    workers = [child for child in children(process.pid) if "spawn_main" in command_of(child)]
    if workers:
        os.kill(chance.choice(workers), signal.SIGKILL)
    return bool(workers)


def test_fifty_random_kills_of_workers_change_nothing(media, undisturbed, tmp_path):
    """Runs are started anew in empty folders until fifty kills have been dealt out."""
    chance, kills, rounds = random.Random(0), 0, 0
    while kills < WORKER_KILLS:
        out = tmp_path / f"corpus{rounds}"
        process, rounds = start(media, out), rounds + 1
        while process.poll() is None:
            time.sleep(chance.uniform(1.0, 4.0))
            kills += kill_a_worker(process, chance)
        assert process.returncode == 0
        assert contents(out) == undisturbed, f"after {kills} kills"


def test_twenty_random_kills_of_the_run_change_nothing(media, undisturbed, tmp_path):
    chance, out, kills = random.Random(1), tmp_path / "corpus", 0
    while kills < RUN_KILLS:
        process = start(media, out)
        deadline = time.monotonic() + chance.uniform(1.0, 12.0)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        else:
            # It came to its end: take the work away and begin anew.
            assert process.returncode == 0
            assert contents(out) == undisturbed
            out = out.with_name(f"{out.name}x")
        process.wait()
    assert start(media, out).wait() == 0
    assert contents(out) == undisturbed
    assert not [row for row in read_clips(out).to_pylist() if row["drop_reason"] == "worker_killed"]
