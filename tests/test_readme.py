"""The commands of the README are commands of this release, with options that it has and all that they need."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from nava.cli import main

README = Path(__file__).parents[1] / "README.md"
COMMAND = re.compile(r"^\s*(?:\$ )?\.venv/bin/nava (.+)$", re.MULTILINE)
LINES = COMMAND.findall(README.read_text(encoding="utf-8"))


def leaves(group: click.Group) -> Iterator[click.Command]:
    """Every command that does something."""
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from leaves(command)
        else:
            yield command


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The values that commands would have run with; none of them runs."""
    found: list[dict[str, Any]] = []

    def record(**given: Any) -> None:
        found.append(given)

    for command in leaves(main):
        monkeypatch.setattr(command, "callback", record)
    return found


def needs(given: dict[str, Any]) -> str | None:
    """What is missing of the options of which one of two must be given; click does not know of these."""
    if "config_file" in given and (given["name"] is None) == (given["config_file"] is None):
        return "--model or --config"
    if given.get("package") is not None and (given["public_key"] is None) != given["unsigned"]:
        return "--public-key or --unsigned"
    return None


def test_the_readme_has_commands() -> None:
    assert len(LINES) >= 10
    assert any(line.startswith("generate ") for line in LINES)
    assert any(line.startswith("model package ") for line in LINES)


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_readme_is_one(line: str, parsed: list[dict[str, Any]]) -> None:
    result = CliRunner().invoke(main, shlex.split(line, comments=True))
    assert result.exit_code == 0, result.output
    assert len(parsed) == 1
    assert needs(parsed[0]) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("model from-wan wan --model tiny -o start.safetensors", "Missing option '--report'"),
        ("generate --packages DIR", "No such option"),
        ("model pack", "No such command"),
        ("model keys --model nava_6b extra", "unexpected extra argument"),
    ],
)
def test_a_wrong_command_would_be_found(line: str, reason: str, parsed: list[dict[str, Any]]) -> None:
    result = CliRunner().invoke(main, shlex.split(line))
    assert result.exit_code == 2
    assert reason in result.output
    assert parsed == []


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("model from-wan wan --report r.json -o start.safetensors", "--model or --config"),
        ("model package --weights hub --codec codec -o out", "--model or --config"),
        ("generate --package DIR --prompt x -o a.mp4", "--public-key or --unsigned"),
    ],
)
def test_a_choice_that_was_not_made_would_be_found(line: str, missing: str, parsed: list[dict[str, Any]]) -> None:
    assert CliRunner().invoke(main, shlex.split(line)).exit_code == 0
    assert needs(parsed[0]) == missing
