"""Settings of the text encoder and the timbre encoder; the defaults are those of the ``demo`` recipe."""

from dataclasses import dataclass

from nava.config.checks import require_at_least, require_one_of

TEXT_ENCODERS = ("hashed_words", "umt5")
TEXT_DTYPES = ("bfloat16", "float32")
TIMBRE_ENCODERS = ("none", "mel_statistics", "redimnet")


@dataclass
class ConditioningConfig:
    """``hashed_words``: every word becomes a fixed random vector, so that nothing has to be downloaded.

    ``umt5`` is the released model's encoder, of 512 rows of width 4096; its weights are looked for at ``text_weights``.
    A location is a file, a folder, a mirror of the hub or a bucket address.
    """

    text_encoder: str = "hashed_words"
    text_rows: int = 32
    text_width: int = 64
    text_weights: str = ""
    # Where the tokenizer is; beside the weights if empty.
    text_tokenizer: str = ""
    text_dtype: str = "bfloat16"
    # How a reference voice becomes a vector: "none", "mel_statistics" (no weights) or "redimnet" (the release's).
    timbre_encoder: str = "none"
    timbre_weights: str = ""
    # Where files of a bucket are kept.
    weights_cache: str = ""

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_one_of(self, "conditioning", "text_encoder", TEXT_ENCODERS)
        require_one_of(self, "conditioning", "text_dtype", TEXT_DTYPES)
        require_one_of(self, "conditioning", "timbre_encoder", TIMBRE_ENCODERS)
        require_at_least(self, "conditioning", ("text_rows",), 1)
        require_at_least(self, "conditioning", ("text_width",), 4)
