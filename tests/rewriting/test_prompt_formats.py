"""Every model gets the same scene and the same words, each in its own form."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nava.conditioning.prompt import StructuredPrompt, parse_prompt, speech_in
from nava.conditioning.speech import SpeechSpan, render_speech
from nava.rewriting.formats import FORMATS, format_item
from nava.rewriting.rewritten_item import ReferenceVoice, RewrittenItem
from nava.runtime.errors import InputError

SPANS = [SpeechSpan("Come here, boy!", "Anna", voice="young woman"), SpeechSpan('It\'s "Rex".', "Ben")]
PROMPT = StructuredPrompt(
    "A dog in a park.", "It runs to a ball.", "The camera is still.", render_speech(["Wind in trees.", *SPANS])
)
VOICE = ReferenceVoice("voices/1.wav", "Some call me nature.")
ITEM = RewrittenItem("1", PROMPT, "en", (VOICE,), "first.png")
# What a speech model is given: Seed-TTS has one speaker and no scene.
SPOKEN = RewrittenItem("2", StructuredPrompt(audio="<S>Hello there.<E>"), "en", (VOICE,))
SPEECH_MODELS = ("cosyvoice", "cosyvoice2", "qwen2.5-omni", "nava-release-seed-tts")
SCENE_MODELS = tuple(name for name in FORMATS if name not in SPEECH_MODELS)


def prompt_for(model, item=ITEM):
    return format_item(item, model).inputs["prompt"]


def test_nava_reads_its_own_prompt_back():
    assert parse_prompt(prompt_for("nava")) == PROMPT


def test_the_release_has_one_paragraph_with_marked_speech():
    text = prompt_for("nava-release")
    assert text == (
        "A dog in a park. It runs to a ball. The camera is still. Wind in trees. "
        'Anna (young woman): <S>Come here, boy!<E> Ben: <S>It\'s "Rex".<E>'
    )
    assert speech_in(text) == SPANS


SCENE = "A dog in a park. It runs to a ball. The camera is still."
LEADS = 'Anna (young woman) says, <S>Come here, boy!<E> Ben says, <S>It\'s "Rex".<E>'


def test_ovi_has_its_sound_at_the_end_in_the_words_of_its_version():
    assert prompt_for("ovi-1.0") == f"{SCENE} {LEADS} <AUDCAP>Wind in trees.<ENDAUDCAP>"
    assert prompt_for("ovi-1.1") == f"{SCENE} {LEADS} Audio: Wind in trees."
    silent = RewrittenItem("3", StructuredPrompt("A dog."))
    assert prompt_for("ovi-1.0", silent) == prompt_for("ovi-1.1", silent) == "A dog."


def test_mova_is_prose_with_quoted_speech():
    assert prompt_for("mova") == (
        f'{SCENE} Wind in trees. Anna (young woman) says, "Come here, boy!" Ben says, “It\'s "Rex".”'
    )


def test_ltx_begins_with_the_action_and_is_one_paragraph():
    text = prompt_for("ltx-2")
    assert text.startswith('It runs to a ball. A dog in a park. Anna (young woman) says, "Come here, boy!"')
    assert text.endswith("The camera is still. Wind in trees.")
    assert "\n" not in text


def test_davinci_repeats_the_speech_line_by_line_and_names_the_language():
    body, dialogue, sound = prompt_for("davinci-magihuman").split("\n\n")
    assert body.startswith("A dog in a park. It runs to a ball. Anna (young woman) says,")
    assert dialogue.split("\n") == [
        "Dialogue:",
        '<Anna, young woman, English>: "Come here, boy!"',
        '<Ben, English>: “It\'s "Rex".”',
    ]
    assert sound == "Background Sound:\n<Wind in trees.>"


def test_davinci_spaces_chinese_characters_and_no_others():
    item = RewrittenItem("4", StructuredPrompt("A room.", audio="Li: <S>今天 OK，很好 2 次<E>"), "zh")
    text = prompt_for("davinci-magihuman", item)
    assert text.count('"今 天 OK，很 好 2 次"') == 2
    assert text.endswith("Background Sound:\n<No prominent background sound>")


def test_davinci_without_a_language_says_what_it_lacks():
    item = RewrittenItem("5", PROMPT)
    with pytest.raises(InputError, match="item 5: daVinci wants the language of the speech; '' is none of en, zh"):
        format_item(item, "davinci-magihuman")
    assert "Dialogue:" not in prompt_for("davinci-magihuman", RewrittenItem("6", StructuredPrompt("A dog.")))


def test_dreamid_has_a_tag_for_each_speaker():
    assert prompt_for("dreamid-omni").split("\n") == [
        "<img1>: Anna, identified as <sub1>.",
        "<img2>: Ben, identified as <sub2>.",
        "**Overall Environment/Scene**: A dog in a park. The camera is still.",
        "**Main Characters/Subjects Actions**: It runs to a ball.",
        '<sub1> says, <S>Come here, boy!<E> <sub2> says, <S>It\'s "Rex".<E>',
    ]
    three = render_speech([*SPANS, SpeechSpan("Me too.", "Cara")])
    with pytest.raises(InputError, match="two speakers at most, the prompt has 3"):
        prompt_for("dreamid-omni", RewrittenItem("7", StructuredPrompt("A", audio=three)))


@pytest.mark.parametrize("model", SPEECH_MODELS)
def test_speech_models_get_the_words_and_the_voice(model):
    given = format_item(SPOKEN, model)
    assert given.inputs == {
        "text": "Hello there.",
        "reference_text": "Some call me nature.",
        "reference_voice": "voices/1.wav",
    }
    assert given.left_out == ()


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (RewrittenItem("8", StructuredPrompt("A dog."), voices=(VOICE,)), "item 8: there is no speech"),
        (RewrittenItem("8", SPOKEN.prompt), "item 8: a speech model takes one reference voice, 0 are given"),
        (RewrittenItem("8", SPOKEN.prompt, voices=(ReferenceVoice("a.wav"),)), r"the reference voice a\.wav needs its"),
        (RewrittenItem("8", PROMPT, voices=(VOICE,)), "speaks for one speaker, the prompt has 2"),
    ],
)
def test_what_a_speech_model_lacks_is_named(item, problem):
    with pytest.raises(InputError, match=problem):
        format_item(item, "cosyvoice2")


@pytest.mark.parametrize(
    ("model", "left_out"),
    [("nava", ()), ("ovi-1.1", ("voices",)), ("dreamid-omni", ("sound", "first_frame"))],
)
def test_what_a_model_has_no_place_for_is_said(model, left_out):
    assert format_item(ITEM, model).left_out == left_out


def test_a_format_says_where_it_is_from_and_what_is_doubtful():
    assert all(form.source and form.description for form in FORMATS.values())
    assert all(bool(form.doubts) is form.unverified for form in FORMATS.values())
    doubtful = {name for name, form in FORMATS.items() if form.unverified}
    assert doubtful == {"davinci-magihuman", "dreamid-omni", "qwen2.5-omni"}
    assert all(format_item(ITEM, name).unverified for name in doubtful if name not in SPEECH_MODELS)


def test_an_unknown_model_is_told_which_there_are():
    with pytest.raises(InputError, match=r"no prompt format for model 'sora'; there are nava, .*mova"):
        format_item(ITEM, "sora")


def test_pieces_without_an_end_get_one_and_spoken_words_do_not():
    audio = "wind <S>one<E> <S>two<E>"
    item = RewrittenItem("1", StructuredPrompt("A dog", "it runs", audio=audio), "en", (VOICE,))
    assert prompt_for("mova", item) == 'A dog. it runs. wind. A voice says, "one" A voice says, "two"'
    assert format_item(item, "cosyvoice").inputs["text"] == "one two"


def test_chinese_prose_has_chinese_leads():
    item = RewrittenItem("9", StructuredPrompt("一位男子。", audio="男子: <S>You know.<E>"), "en")
    assert prompt_for("mova", item) == '一位男子。男子说道："You know."'
    assert prompt_for("ovi-1.1", item) == "一位男子。男子说道：<S>You know.<E>"


SAID = st.text(alphabet="abc你好'\"“”’ .,!", min_size=1, max_size=12).filter(lambda text: text.strip(" .,!"))


@settings(max_examples=60, deadline=None)
@given(st.lists(SAID, min_size=1, max_size=3), st.sampled_from(SCENE_MODELS))
def test_every_format_has_every_word_verbatim_and_in_order(said, model):
    spans = [SpeechSpan(words, "Anna") for words in said]
    item = RewrittenItem("1", StructuredPrompt("A room.", audio=render_speech(spans)), "en")
    text = prompt_for(model, item)
    if model == "davinci-magihuman":
        squeezed = [re.sub(r"\s", "", part) for part in (text, *said)]
        text, said = squeezed[0], squeezed[1:]
    place = 0
    for words in said:
        place = text.index(" ".join(words.split()), place) + 1
