"""Text encoders: a caption becomes rows of a fixed width, absent text zero rows."""

import math
import re
import zlib
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from nava.artifacts.weight_files import WEIGHT_FILES, missing
from nava.conditioning.description import CONFIG_FILE, load_described
from nava.conditioning.encoded_text import SLOT_TOKEN, EncodedText, insert_slots, kept_slots
from nava.conditioning.prompt import SPEECH_START
from nava.conditioning.umt5 import Umt5Encoder
from nava.config.conditioning import ConditioningConfig
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import write_json

POSITION_AMPLITUDE = 0.5
POSITION_BASE = 10_000.0
WORD = re.compile(r"<[SE]>|[^\W_]+(?:['’\-][^\W_]+)*")


class TextEncoder(Protocol):
    """Captions to the rows that the model attends to: B batch, N rows, D width."""

    @property
    def rows(self) -> int:
        """How many words fit."""
        ...

    @property
    def width(self) -> int:
        """Values per row."""
        ...

    @property
    def identity(self) -> str:
        """sha256 of what the encoder is: equal identities encode equally."""
        ...

    def encode(self, texts: list[str]) -> Tensor:
        """Float32 rows [B, N, D]; rows without text are zero, and so is the whole of an empty text."""
        ...

    def encode_prompts(self, texts: list[str]) -> EncodedText:
        """The same rows with a slot token after every ``<S>``, and where the slots are.

        Raises:
            InputError: a speech span begins after the last row, or a prompt has slot tokens already.
        """
        ...

    def dropped_words(self, text: str) -> int:
        """How many words at the end of ``text`` do not fit into the rows and are ignored."""
        ...

    def dropped_prompt_words(self, text: str) -> int:
        """The same of what ``encode_prompts`` reads, where slot tokens take rows too; nothing is encoded.

        Raises:
            InputError: what ``encode_prompts`` would raise.
        """
        ...

    def save(self, directory: Path) -> None:
        """Write what ``load_text_encoder`` needs."""
        ...

    def to(self, device: str | torch.device) -> Self:
        """Move what the encoder computes with, if it has any."""
        ...


@dataclass(frozen=True)
class HashedWordEncoder:
    """One row per word: 64 standard normals drawn from a generator seeded with the word's CRC-32, plus its position.

    Case and punctuation do not count: "A red bar." and "a RED bar" are the same text. The speech marks ``<S>`` and
    ``<E>`` are words. The position adds 0.5 times sine and cosine pairs to the first half of the width.
    """

    rows: int = 32
    width: int = 64
    type_name = "hashed_words"

    def __post_init__(self) -> None:
        """Reject sizes that have no room for a word or for position pairs."""
        if self.rows < 1 or self.width < 4 or self.width % 4:
            raise InputError(
                f"the text encoder needs at least 1 row and a width that is a multiple of 4, "
                f"got {self.rows} rows of width {self.width}"
            )

    @property
    def identity(self) -> str:
        """sha256 of type and sizes; the vectors follow from them."""
        return sha256_json(self._config())

    def encode(self, texts: list[str]) -> Tensor:
        """Float32 rows [B, N, D]; words beyond the last row are ignored."""
        return self._rows([split_words(text) for text in texts])

    def encode_prompts(self, texts: list[str]) -> EncodedText:
        """The same with the slot token as a word of its own after every ``<S>``.

        Raises:
            InputError: a speech span begins after the last row, or a prompt has slot tokens already.
        """
        read = [self._read(text) for text in texts]
        dropped = [max(0, len(words) - self.rows) for words, _ in read]
        return EncodedText(self._rows([words for words, _ in read]), [slots for _, slots in read], dropped)

    def dropped_words(self, text: str) -> int:
        """Number of words beyond the last row."""
        return max(0, len(split_words(text)) - self.rows)

    def dropped_prompt_words(self, text: str) -> int:
        """The same with the slot tokens, which are words too, but never among those dropped."""
        return max(0, len(self._read(text)[0]) - self.rows)

    def save(self, directory: Path) -> None:
        """Write ``config.json``."""
        write_json(directory / CONFIG_FILE, self._config() | {"identity": self.identity})

    def to(self, device: str | torch.device) -> Self:
        """Nothing to move: the rows are made on the CPU."""
        return self

    def _config(self) -> dict[str, Any]:
        return {"type": self.type_name, "format_version": 1, **asdict(self)}

    def _read(self, text: str) -> tuple[list[str], list[int]]:
        """The words of a prompt with its slots, and the rows of the slots."""
        words = _words_with_slots(text)
        return words, kept_slots(text, words, SLOT_TOKEN, self.rows, "word")

    def _rows(self, texts: list[list[str]]) -> Tensor:
        text_BND = torch.zeros(len(texts), self.rows, self.width)
        position_ND = _positions(self.rows, self.width // 2)
        for index, text in enumerate(texts):
            words = text[: self.rows]
            if words:
                vectors_ND = np.stack([_word_vector(word, self.width) for word in words])
                text_BND[index, : len(words)] = torch.from_numpy(vectors_ND)
                text_BND[index, : len(words), : self.width // 2] += position_ND[: len(words)]
        return text_BND


def build_text_encoder(config: ConditioningConfig, device: str | torch.device = "cpu") -> TextEncoder:
    """The encoder that ``config.text_encoder`` names.

    Raises:
        InputError: unknown name, unusable sizes, or weights that are missing or of another width.
    """
    match config.text_encoder:
        case HashedWordEncoder.type_name:
            return HashedWordEncoder(config.text_rows, config.text_width)
        case Umt5Encoder.type_name:
            encoder = Umt5Encoder.open(
                _given(config.text_weights),
                config.text_tokenizer or None,
                rows=config.text_rows,
                dtype=config.text_dtype,
                device=device,
                cache=Path(config.weights_cache) if config.weights_cache else None,
            )
            if encoder.width != config.text_width:
                raise InputError(
                    f"conditioning.text_width is {config.text_width}, but the weights give rows of {encoder.width}"
                )
            return encoder
    raise _unknown(config.text_encoder)


def load_text_encoder(
    directory: Path,
    weights: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    cache: Path | None = None,
) -> TextEncoder:
    """Read what ``save`` wrote and verify its identity.

    Args:
        directory: holds ``config.json``.
        weights: where the weights are, for encoders that have any: a folder, hub mirror or bucket address that also
            has the tokenizer, or the file beside it.
        device: where they go.
        cache: where files of a bucket are kept.

    Raises:
        InputError: no encoder there, of an unknown type, or edited since it was written; weights missing or others.
    """
    return load_described(directory, "text encoder", lambda config: _load(config, weights, device, cache))


def _load(
    config: dict[str, Any], weights: str | Path | None, device: str | torch.device, cache: Path | None
) -> TextEncoder:
    match config["type"]:
        case HashedWordEncoder.type_name:
            return HashedWordEncoder(int(config["rows"]), int(config["width"]))
        case Umt5Encoder.type_name:
            return Umt5Encoder.load(config, _given(weights), device, cache)
    raise _unknown(config["type"])


def _given(weights: str | Path | None) -> str | Path:
    """A location that must not be empty."""
    if not weights:
        raise InputError(missing(WEIGHT_FILES["umt5"], "") + " (setting conditioning.text_weights)")
    return weights


def split_words(text: str) -> list[str]:
    """Lower-cased words without punctuation, with the speech marks as words of their own."""
    return [word if word in ("<S>", "<E>") else word.lower() for word in WORD.findall(text)]


def _words_with_slots(text: str) -> list[str]:
    insert_slots(text)  # refuses a text that has slot tokens already
    words = []
    for word in split_words(text):
        words += [word, SLOT_TOKEN] if word == SPEECH_START else [word]
    return words


def _unknown(name: str) -> InputError:
    return InputError(
        f"unknown text encoder '{name}'; known encoders: {HashedWordEncoder.type_name}, {Umt5Encoder.type_name}"
    )


@lru_cache(maxsize=65_536)
def _word_vector(word: str, width: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(zlib.crc32(word.encode()))).standard_normal(width, dtype=np.float32)


def _positions(rows: int, size: int) -> Tensor:
    """Sine and cosine pairs, interleaved, frequencies ``10000 ** (-2 j / size)``: [N, size]."""
    frequency_J = torch.exp(-math.log(POSITION_BASE) * torch.arange(0, size, 2) / size)
    angle_NJ = torch.arange(rows)[:, None] * frequency_J
    return POSITION_AMPLITUDE * torch.stack([angle_NJ.sin(), angle_NJ.cos()], dim=-1).flatten(1)
