"""Voices and speech: who speaks what, what is refused, and the tensors that the model takes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from nava.conditioning.encoded_text import EncodedText
from nava.conditioning.mel_statistics import MelStatisticsEncoder
from nava.conditioning.prompt import speech_in
from nava.conditioning.text import HashedWordEncoder
from nava.conditioning.voices import Voice, bind_voices, speaker_tensors, voice_vectors
from nava.runtime.errors import InputError

DIALOGUE = "Anna: <S>Hello.<E> Ben: <S>Hi, how are you?<E> ANNA (cheerful): <S>Fine.<E>"
ANNA, BEN = Voice("anna", Path("a.wav")), Voice("Ben", Path("b.wav"))
FIRST, SECOND, THIRD = (Voice(path=Path(f"{number}.wav")) for number in range(3))
ENCODER = MelStatisticsEncoder()


def sound(pitch_hz: float, seconds: float = 1.5) -> Tensor:
    time_N = torch.arange(int(seconds * 16_000)) / 16_000
    return sum((torch.sin(2 * torch.pi * pitch_hz * order * time_N) / order for order in range(1, 20)), torch.zeros(1))


def read_nothing(path: Path, sample_rate_hz: int) -> Tensor:
    raise AssertionError("no file is to be read")


def test_by_position() -> None:
    assert bind_voices(DIALOGUE, [FIRST, SECOND, THIRD]) == [FIRST, SECOND, THIRD]
    assert bind_voices(speech_in(DIALOGUE)[:2], [SECOND, FIRST]) == [SECOND, FIRST]


@pytest.mark.parametrize("voices", [[ANNA, BEN], [BEN, ANNA]])
def test_by_name_one_voice_speaks_several_spans(voices: list[Voice]) -> None:
    assert bind_voices(DIALOGUE, voices) == [ANNA, BEN, ANNA]


def test_names_are_found_in_labelled_prompts() -> None:
    text = "Visual: two people\nAudio: rain. Anna (woman): <S>Hello<E> the other answers, Ben: <S>Hi<E>"
    assert bind_voices(text, [BEN, ANNA]) == [ANNA, BEN]


@pytest.mark.parametrize("prompt", ["rain", DIALOGUE])
def test_no_voices_at_all(prompt: str) -> None:
    assert bind_voices(prompt, []) == []


@pytest.mark.parametrize(
    ("prompt", "voices", "message"),
    [
        ("rain", [FIRST], "1 voice is given, but the prompt has no speech"),
        ("rain", [ANNA, BEN], "2 voices are given, but the prompt has no speech"),
        (
            DIALOGUE,
            [FIRST],
            "3 speech spans, but 1 voice is given: there is none for span 2 ('Hi, how are you?')",
        ),
        (DIALOGUE, [FIRST, SECOND], "3 speech spans, but 2 voices are given: there is none for span 3 ('Fine.')"),
        (
            "<S>hi<E>",
            [FIRST, SECOND],
            "1 speech span, but 2 voices are given: there is no speech for voice 2 ('1.wav')",
        ),
        (DIALOGUE, [ANNA, FIRST, BEN], "voice 'anna' has a speaker's name and voice '0.wav' has none"),
        (DIALOGUE, [ANNA, Voice("ANNA ", Path("c.wav"))], "two voices have the name 'ANNA '"),
        (
            DIALOGUE,
            [ANNA],
            "no voice for 'Ben': the prompt has 2 speakers ('Anna', 'Ben'), but 1 voice is given ('anna')",
        ),
        (
            DIALOGUE,
            [ANNA, BEN, Voice("Cleo", Path("c.wav"))],
            "nobody in the prompt is called 'Cleo': its speakers are 'Anna', 'Ben'",
        ),
        ("Anna: <S>hi<E> <S>who is there?<E>", [ANNA], "speech span 2 ('who is there?') has no speaker"),
    ],
)
def test_too_few_too_many_or_mixed(prompt: str, voices: list[Voice], message: str) -> None:
    with pytest.raises(InputError) as caught:
        bind_voices(prompt, voices)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_long_span_is_quoted_in_part() -> None:
    with pytest.raises(InputError, match=r"span 2 \('to be or not to be that is the...'\)"):
        bind_voices("<S>a<E> <S>to be or not to be that is the question<E>", [FIRST])


def test_a_broken_prompt_is_refused() -> None:
    with pytest.raises(InputError, match="without an <E> after it"):
        bind_voices("<S>hi", [FIRST])


def test_a_voice_has_one_source_and_a_name_that_is_one() -> None:
    assert Voice("ben").unknown
    assert not FIRST.unknown
    with pytest.raises(InputError, match="voice 'ben' is given more than once"):
        Voice("ben", path=Path("b.wav"), vector=torch.ones(192))
    with pytest.raises(InputError, match="has an empty name"):
        Voice(" ", path=Path("b.wav"))


def test_vectors_of_files_samples_and_vectors() -> None:
    read: list[tuple[Path, int]] = []

    def read_file(path: Path, sample_rate_hz: int) -> Tensor:
        read.append((path, sample_rate_hz))
        return sound(120)

    given = torch.linspace(-1, 1, 192)
    voices = [ANNA, Voice(samples=sound(220)), ANNA, Voice(vector=given), Voice("unknown")]
    vectors = voice_vectors(voices, ENCODER, read_file)
    assert read == [(Path("a.wav"), 16_000)]
    expected = [ENCODER.encode(sound(120)), ENCODER.encode(sound(220)), ENCODER.encode(sound(120)), given]
    assert torch.equal(vectors, torch.stack([*expected, torch.zeros(192)]))
    assert voice_vectors([], ENCODER, read_nothing).shape == (0, 192)


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        (Voice("ben", samples=sound(120, seconds=0.1)), r"voice 'ben': the reference voice is 0\.10 s long"),
        (Voice("ben", vector=torch.ones(191)), "voice 'ben' must be 192 finite values"),
        (Voice("ben", vector=torch.full((192,), float("nan"))), "voice 'ben' must be 192 finite values"),
    ],
)
def test_voices_without_a_vector(voice: Voice, message: str) -> None:
    with pytest.raises(InputError, match=message):
        voice_vectors([voice], ENCODER, read_nothing)


def test_tensors_for_the_model() -> None:
    """Slots count over the whole batch, vectors follow in the order of the samples."""
    encoded = EncodedText(torch.zeros(3, 32, 8), [[3, 9], [4], [0]], [0, 0, 0])
    vectors = [torch.ones(2, 5), None, 2 * torch.ones(1, 5)]
    speaker_SE, slot_S = speaker_tensors(encoded, vectors)
    assert speaker_SE is not None
    assert slot_S is not None
    assert slot_S.tolist() == [3, 9, 64]
    assert slot_S.dtype == torch.int64
    assert speaker_SE[:, 0].tolist() == [1, 1, 2]


def test_tensors_without_any_voice() -> None:
    encoded = EncodedText(torch.zeros(2, 32, 8), [[3], []], [0, 0])
    assert speaker_tensors(encoded, [None, torch.zeros(0, 5)]) == (None, None)


def test_tensors_that_do_not_fit() -> None:
    encoded = EncodedText(torch.zeros(2, 32, 8), [[3], [1, 2]], [0, 0])
    with pytest.raises(InputError, match="prompt 2 has 2 speech spans, but 3 voices are given"):
        speaker_tensors(encoded, [None, torch.ones(3, 5)])
    with pytest.raises(InputError, match="2 prompts, but voices for 1"):
        speaker_tensors(encoded, [None])


def test_from_prompt_to_slots() -> None:
    """The rows that the model replaces are those of the slot tokens of the speech that each voice speaks."""
    encoder = HashedWordEncoder(rows=24, width=16)
    prompts = ["rain", DIALOGUE]
    voices = [Voice("anna", vector=torch.full((192,), 1.0)), Voice("ben", vector=torch.full((192,), 2.0))]
    encoded = encoder.encode_prompts(prompts)
    bound = [bind_voices("rain", []), bind_voices(DIALOGUE, voices)]
    speaker_SE, slot_S = speaker_tensors(encoded, [voice_vectors(one, ENCODER, read_nothing) for one in bound])
    assert speaker_SE is not None
    assert slot_S is not None
    assert speaker_SE[:, 0].tolist() == [1, 2, 1]
    rows = encoded.text_BND.flatten(0, 1)[slot_S]
    slot_word = encoder.encode_prompts(["<S>x<E>"]).text_BND[0, 1]
    assert torch.equal(rows[:, 8:], slot_word[8:].expand(3, 8))
