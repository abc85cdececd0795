import pytest

from nava.evaluation.captions import Attribute, named_word, swap_word

COLOUR = Attribute("colour", ("red", "green", "blue", "yellow"))
PITCH = Attribute("pitch", ("low", "middle", "high"))
CAPTION = "A red bar on the left flashes, with a low tone at each flash."


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (CAPTION, "red"),
        ("Red bar.", "red"),
        ("A bar.", None),
        ("A red and a blue bar.", None),
        ("A red bar, very red.", "red"),
        ("A bored redstart on a shredder.", None),
        ("", None),
    ],
)
def test_the_named_word_is_the_only_one_of_its_list(caption, expected):
    assert named_word(caption, COLOUR) == expected


def test_swapping_changes_one_word_and_nothing_else():
    assert swap_word(CAPTION, PITCH, turn=1) == (CAPTION.replace("low", "high"), "low", "high")


def test_swaps_walk_through_all_other_words():
    assert [swap_word(CAPTION, COLOUR, turn)[2] for turn in range(4)] == ["green", "blue", "yellow", "green"]


def test_a_swap_keeps_the_capital_and_every_mention():
    assert swap_word("Red bar, the red one.", COLOUR)[0] == "Green bar, the green one."


def test_what_is_not_named_cannot_be_swapped():
    assert swap_word("A bar.", COLOUR) is None
    assert swap_word("A red bar.", Attribute("colour", ("red",))) is None


def test_chance_is_one_over_the_words():
    assert COLOUR.chance == 0.25
