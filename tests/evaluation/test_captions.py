import pytest

from nava.evaluation.captions import Attribute, attribute_of_tags, named_word, swap_word, tagged_word

COLOUR = Attribute("colour", ("red", "green", "blue", "yellow"))
PITCH = Attribute("pitch", ("low", "middle", "high"))
CAPTION = "A red bar on the left flashes, with a low tone at each flash."
TAGS = ("flash", "side:left", "colour:red", "sound:struck_tone", "pitch:low")


def test_the_word_is_the_one_the_tags_name_and_the_caption_says():
    assert named_word(CAPTION, TAGS, COLOUR) == "red"
    assert named_word(CAPTION, TAGS, PITCH) == "low"
    assert tagged_word("side", TAGS) == "left"


@pytest.mark.parametrize(
    ("caption", "tags"),
    [
        (CAPTION, ()),
        (CAPTION, ("colour:blue",)),
        ("A bored redstart on a shredder.", ("colour:red",)),
        ("A pink bar.", ("colour:pink",)),
        ("", TAGS),
    ],
)
def test_no_word_without_tag_mention_and_place_in_the_list(caption, tags):
    assert named_word(caption, tags, COLOUR) is None


def test_swapping_changes_one_word_and_nothing_else():
    assert swap_word(CAPTION, TAGS, PITCH, turn=1) == (CAPTION.replace("low", "high"), "low", "high")


def test_swaps_walk_through_all_other_words():
    assert [swap_word(CAPTION, TAGS, COLOUR, turn)[2] for turn in range(4)] == ["green", "blue", "yellow", "green"]


def test_a_swap_keeps_the_capital():
    assert swap_word("Red bar.", TAGS, COLOUR)[0] == "Green bar."


def test_a_word_that_also_means_something_else_is_named_but_not_swapped():
    caption, tags = "A red bar on the middle flashes, with a middle tone.", ("pitch:middle",)
    assert named_word(caption, tags, PITCH) == "middle"
    assert swap_word(caption, tags, PITCH) is None
    assert swap_word(caption.replace("middle tone", "low tone"), ("pitch:low",), PITCH)[0] == caption


def test_what_is_not_named_or_has_no_alternative_cannot_be_swapped():
    assert swap_word("A bar.", TAGS, COLOUR) is None
    assert swap_word("A red bar.", TAGS, Attribute("colour", ("red",))) is None


def test_the_words_of_a_corpus_are_those_its_tags_use_often():
    tags = [("flash", "colour:red")] * 50 + [("flash", "colour:blue")] * 49 + [("flash", "colour:orange"), ("flash",)]
    assert attribute_of_tags("colour", tags) == Attribute("colour", ("blue", "red"))
    assert attribute_of_tags("pitch", tags).words == ()


def test_chance_is_one_over_the_words():
    assert COLOUR.chance == 0.25
