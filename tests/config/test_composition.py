"""Recipes and overrides: checked, typed, and refused with a message that helps."""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nava.config.composition import compose, identity_values, recipe_names, setting_names
from nava.config.lifecycle import LifecycleConfig
from nava.runtime.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_composes(recipe: str) -> None:
    resolved = compose(recipe)
    assert resolved.recipe == recipe
    assert resolved.config["seed"] == 0


def test_an_override_wins_and_keeps_its_type() -> None:
    config = compose("demo", ["training.learning_rate=1e-4", "training.stage1.steps=7", "seed=3"]).config
    assert config["training"]["learning_rate"] == 1e-4
    assert config["training"]["stage1"]["steps"] == 7
    assert config["seed"] == 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.learnin_rate=1"], "unknown setting 'training.learnin_rate'; did you mean training.learning_rate"),
        (["zzz=1"], "unknown setting 'zzz'; `nava config show` lists them all"),
        (["training.stage1.steps=many"], "training.stage1.steps: Value 'many'"),
        (["seed=-4"], "seed is -4; it must be a whole number from 0 to 2**32 - 1"),
        (["training.learning_rate"], "has no value"),
        (["training.learning_rate=[1"], "recipe 'demo': "),
    ],
)
def test_a_wrong_setting_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        compose("demo", overrides)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown recipe 'dmo'; there are: demo"):
        compose("dmo")


def test_settings_that_cannot_change_a_result_are_not_identity() -> None:
    @dataclass
    class Inner:
        width: int = 1
        workers: int = field(default=2, metadata={"identity": False})

    @dataclass
    class Outer:
        inner: Inner = field(default_factory=Inner)
        names: list[str] = field(default_factory=lambda: ["a"])

    assert identity_values(Outer()) == {"inner": {"width": 1}, "names": ["a"]}


def test_the_checkpoint_interval_is_not_identity_and_the_steps_are() -> None:
    base = compose("demo").identity
    assert compose("demo", ["training.checkpoint_every_steps=7"]).identity == base
    assert compose("demo", ["training.stage3.steps=7"]).identity != base


def names_read(source: str) -> set[str]:
    """Attributes that code reads, and strings that may be keys; declarations, comments and docstrings read nothing."""
    read = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            read.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            read.add(node.value)
    return read


def unread_settings(schema: type, read: set[str]) -> list[str]:
    return [name for name in setting_names(schema) if name.rpartition(".")[2] not in read]


def test_every_setting_is_read_somewhere() -> None:
    files = [path for folder in ("nava", "deploy") for path in (ROOT / folder).rglob("*.py")]
    read = set().union(*(names_read(path.read_text()) for path in files))
    assert unread_settings(LifecycleConfig, read) == [], "settings that nothing reads"


def test_a_setting_that_is_only_declared_or_mentioned_is_found() -> None:
    @dataclass
    class Inner:
        used: int = 1
        keyed: int = 2
        frames_per_shot: int = 3

    @dataclass
    class Outer:
        inner: Inner = field(default_factory=Inner)

    Outer.__annotations__["inner"] = Inner
    source = '''
"""The frames_per_shot of a source."""
frames_per_shot: int = 1  # frames_per_shot
def read(frames_per_shot, config):
    config.frames_per_shot = 2
    return config.used + config["keyed"]
'''
    assert unread_settings(Outer, names_read(source)) == ["inner.frames_per_shot"]
