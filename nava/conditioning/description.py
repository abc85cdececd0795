"""What an encoder leaves in a folder: a JSON description with its type and its identity."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from nava.runtime.errors import InputError
from nava.runtime.storage import read_json

CONFIG_FILE = "config.json"


class Identified(Protocol):
    """Something that knows the sha256 of what it is."""

    @property
    def identity(self) -> str:
        """sha256 of what the encoder is: equal identities encode equally."""
        ...


E = TypeVar("E", bound=Identified)


def load_described(directory: Path, kind: str, load: Callable[[dict[str, Any]], E]) -> E:
    """The encoder that ``load`` makes of the description in ``directory``, once its identity is found to match.

    Args:
        directory: holds ``config.json``.
        kind: what it is called in messages, e.g. "text encoder".
        load: description to encoder.

    Raises:
        InputError: no encoder there, of an unknown type, or edited since it was written.
    """
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise InputError(f"no {kind} in {directory}: {CONFIG_FILE} is missing")
    try:
        config = read_json(path)
        identity = config["identity"]
        encoder = load(config)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a {kind} description: {error}") from error
    if encoder.identity != identity:
        raise InputError(f"{path} was edited, or written by another release: its identity does not match")
    return encoder
