"""Promotion from processes of their own: killed in the middle, and two at once."""

import signal
import subprocess
import sys

import pytest

from nava.artifacts.promotion_ledger import verify_ledger
from nava.config.registry import RegistryConfig
from nava.registry.ledger import Ledger
from nava.registry.mlflow_registry import CHAMPION, MlflowRegistry
from nava.registry.promotion import Promotions

# Promotes version argv[2] over the champion argv[3]; with `die` it is killed after the ledger, before the alias.
PROMOTER = """
import os, signal, sys
from pathlib import Path
from nava.config.registry import RegistryConfig
from nava.registry.ledger import PromotionConflict
from nava.registry.promotion import Move, Promotions
promotions = Promotions(RegistryConfig(), Path(sys.argv[1]))
if sys.argv[4] == 'die':
    promotions._move_aliases = lambda entry: os.kill(os.getpid(), signal.SIGKILL)
print('ready', flush=True)
sys.stdin.readline()
expected = None if sys.argv[3] == '-' else int(sys.argv[3])
try:
    promotions.promote(Move(int(sys.argv[2]), expected, 'ada', {'verdict': sys.argv[2]}, {'policy': 'auto'}))
except PromotionConflict as conflict:
    sys.exit(f'conflict: {conflict}')
"""


@pytest.fixture
def versions(run):
    registry = MlflowRegistry(RegistryConfig(), run.root)
    for _ in range(2):
        mlflow_run = registry.client.create_run(registry.experiment_id())
        registry.create_version(mlflow_run.info.run_id, "file:///nowhere", {})
    Ledger(RegistryConfig(), run.root)
    return registry


def promoter(run, version, expected="-", manner="live"):
    command = [sys.executable, "-c", PROMOTER, str(run.root), str(version), expected, manner]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_killed_between_ledger_and_alias_the_same_command_finishes_without_a_second_entry(run, versions):
    process = promoter(run, 1, manner="die")
    process.communicate("go\n", timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert versions.aliases() == {}
    process = promoter(run, 1)
    process.communicate("go\n", timeout=60)
    assert process.returncode == 0
    assert versions.aliases() == {CHAMPION: 1}
    assert len(Ledger(RegistryConfig(), run.root).entries()) == 1


def test_of_two_promoters_at_once_one_wins_and_the_other_is_told(run, versions):
    processes = [promoter(run, 1), promoter(run, 2)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1]
    assert any("conflict:" in error for error in errors)
    entries = Ledger(RegistryConfig(), run.root).entries()
    verify_ledger(entries)
    assert [entry.sequence for entry in entries] == [1]
    assert versions.aliases() == {CHAMPION: entries[0].to_version}
    assert Promotions(RegistryConfig(), run.root).settle() == entries[0]
