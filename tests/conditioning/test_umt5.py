"""umT5 from a file in the original layout: its numbers, its rows, its slots, its limits, its reference."""

import json
from pathlib import Path

import pytest
import torch

from nava.conditioning.encoded_text import SLOT_TOKEN
from nava.conditioning.text import build_text_encoder, load_text_encoder
from nava.conditioning.umt5 import Umt5Encoder, clean, load_model, load_tokenizer
from nava.config.conditioning import ConditioningConfig
from nava.runtime.errors import InputError
from tests.conditioning import small_umt5
from tests.conditioning.small_umt5 import reference_encoding, released_state, write_checkpoint, write_tokenizer

pytest.importorskip("ftfy", reason="umT5 cleans text with ftfy")

TEXT = "a woman in a red coat says <S>good morning<E> and then <S>coffee<E> at the table"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Wan's repository: checkpoint and tokenizer."""
    folder = tmp_path_factory.mktemp("umt5")
    write_checkpoint(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(weights: Path) -> Umt5Encoder:
    return Umt5Encoder.open(weights, rows=64, dtype="float32")


def token_ids(encoder: Umt5Encoder, text: str) -> list[int]:
    return [*encoder.tokenizer.encode(text, add_special_tokens=False).ids, encoder.tokenizer.token_to_id("</s>")]


@pytest.mark.parametrize("text", ["rain", "two birds sat on the wire", small_umt5.SENTENCES[4]])
def test_the_numbers_are_umt5s(encoder: Umt5Encoder, text: str) -> None:
    """Against its mathematics written out in the test: a wrong or swapped tensor shows."""
    ids = token_ids(encoder, text)
    expected = reference_encoding(released_state(), ids)
    rows = encoder.encode([text])[0]
    assert (rows[: len(ids)] - expected).abs().max() / expected.abs().max() < 1e-5
    assert (rows[len(ids) :] == 0).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("attn.q.weight", "attn.k.weight"),
        ("ffn.gate.0.weight", "ffn.fc1.weight"),
        ("norm1.weight", "norm2.weight"),
    ],
)
def test_the_comparison_sees_swapped_tensors(encoder: Umt5Encoder, one: str, other: str) -> None:
    state = released_state()
    first, second = f"blocks.1.{one}", f"blocks.1.{other}"
    state[first], state[second] = state[second], state[first]
    ids = token_ids(encoder, "two birds sat on the wire")
    expected = reference_encoding(state, ids)
    rows = encoder.encode(["two birds sat on the wire"])[0, : len(ids)]
    assert (rows - expected).abs().max() / expected.abs().max() > 1e-2


def test_long_texts_reach_the_last_position_buckets(weights: Path) -> None:
    encoder = Umt5Encoder.open(weights, dtype="float32")
    text = " ".join(small_umt5.SENTENCES)
    ids = token_ids(encoder, text)
    assert 128 < len(ids) < 512
    expected = reference_encoding(released_state(), ids)
    rows = encoder.encode([text])[0]
    assert rows.shape == (512, small_umt5.WIDTH)
    assert (rows[: len(ids)] - expected).abs().max() / expected.abs().max() < 1e-5


def test_a_text_encodes_the_same_alone_and_in_a_batch(encoder: Umt5Encoder) -> None:
    texts = ["rain fell", "two birds sat on the wire over the river", ""]
    together = encoder.encode(texts)
    assert torch.equal(together[:1], encoder.encode(texts[:1]))
    assert torch.equal(together[1:2], encoder.encode(texts[1:2]))
    assert (together[2] == 0).all()
    assert together.dtype == torch.float32


def test_padding_to_512_with_a_mask_gives_the_same_rows(encoder: Umt5Encoder) -> None:
    """That is what the release does."""
    ids = token_ids(encoder, "two birds sat on the wire")
    padded = torch.zeros(1, 512, dtype=torch.long)
    padded[0, : len(ids)] = torch.tensor(ids)
    mask = (torch.arange(512) < len(ids))[None].long()
    with torch.no_grad():
        masked = encoder.model(input_ids=padded, attention_mask=mask).last_hidden_state[0, : len(ids)]
    assert torch.allclose(encoder.encode(["two birds sat on the wire"])[0, : len(ids)], masked, atol=1e-5)


def test_bfloat16_is_near_float32(weights: Path, encoder: Umt5Encoder) -> None:
    half = Umt5Encoder.open(weights, rows=64, dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    exact, rounded = encoder.encode([TEXT]), half.encode([TEXT])
    assert rounded.dtype == torch.float32
    assert 0 < (exact - rounded).norm() / exact.norm() < 0.05
    assert half.identity != encoder.identity


def test_the_word_table_is_held_once(encoder: Umt5Encoder) -> None:
    assert encoder.model.encoder.embed_tokens.weight is encoder.model.shared.weight
    assert encoder.model.config._attn_implementation == "eager"
    assert not any(parameter.requires_grad for parameter in encoder.model.parameters())


def test_float32_weights_stay_in_the_file(weights: Path, encoder: Umt5Encoder) -> None:
    """Without a change of dtype or device nothing is copied into memory."""
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        pytest.skip("this system does not list the files that a process maps")
    assert str(weights / "models_t5_umt5-xxl-enc-bf16.pth") in maps.read_text()


def test_slots_follow_the_speech_marks(encoder: Umt5Encoder) -> None:
    encoded = encoder.encode_prompts([TEXT, "no speech here", ""])
    slotted = token_ids(encoder, TEXT.replace("<S>", "<S>" + SLOT_TOKEN))
    slot = encoder.tokenizer.token_to_id(SLOT_TOKEN)
    assert encoded.slots == [[row for row, number in enumerate(slotted) if number == slot], [], []]
    assert len(encoded.slots[0]) == 2
    expected = reference_encoding(released_state(), slotted)
    rows = encoded.text_BND[0, : len(slotted)]
    assert (rows - expected).abs().max() / expected.abs().max() < 1e-5
    assert torch.equal(encoded.text_BND[1], encoder.encode(["no speech here"])[0])
    assert (encoded.text_BND[2] == 0).all()
    assert encoded.dropped_words == [0, 0, 0]


def test_encode_knows_no_slots(encoder: Umt5Encoder) -> None:
    ids = token_ids(encoder, TEXT)
    assert (encoder.encode([TEXT])[0].abs().sum(dim=1) > 0).sum() == len(ids)


def test_a_slot_in_the_prompt_is_refused(encoder: Umt5Encoder) -> None:
    with pytest.raises(InputError, match="character 4: <extra_id_2> stands for the voice"):
        encoder.encode_prompts([f"<S>{SLOT_TOKEN}hello<E>"])


def test_too_long_a_text_is_cut_and_counted(encoder: Umt5Encoder) -> None:
    words = " ".join(small_umt5.SENTENCES)
    ids = token_ids(encoder, words)
    assert len(ids) > 64
    rows = encoder.encode([words])[0]
    expected = reference_encoding(released_state(), [*ids[:63], ids[-1]])
    assert (rows - expected).abs().max() / expected.abs().max() < 1e-5
    dropped = encoder.dropped_words(words)
    assert dropped == encoder.encode_prompts([words]).dropped_words[0] > 0
    kept = " ".join(words.split()[:-dropped])
    assert encoder.dropped_words(kept) == 0
    assert len(token_ids(encoder, kept)) <= 64


def test_slots_count_among_the_words_that_do_not_fit_and_nothing_is_encoded(
    encoder: Umt5Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = next(
        text
        for count in range(80, 0, -1)
        if not encoder.dropped_words(text := "<S>hello<E> <S>good<E> " + "morning " * count)
    )
    expected = encoder.encode_prompts([fits]).dropped_words[0]
    monkeypatch.setattr(encoder, "model", None)
    assert encoder.dropped_prompt_words(fits) == expected > encoder.dropped_words(fits) == 0
    assert encoder.dropped_prompt_words("no speech here") == 0
    with pytest.raises(InputError, match="speech span 1"):
        encoder.dropped_prompt_words("morning " * 80 + "<S>late<E>")


def test_speech_beyond_the_rows_is_an_error_that_names_the_span(encoder: Umt5Encoder) -> None:
    text = "<S>hello<E> " + "rain " * 80 + "<S>good morning to all of you at the table<E>"
    with pytest.raises(InputError, match=r"speech span 2 \('good morning to all of you at ...'\) begins at token"):
        encoder.encode_prompts([text])
    assert encoder.encode([text]).shape == (1, 64, small_umt5.WIDTH)


def test_words_of_speech_beyond_the_rows_are_reported(encoder: Umt5Encoder) -> None:
    encoded = encoder.encode_prompts(["<S>" + "good morning " * 60 + "<E>"])
    assert len(encoded.slots[0]) == 1
    assert encoded.dropped_words[0] > 0


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  a\n red\t coat ", "a red coat"),
        ("salt &amp;amp; pepper", "salt & pepper"),
        ("“Hello”，she said", '"Hello",she said'),
        ("sch√∂n", "schön"),
        ("<S>hi<E>", "<S>hi<E>"),
    ],
)
def test_text_is_cleaned_as_the_release_does(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_save_writes_references_only(encoder: Umt5Encoder, weights: Path, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["type"] == "umt5"
    assert config["weights"]["file"] == "models_t5_umt5-xxl-enc-bf16.pth"
    assert config["weights"]["size"] == (weights / config["weights"]["file"]).stat().st_size
    assert config["weights"]["licence"] == "Apache-2.0"
    assert str(weights) not in json.dumps(config)


@pytest.mark.parametrize("location", [".", "models_t5_umt5-xxl-enc-bf16.pth"])
def test_load_finds_the_same_encoder(encoder: Umt5Encoder, weights: Path, tmp_path: Path, location: str) -> None:
    encoder.save(tmp_path)
    loaded = load_text_encoder(tmp_path, weights / location)
    assert loaded.identity == encoder.identity
    assert (loaded.rows, loaded.width) == (64, small_umt5.WIDTH)
    assert torch.equal(loaded.encode([TEXT]), encoder.encode([TEXT]))


def test_load_refuses_other_weights(encoder: Umt5Encoder, weights: Path, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    with pytest.raises(InputError, match=r"models_t5_umt5-xxl-enc-bf16\.pth .* licence Apache-2.0"):
        load_text_encoder(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(InputError, match="is not at"):
        load_text_encoder(tmp_path, other)
    write_tokenizer(other)
    write_checkpoint(other, released_state(seed=1))
    with pytest.raises(InputError, match="damaged or another version"):
        load_text_encoder(tmp_path, other)


def test_load_refuses_what_was_edited(encoder: Umt5Encoder, weights: Path, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"rows": 32}))
    with pytest.raises(InputError, match="was edited"):
        load_text_encoder(tmp_path, weights)
    path.write_text(json.dumps(config | {"weights": {"file": "a"}}))
    with pytest.raises(InputError, match="not a text encoder description"):
        load_text_encoder(tmp_path, weights)


def test_build_from_the_configuration(weights: Path) -> None:
    config = ConditioningConfig(
        text_encoder="umt5",
        text_rows=64,
        text_width=small_umt5.WIDTH,
        text_weights=str(weights),
        text_dtype="float32",
    )
    config.check()
    assert build_text_encoder(config).width == small_umt5.WIDTH
    config.text_width = 4096
    with pytest.raises(InputError, match="text_width is 4096, but the weights give rows of 24"):
        build_text_encoder(config)
    config.text_weights = ""
    with pytest.raises(InputError, match=r"11\.4 GB.*conditioning\.text_weights"):
        build_text_encoder(config)


def test_a_tensor_of_the_wrong_shape(tmp_path: Path) -> None:
    state = released_state()
    state["blocks.2.ffn.fc2.weight"] = torch.ones(small_umt5.WIDTH, small_umt5.FEED_FORWARD + 1)
    with pytest.raises(InputError, match=r"tensor blocks\.2\.ffn\.fc2\.weight is \[24, 41\], but \[24, 40\] is wanted"):
        load_model(write_checkpoint(tmp_path, state))


def test_a_file_cut_short(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match="cut short"):
        load_model(path)


def test_unknown_dtype(weights: Path) -> None:
    with pytest.raises(InputError, match="dtype is 'float16'; it must be bfloat16 or float32"):
        Umt5Encoder.open(weights, dtype="float16")


def test_tokenizers_that_do_not_fit(weights: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json is not a tokenizer"):
        load_tokenizer(path)
    Tokenizer(models.Unigram([("<unk>", 0.0), ("</s>", 0.0), ("a", -1.0)], unk_id=0)).save(str(path))
    with pytest.raises(InputError, match="does not know the token <extra_id_2>: it is not umT5's"):
        Umt5Encoder.open(weights, path)
    pieces = [("<unk>", 0.0), ("</s>", 0.0), (SLOT_TOKEN, 0.0), *((f"w{n}", -1.0) for n in range(300))]
    Tokenizer(models.Unigram(pieces, unk_id=0)).save(str(path))
    with pytest.raises(InputError, match="knows 303 tokens, but the weights only 220"):
        Umt5Encoder.open(weights, path)
