"""Settings of launching: refused with a message that helps, never part of a step's identity, never a secret."""

import json
import re
from pathlib import Path

import pytest

from nava.config.composition import compose
from nava.config.launch import LaunchConfig
from nava.runtime.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def test_where_training_runs_is_no_part_of_its_identity() -> None:
    here = compose("demo").identity
    there = compose("demo", ["launch.target=kubernetes", "launch.nodes=16", "launch.kubernetes.cpus=96"]).identity
    assert here == there
    assert here["launch"] == {"kubernetes": {}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("launch.target=slurm", "launch.target is 'slurm'; it must be processes or kubernetes"),
        ("launch.nodes=0", "launch.nodes is 0"),
        ("launch.rendezvous=host", "launch.rendezvous is 'host'; it must be host:port"),
        ("launch.kubernetes.namespace=Nava", "launch.kubernetes.namespace is 'Nava'"),
        ("launch.kubernetes.queue=a_b", "launch.kubernetes.queue is 'a_b'"),
        ("launch.kubernetes.cpus=0", "launch.kubernetes.cpus is 0"),
        ("launch.kubernetes.rdma_devices=-1", "launch.kubernetes.rdma_devices is -1"),
        ("launch.kubernetes.poll_every_s=0", "launch.kubernetes.poll_every_s is 0"),
        ("launch.kubernetes.shared_memory_gib=128", "it must be below memory_gib (128)"),
        ("launch.kubernetes.tolerations=['gpu:Never']", "launch.kubernetes.tolerations is 'gpu:Never'"),
        ("launch.kubernetes.node_selector=[gpu]", "it must be label=value"),
        ("launch.kubernetes.claims=[{claim: a, path: b}]", "launch.kubernetes.claims is 'b'"),
        ("launch.kubernetes.claims=[{claim: a, path: /dev/shm}]", "launch.kubernetes.claims is '/dev/shm'"),
        ("launch.kubernetes.claims=[{claim: a, path: /b}, {claim: c, path: /b}]", "paths that differ"),
        ("launch.kubernetes.image=''", "launch.kubernetes.image is ''"),
    ],
)
def test_a_value_that_nothing_can_run_on_is_refused(override: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        compose("demo", [override])


@pytest.mark.parametrize(
    ("setting", "entry", "message"),
    [
        ("env", "HF_TOKEN=hunter2", "env is 'HF_TOKEN=…'; it must be no secret"),
        ("env", "STORE=postgresql://u:hunter2@h/d", "env is 'STORE=…'"),
        ("env", "hunter2", "it must be VARIABLE=value"),
        ("secret_env", "HF_TOKEN=hunter2", "secret_env is 'HF_TOKEN=…'; it must be VARIABLE=secret/key"),
    ],
)
def test_a_secret_in_a_setting_is_refused_without_repeating_it(setting: str, entry: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        compose("demo", [f'launch.kubernetes.{setting}=["{entry}"]'])
    assert "hunter2" not in str(caught.value)


def test_lists_replace_the_defaults_whole() -> None:
    overrides = ['launch.kubernetes.node_selector=["pool=h200"]', 'launch.kubernetes.secret_env=["A=s/k"]']
    kubernetes = compose("demo", overrides).config["launch"]["kubernetes"]
    assert kubernetes["node_selector"] == ["pool=h200"]
    assert kubernetes["secret_env"] == ["A=s/k"]


def test_the_image_is_the_one_of_the_training_component() -> None:
    lock = json.loads((ROOT / "components" / "images.lock.json").read_text())
    assert LaunchConfig().kubernetes.image == f"{lock['registry']}/{lock['images']['train']['tag']}"
