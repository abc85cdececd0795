"""Fields from outside are read strictly, and what is wrong is named with its place."""

import pytest

from nava.evaluation.study.fields import Fields, json_object
from nava.runtime.errors import InputError


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        ("text", ""),
        ("text", "  "),
        ("text", 3),
        ("text", None),
        ("text_or_none", 3),
        ("optional_text", 3),
        ("whole", -1),
        ("whole", 1.0),
        ("whole", True),
        ("whole", "1"),
        ("amount_or_none", -0.1),
        ("amount_or_none", float("nan")),
        ("amount_or_none", float("inf")),
        ("amount_or_none", True),
        ("amount_or_none", "1"),
        ("flag", 1),
        ("flag", None),
        ("flag_or_none", "true"),
        ("rows", {}),
        ("names", []),
        ("names", ["a", "a"]),
        ("names", ["a", ""]),
        ("names", ["a", 1]),
        ("names", "ab"),
    ],
)
def test_what_is_not_of_its_kind_is_refused(reader: str, value: object) -> None:
    with pytest.raises(InputError, match=r"^votes, line 3: field 'x' is .*; it (must|names)"):
        getattr(Fields({"x": value}, "votes, line 3"), reader)("x")


@pytest.mark.parametrize(
    ("reader", "value"),
    [
        ("text", "ä"),
        ("text_or_none", None),
        ("optional_text", None),
        ("whole", 0),
        ("amount_or_none", None),
        ("flag", False),
        ("flag_or_none", None),
        ("rows", []),
    ],
)
def test_what_is_of_its_kind_is_given(reader: str, value: object) -> None:
    assert getattr(Fields({"x": value}, "here"), reader)("x") == value


def test_numbers_become_fractions_and_lists_tuples() -> None:
    assert isinstance(Fields({"x": 3}, "here").amount_or_none("x"), float)
    assert Fields({"x": ["b", "a"]}, "here").names("x") == ("b", "a")
    assert Fields({}, "here").optional_text("x") is None


def test_missing_and_unknown_fields_are_named() -> None:
    fields = Fields({"x": 1, "y": 2}, "here")
    with pytest.raises(InputError, match="here: field 'z' is missing"):
        fields.get("z")
    with pytest.raises(InputError, match="here: unknown field 'y'; known are x, z"):
        fields.only(("x", "z"))


def test_a_choice_must_be_among_those_allowed_and_long_values_are_cut() -> None:
    with pytest.raises(InputError, match="must be left or right"):
        Fields({"x": "up"}, "here").text("x", ("left", "right"))
    with pytest.raises(InputError) as caught:
        Fields({"x": "u" * 5000}, "here").text("x", ("left",))
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("text", ["[]", "3", "null", '"a"', "{", "", b"\xff{}", "[" * 100_000])
def test_only_one_json_object_is_read(text: str | bytes) -> None:
    with pytest.raises(InputError, match=r"^line 1: "):
        json_object(text, "line 1")
