"""Captions that deny speech, in the words that people, captioners and prompt writers use."""

import pytest

from nava.data.annotation.speech_denial import says_nobody_speaks

DENIALS = [
    "There is no dialogue in this clip.",
    "A helicopter lands on a roof. No speech, only the beat of rotors.",
    "Rain on a tin roof, no dialogue, no narration.",
    "Absolutely no speech, no dialogue, no narration, no singing and no music with lyrics.",
    "Ambient sound and natural background audio only - no speech, no dialogue, no narration.",
    "No speech, no voiceover, no human vocals.",
    "Nobody speaks a single word.",
    "Nobody in the scene is talking.",
    "No one speaks; waves break on the shore.",
    "No-one says anything.",
    "None of them speaks.",
    "Neither of them speaks.",
    "A market at dawn without speech.",
    "The clip has no spoken words.",
    "There are no audible voices, just wind.",
    "No words are spoken.",
    "No intelligible speech is heard.",
    "The video contains no human speech or dialogue.",
    "The scene is devoid of dialogue.",
    "The audio is completely silent.",
    "A silent clip of a street at night.",
    "The scene remains silent throughout.",
    "There is no audio.",
    "A still picture without a sound.",
    "Silence.",
    "The two walk in complete silence.",
    "She smiles at the camera without speaking.",
    "The man does not speak.",
    "He nods silently.",
    "The woman says nothing and looks away.",
    "She remains silent while snow falls.",
    "He leaves without a word.",
    "A dialogue-free montage of machines.",
    "A wordless sequence of a potter at work.",
    "Visual: a drummer.\nAudio: Drums, no speech.",
    "There is no conversation, only the clink of cups.",
    "The audio lacks any speech.",
    "Birdsong with no talking.",
]
OTHERS = [
    "A woman speaks to the camera.",
    "A blue face speaks with a high voice.",
    "Two faces speak in turn.",
    "A red bar on the left flashes, with a low tone at each flash.",
    "Rain falls with a steady rush.",
    "A silent man listens while a woman speaks.",
    "She pauses silently, then says a few words.",
    "He does not speak at first, then answers her.",
    "There is no dialogue, only a narrator who describes the lake.",
    "No dialogue except for a woman's voice on the radio.",
    "The street is not silent: vendors shout.",
    "A door slam breaks the silence and a man shouts.",
    "There is no music, and a man talks about engines.",
    "No background noise; a clear female voice speaks.",
    "No doubt he speaks well.",
    "A sign says no entry.",
    "The comic shows no speech bubble; a child reads it aloud and says the words.",
    "Nobody else is in the room as she talks to the mirror.",
    "A moving scene, mostly yellow, with sound.",
    "No sound effects, a calm voice-over explains the steps.",
    "She sings without any sound of instruments.",
]


@pytest.mark.parametrize("caption", DENIALS)
def test_denials(caption):
    assert says_nobody_speaks(caption)
    assert says_nobody_speaks(caption.upper())


@pytest.mark.parametrize("caption", OTHERS)
def test_captions_that_deny_nothing(caption):
    assert not says_nobody_speaks(caption)


def test_what_is_said_in_a_span_is_speech_and_denies_nothing():
    assert not says_nobody_speaks("A man at a desk. <S>Nobody speaks here. There is no dialogue.<E>")


def test_a_span_does_not_hide_the_denial_beside_it():
    """On-screen text marked as speech beside "no speech": what the public benchmark prompts really have."""
    assert says_nobody_speaks("A helicopter with <S>SAMU<E> on its door hovers. There is no speech.")
    assert says_nobody_speaks("<S>GIRLS RULE<E> is written on a wall; no dialogue, traffic noise.")


def test_the_empty_caption_denies_nothing():
    assert not says_nobody_speaks("")
