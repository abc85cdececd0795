"""umT5 as the released model reads text: cleaned, at most 512 tokens, rows after the end zero.

What the release does is kept, because the model was trained on it: the text is repaired with ftfy, HTML entities are
resolved twice, white space is collapsed, ``</s>`` ends the tokens. A text is encoded alone and at its own length, so
that its rows do not depend on what else is in the batch; the release pads the tokens to 512 and masks the padding,
which gives the same rows. The zero rows are attended: the model does that.
"""

import html
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import torch
from torch import Tensor

from nava.artifacts.torch_checkpoint import read_state_dict
from nava.artifacts.weight_files import WEIGHT_FILES, locate
from nava.artifacts.weight_reference import WeightReference
from nava.conditioning.description import CONFIG_FILE
from nava.conditioning.encoded_text import SLOT_TOKEN, EncodedText, insert_slots, kept_slots
from nava.conditioning.umt5_keys import Umt5Sizes, read_sizes, rename
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import write_json

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

END_TOKEN = "</s>"  # noqa: S105
ROWS = 512
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
MAX_DISTANCE = 128
NORM_EPS = 1e-6


@dataclass(frozen=True)
class Umt5Files:
    """References to the two files that an encoder is made of."""

    weights: WeightReference
    tokenizer: WeightReference


class _ReadPrompt(NamedTuple):
    """A prompt with slot tokens: its text, its tokens, and the rows of the slots."""

    cleaned: str
    tokens: "Encoding"
    slots: list[int]


class Umt5Encoder:
    """The encoder half of umT5 through transformers.

    Args:
        model: ``transformers.UMT5EncoderModel``, in eval mode.
        tokenizer: of the ``tokenizers`` library.
        files: what both were read from.
        rows: how many rows a prompt has, ``</s>`` included.
    """

    type_name = "umt5"

    def __init__(self, model: Any, tokenizer: "Tokenizer", files: Umt5Files, rows: int = ROWS) -> None:
        self.model, self.tokenizer, self.files, self.rows = model, tokenizer, files, rows
        self.width = int(model.config.d_model)
        self._end = _token_id(tokenizer, END_TOKEN)
        self._slot = _token_id(tokenizer, SLOT_TOKEN)
        if rows < 1:
            raise InputError(f"the text encoder needs at least 1 row, got {rows}")
        if tokenizer.get_vocab_size() > model.config.vocab_size:
            raise InputError(
                f"the tokenizer knows {tokenizer.get_vocab_size()} tokens, but the weights only "
                f"{model.config.vocab_size}: they do not belong together"
            )

    @classmethod
    def open(
        cls,
        weights: str | Path,
        tokenizer: str | Path | None = None,
        *,
        rows: int = ROWS,
        dtype: str = "bfloat16",
        device: str | torch.device = "cpu",
        cache: Path | None = None,
    ) -> Self:
        """Load the published files.

        Args:
            weights: where the original checkpoint is: a file, folder, hub mirror or bucket address.
            tokenizer: where its ``tokenizer.json`` is; beside the weights if not given.
            rows: how many rows a prompt has.
            dtype: ``bfloat16`` as the release computes, or ``float32``.
            device: where the weights go, one tensor at a time.
            cache: where files of a bucket are kept.

        Raises:
            InputError: a file is missing, is damaged or is another one; an unknown dtype.
        """
        paths = {
            "umt5": locate(WEIGHT_FILES["umt5"], weights, cache),
            "umt5_tokenizer": locate(WEIGHT_FILES["umt5_tokenizer"], tokenizer or _beside(weights), cache),
        }
        references = {name: WeightReference.of(WEIGHT_FILES[name], path) for name, path in paths.items()}
        files = Umt5Files(references["umt5"], references["umt5_tokenizer"])
        model = load_model(paths["umt5"], dtype, device)
        return cls(model, load_tokenizer(paths["umt5_tokenizer"]), files, rows)

    @classmethod
    def load(
        cls,
        config: dict[str, Any],
        weights: str | Path,
        device: str | torch.device = "cpu",
        cache: Path | None = None,
    ) -> Self:
        """Load what ``save`` described.

        Args:
            config: the description.
            weights: where both files are.
            device: where the weights go.
            cache: where files of a bucket are kept.

        Raises:
            InputError: a file is missing or is not the one described.
            ValueError: not a description.
            KeyError: not a description.
            TypeError: not a description.
        """
        files = Umt5Files(WeightReference.from_json(config["weights"]), WeightReference.from_json(config["tokenizer"]))
        rows, dtype = int(config["rows"]), str(config["dtype"])
        tokenizer = load_tokenizer(files.tokenizer.resolve(_beside(weights), cache))
        return cls(load_model(files.weights.resolve(weights, cache), dtype, device), tokenizer, files, rows)

    @cached_property
    def identity(self) -> str:
        """sha256 of the settings and of the hashes of both files."""
        settings = {"type": self.type_name, "rows": self.rows, "width": self.width, "dtype": self._dtype}
        return sha256_json(settings | {"weights": self.files.weights.sha256, "tokenizer": self.files.tokenizer.sha256})

    def to(self, device: str | torch.device) -> Self:
        """Move the weights; so that they make room once the prompts are encoded."""
        self.model.to(device)
        return self

    def encode(self, texts: list[str]) -> Tensor:
        """Float32 rows [B, N, D] on the weights' device, without slots; an empty text gives zero rows."""
        return self._rows([self._kept(self._tokens(clean(text))) for text in texts])

    def encode_prompts(self, texts: list[str]) -> EncodedText:
        """The same with a slot token after every ``<S>``.

        Raises:
            InputError: a speech span begins after the last row, or a prompt has slot tokens already.
        """
        kept, slots, dropped = [], [], []
        for text in texts:
            read = self._read(text)
            slots.append(read.slots)
            kept.append(self._kept(read.tokens))
            dropped.append(self._dropped(read.cleaned, read.tokens))
        return EncodedText(self._rows(kept), slots, dropped)

    def dropped_words(self, text: str) -> int:
        """How many words, parted by white space, are beyond the last row, wholly or in part."""
        cleaned = clean(text)
        return self._dropped(cleaned, self._tokens(cleaned))

    def dropped_prompt_words(self, text: str) -> int:
        """The same of a prompt with its slot tokens; the text is split into tokens, but not encoded.

        Raises:
            InputError: what ``encode_prompts`` would raise.
        """
        read = self._read(text)
        return self._dropped(read.cleaned, read.tokens)

    def save(self, directory: Path) -> None:
        """Write ``config.json``: the settings and references to both files, but not the files."""
        description = {
            "type": self.type_name,
            "format_version": 1,
            "rows": self.rows,
            "width": self.width,
            "dtype": self._dtype,
            "weights": self.files.weights.to_json(),
            "tokenizer": self.files.tokenizer.to_json(),
            "identity": self.identity,
        }
        write_json(directory / CONFIG_FILE, description)

    @property
    def _dtype(self) -> str:
        return str(self.model.dtype).removeprefix("torch.")

    def _read(self, text: str) -> "_ReadPrompt":
        cleaned = clean(insert_slots(text))
        tokens = self._tokens(cleaned)
        return _ReadPrompt(cleaned, tokens, kept_slots(text, tokens.ids, self._slot, self.rows - 1, "token"))

    def _tokens(self, cleaned: str) -> "Encoding":
        return self.tokenizer.encode(cleaned, add_special_tokens=False)

    def _kept(self, tokens: "Encoding") -> list[int]:
        return [*tokens.ids[: self.rows - 1], self._end] if tokens.ids else []

    def _dropped(self, cleaned: str, tokens: "Encoding") -> int:
        room = self.rows - 1
        return len(cleaned[tokens.offsets[room][0] :].split()) if len(tokens.ids) > room else 0

    @torch.no_grad()
    def _rows(self, ids: list[list[int]]) -> Tensor:
        device = self.model.device
        text_BND = torch.zeros(len(ids), self.rows, self.width, device=device)
        for sample, tokens in enumerate(ids):
            if tokens:
                encoded = self.model(input_ids=torch.tensor([tokens], device=device)).last_hidden_state
                text_BND[sample, : len(tokens)] = encoded[0]
        return text_BND


def clean(text: str) -> str:
    """The text as the release hands it to the tokenizer.

    Raises:
        InputError: ftfy is not installed.
    """
    try:
        import ftfy
    except ImportError as error:
        raise InputError("umT5 needs the package ftfy to clean text as the release does: pip install ftfy") from error
    return re.sub(r"\s+", " ", html.unescape(html.unescape(ftfy.fix_text(text)))).strip()


def load_model(path: Path, dtype: str = "bfloat16", device: str | torch.device = "cpu") -> Any:
    """A ``transformers.UMT5EncoderModel`` with the weights of the original checkpoint.

    The model is made without memory, then takes over the file's tensors one by one: mapped from the file where device
    and dtype are the file's own.

    Raises:
        InputError: the file is not the encoder's checkpoint, is damaged, or has a tensor too many, too few or of the
            wrong shape; an unknown dtype.
    """
    if dtype not in DTYPES:
        raise InputError(f"the text encoder's dtype is '{dtype}'; it must be {' or '.join(DTYPES)}")
    state = read_state_dict(path)
    model = _model_without_memory(read_sizes(state, path))
    renamed = {
        name: tensor.to(device=device, dtype=DTYPES[dtype]) for name, tensor in rename(state, model, path).items()
    }
    # One table under two names: transformers keeps a reference to it in the encoder's stack.
    renamed["encoder.embed_tokens.weight"] = renamed["shared.weight"]
    model.load_state_dict(renamed, strict=True, assign=True)
    model.set_input_embeddings(model.shared)
    return model.eval().requires_grad_(False)


def load_tokenizer(path: Path) -> "Tokenizer":
    """The tokenizer in a ``tokenizer.json``.

    Raises:
        InputError: the file is something else.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more specific
        raise InputError(f"{path} is not a tokenizer ({error}): copy it again") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _model_without_memory(sizes: Umt5Sizes) -> Any:
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(
        vocab_size=sizes.vocabulary,
        d_model=sizes.width,
        d_kv=sizes.head_width,
        d_ff=sizes.feed_forward,
        num_layers=sizes.layers,
        num_heads=sizes.heads,
        relative_attention_num_buckets=sizes.buckets,
        relative_attention_max_distance=MAX_DISTANCE,
        layer_norm_epsilon=NORM_EPS,
        feed_forward_proj="gated-gelu",
    )
    # As the release attends: products and bias rounded to the weights' dtype, then the softmax.
    config._attn_implementation = "eager"
    with torch.device("meta"):
        return UMT5EncoderModel(config)


def _beside(weights: str | Path) -> str | Path:
    """The folder of a checkpoint, where the weights are given as a file."""
    if "://" in str(weights):
        address = str(weights)
        return address.rsplit("/", 1)[0] if address.endswith(".pth") else address
    return Path(weights).expanduser().parent if Path(weights).expanduser().is_file() else weights


def _token_id(tokenizer: "Tokenizer", token: str) -> int:
    number = tokenizer.token_to_id(token)
    if number is None:
        raise InputError(f"the tokenizer does not know the token {token}: it is not umT5's")
    return int(number)
