"""Settings of the text encoder; the defaults are those of the ``demo`` recipe."""

from dataclasses import dataclass


@dataclass
class ConditioningConfig:
    """``hashed_words``: every word becomes a fixed random vector, so that nothing has to be downloaded."""

    text_encoder: str = "hashed_words"
    text_rows: int = 32
    text_width: int = 64
