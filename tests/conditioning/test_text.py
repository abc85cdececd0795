"""The hashed-word encoder: fixed vectors, positions, padding, what is ignored and what is counted."""

import json
from pathlib import Path

import pytest
import torch

from nava.conditioning.text import HashedWordEncoder, build_text_encoder, load_text_encoder, split_words
from nava.config.conditioning import ConditioningConfig
from nava.runtime.errors import InputError

ENCODER = HashedWordEncoder()
EXPECTED_RED = [0.534294, 0.728328, 2.318912, 0.178969]


def test_one_row_per_word_then_zeros() -> None:
    text = ENCODER.encode(["a red bar flashes", ""])
    assert text.shape == (2, 32, 64)
    assert text.dtype == torch.float32
    assert (text[0, :4].abs().sum(dim=1) > 0).all()
    assert (text[0, 4:] == 0).all()
    assert (text[1] == 0).all()


def test_no_texts() -> None:
    assert ENCODER.encode([]).shape == (0, 32, 64)


def test_words_are_standard_normal() -> None:
    words = [f"word{index}" for index in range(32)]
    rows = ENCODER.encode([" ".join(words)])[0, :, 32:]
    assert rows.mean().abs() < 0.1
    assert rows.std() == pytest.approx(1.0, abs=0.1)


def test_the_same_word_elsewhere_differs_only_by_position() -> None:
    text = ENCODER.encode(["red bar red"])[0]
    assert torch.equal(text[0, 32:], text[2, 32:])
    assert not torch.equal(text[0, :32], text[2, :32])
    assert not torch.equal(text[0, 32:], text[1, 32:])


def test_positions_are_half_sine_and_cosine_pairs() -> None:
    text = ENCODER.encode(["red " * 32])[0, :, :32]
    difference = text - text[0]
    angle = torch.arange(32)
    assert torch.allclose(difference[:, 0], 0.5 * angle.sin(), atol=1e-5)
    assert torch.allclose(difference[:, 1], 0.5 * (angle.cos() - 1), atol=1e-5)


def test_vectors_never_change() -> None:
    """Latent shards and models of earlier runs depend on these numbers."""
    row = ENCODER.encode(["red"])[0, 0, 32:36]
    assert row.tolist() == pytest.approx(EXPECTED_RED, abs=1e-6)


def test_case_and_punctuation_do_not_count() -> None:
    texts = ENCODER.encode(["A red bar, on the left.", "a RED bar on the left", "(a) red: bar on the left!"])
    assert torch.equal(texts[0], texts[1])
    assert torch.equal(texts[0], texts[2])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("says <S>Hello there.<E>", ["says", "<S>", "hello", "there", "<E>"]),
        ("it's a well-lit room", ["it's", "a", "well-lit", "room"]),
        ("720 Hz — loud…", ["720", "hz", "loud"]),
        ("红色 闪光", ["红色", "闪光"]),
        ("   \n\t ", []),
        ("snake_case", ["snake", "case"]),
    ],
)
def test_split_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_words_beyond_the_rows_are_ignored_and_counted() -> None:
    words = [f"w{index}" for index in range(40)]
    assert ENCODER.dropped_words(" ".join(words)) == 8
    assert ENCODER.dropped_words(" ".join(words[:32])) == 0
    assert torch.equal(ENCODER.encode([" ".join(words)]), ENCODER.encode([" ".join(words[:32])]))


def test_a_text_encodes_the_same_alone_and_in_a_batch() -> None:
    texts = ["a red bar", "a blue ball bounces", ""]
    assert torch.equal(ENCODER.encode(texts)[1:2], ENCODER.encode(texts[1:2]))


def test_build_save_load(tmp_path: Path) -> None:
    built = build_text_encoder(ConditioningConfig())
    built.save(tmp_path)
    loaded = load_text_encoder(tmp_path)
    assert loaded.identity == built.identity == ENCODER.identity
    assert (loaded.rows, loaded.width) == (32, 64)
    assert HashedWordEncoder(rows=16).identity != ENCODER.identity


def test_slots_are_words_of_their_own() -> None:
    texts = ["she says <S>good morning<E> <S>hi<E>", "rain", ""]
    encoded = ENCODER.encode_prompts(texts)
    assert encoded.slots == [[3, 8], [], []]
    assert encoded.dropped_words == [0, 0, 0]
    plain = ENCODER.encode(texts)
    assert torch.equal(encoded.text_BND[1:], plain[1:])
    assert torch.equal(encoded.text_BND[0, :3], plain[0, :3])
    # What follows the slot moves by one row and keeps its word's vector.
    assert torch.equal(encoded.text_BND[0, 4:7, 32:], plain[0, 3:6, 32:])
    assert torch.equal(encoded.text_BND[0, 3, 32:], encoded.text_BND[0, 8, 32:])


def test_encode_is_what_it_was_before_there_were_slots() -> None:
    """Bit-equal rows, from the vectors of the single words and the positions."""
    text = "she says <S>good morning<E>"
    rows = torch.stack([ENCODER.encode([word])[0, 0] for word in split_words(text)])
    steps = ENCODER.encode(["red " * 32])[0, : len(rows), :32] - ENCODER.encode(["red"])[0, 0, :32]
    encoded = ENCODER.encode([text])[0, : len(rows)]
    assert torch.equal(encoded[:, 32:], rows[:, 32:])
    assert torch.allclose(encoded[:, :32], rows[:, :32] + steps, atol=1e-6)


def test_speech_beyond_the_rows_is_an_error_that_names_the_span() -> None:
    text = "<S>hello<E> " + "rain " * 28 + "<S>bye<E>"
    with pytest.raises(InputError, match=r"speech span 2 \('bye'\) begins at word 33 of the prompt, .* takes 32 words"):
        ENCODER.encode_prompts([text])
    assert ENCODER.encode_prompts([text.replace("<S>bye<E>", "bye")]).dropped_words == [1]


def test_slots_count_among_the_words_that_do_not_fit() -> None:
    for text in ("<S>hello<E> " + "rain " * 30, "<S>a<E> <S>b<E> " + "rain " * 20, "rain " * 40, ""):
        assert ENCODER.dropped_prompt_words(text) == ENCODER.encode_prompts([text]).dropped_words[0]
    assert ENCODER.dropped_words("<S>hello<E> " + "rain " * 29) == 0
    assert ENCODER.dropped_prompt_words("<S>hello<E> " + "rain " * 29) == 1
    with pytest.raises(InputError, match="speech span 1"):
        ENCODER.dropped_prompt_words("rain " * 40 + "<S>late<E>")


def test_a_slot_in_the_prompt_is_refused() -> None:
    with pytest.raises(InputError, match="stands for the voice and is inserted after each <S>; leave it out"):
        ENCODER.encode_prompts(["<S><extra_id_2>hello<E>"])


def test_unknown_encoder() -> None:
    with pytest.raises(InputError, match="unknown text encoder 'clip'; known encoders: hashed_words, umt5"):
        build_text_encoder(ConditioningConfig(text_encoder="clip"))


@pytest.mark.parametrize(("rows", "width"), [(0, 64), (32, 0), (32, 30)])
def test_unusable_sizes(rows: int, width: int) -> None:
    with pytest.raises(InputError, match=f"got {rows} rows of width {width}"):
        build_text_encoder(ConditioningConfig(text_rows=rows, text_width=width))


def test_load_refuses_what_was_edited(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json is missing"):
        load_text_encoder(tmp_path)
    ENCODER.save(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"rows": 16}))
    with pytest.raises(InputError, match="was edited"):
        load_text_encoder(tmp_path)
    path.write_text(json.dumps({"type": "hashed_words"}))
    with pytest.raises(InputError, match="not a text encoder description"):
        load_text_encoder(tmp_path)
