"""What is asked of a model behind an endpoint, whoever serves it: instructions, text, media, the form of the answer."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from nava.runtime.hashing import sha256_bytes, sha256_json


class MediaKind(StrEnum):
    """What a media part holds."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True)
class Media:
    """An image, video or sound as encoded bytes, e.g. of `image/jpeg`, `video/mp4`, `audio/wav`."""

    kind: MediaKind
    mime_type: str
    data: bytes = field(repr=False)

    @cached_property
    def sha256(self) -> str:
        """Hash of the bytes."""
        return sha256_bytes(self.data)

    @property
    def base64(self) -> str:
        """The bytes in base64."""
        return base64.b64encode(self.data).decode("ascii")

    @property
    def data_uri(self) -> str:
        """The bytes as an RFC 2397 data URI."""
        return f"data:{self.mime_type};base64,{self.base64}"


@dataclass(frozen=True)
class AnswerForm:
    """The JSON schema an answer must follow, and the version of the words that ask for it.

    Attributes:
        name: letters, digits and underscores.
        version: raise it when instructions or schema change: cached answers of other versions are not used.
        schema: a JSON schema with `additionalProperties: false` and every property required.
    """

    name: str
    version: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """One question to a model.

    Attributes:
        instructions: the system message.
        parts: text and media in the order in which the model shall see them.
        form: of the answer.
        max_output_tokens: where the answer is cut.
    """

    instructions: str
    parts: tuple[str | Media, ...]
    form: AnswerForm
    max_output_tokens: int = 2048

    def key(self, provider: str, model: str) -> str:
        """Content hash of everything that decides the answer; media count by their hash, the server does not count."""
        parts = [
            part if isinstance(part, str) else {"mime": part.mime_type, "sha256": part.sha256} for part in self.parts
        ]
        form = {"name": self.form.name, "version": self.form.version, "schema": self.form.schema}
        return sha256_json(
            {
                "provider": provider,
                "model": model,
                "instructions": self.instructions,
                "parts": parts,
                "form": form,
                "max_output_tokens": self.max_output_tokens,
            }
        )

    @property
    def media_bytes(self) -> int:
        """Size of all media before they are encoded in base64."""
        return sum(len(part.data) for part in self.parts if isinstance(part, Media))

    @property
    def text_characters(self) -> int:
        """Length of all text."""
        return len(self.instructions) + sum(len(part) for part in self.parts if isinstance(part, str))


@dataclass(frozen=True)
class Usage:
    """Tokens that a call was billed for; answers that think are billed for their thoughts as output."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Reply:
    """What a server answered: the text, whether it is whole, and what it cost.

    Attributes:
        text: of the answer, JSON if the model kept to the form.
        finished: False where the server says that it cut the answer at its length.
        usage: tokens billed.
        refusal: why the model will not answer; empty where it did.
    """

    text: str
    finished: bool
    usage: Usage
    refusal: str = ""
