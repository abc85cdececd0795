"""The name of a job follows from the step's key, and a command carries no secret."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nava.config.launch import LaunchConfig
from nava.launch.command import LaunchFailedError, TrainingCommand, job_name, make_launcher
from nava.launch.processes import ProcessLauncher
from nava.runtime.errors import InputError
from nava.runtime.secret_values import holds_password, names_secret

DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def command(name: str = "train_stage1", key: str = "ab12", **values) -> TrainingCommand:
    values = {"argv": ("python", "-m", "nava.cli"), "workdir": Path("/workspace")} | values
    return TrainingCommand(name, key, **values)


@given(name=st.text(max_size=80), key=st.text(min_size=1, max_size=80))
def test_a_name_is_a_dns_label_and_the_same_each_time(name: str, key: str) -> None:
    first = job_name(command(name, key))
    assert first == job_name(command(name, key, argv=("other",), env={"A": "b"}, workdir=Path("/elsewhere")))
    assert len(first) <= 40
    assert DNS_LABEL.fullmatch(first)


@given(st.tuples(st.text(), st.text(min_size=1)), st.tuples(st.text(), st.text(min_size=1)))
def test_another_key_or_step_is_another_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (job_name(command(*one)) == job_name(command(*other))) is (one == other)


def test_a_name_says_which_step_it_is_of() -> None:
    assert job_name(command("train_stage1")).startswith("nava-train-stage1-")


@pytest.mark.parametrize("variable", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "AWS_ACCESS_KEY_ID"])
def test_a_secret_by_value_is_refused_without_repeating_it(variable: str) -> None:
    with pytest.raises(InputError, match=f"{variable} .* secret by value.*{variable}=secret/key") as caught:
        command(env={variable: "hunter2"}).check()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "argv",
    [
        ("python", "--api-token=hunter2"),
        ("python", "--password", "hunter2"),
        ("python", "--store", "postgresql://nava:hunter2@db/nava"),
        ("python", "registry.uri=http://:hunter2@host"),
    ],
)
def test_a_secret_among_the_arguments_is_refused(argv: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="holds a secret by value") as caught:
        command(argv=argv).check()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"env": {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "URI": "https://host:8080/a@b"}},
        {"argv": ("nava", "train", "run", "--data", "s3://bucket/shards", "training.learning_rate=1e-4")},
    ],
)
def test_what_is_no_secret_passes(values) -> None:
    command(**values).check()


@pytest.mark.parametrize("values", [{"env": {"A B": "c"}}, {"argv": ()}, {"key": ""}])
def test_what_cannot_be_launched_is_refused(values) -> None:
    with pytest.raises(InputError):
        command(**values).check()


def test_names_and_urls_of_secrets() -> None:
    assert [names_secret(name) for name in ("token", "--num-tokens", "keys", "x_key", "monkey")] == [
        True,
        False,
        False,
        True,
        False,
    ]
    assert holds_password("redis://:x@h")
    assert not holds_password("http://host/path:1@2")


@pytest.mark.parametrize(("ended", "exit_code"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1), (137, 1), (-9, 1)])
def test_exit_codes_that_mean_something_keep_it(ended: int, exit_code: int) -> None:
    assert LaunchFailedError("failed", ended).exit_code == exit_code


def test_the_target_chooses_the_launcher() -> None:
    assert isinstance(make_launcher(LaunchConfig()), ProcessLauncher)
