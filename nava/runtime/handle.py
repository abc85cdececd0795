"""What passes between steps: a small JSON with URI and content hash, never the bytes."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_path

SCHEMA_VERSION = 1


def _without_null(value: Any) -> Any:
    """A JSON value without the keys and items that are None."""
    if isinstance(value, dict):
        return {name: _without_null(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_null(item) for item in value if item is not None]
    return value


@dataclass(frozen=True)
class Handle:
    """A reference to an artifact.

    Attributes:
        kind: the artifact's kind, e.g. `clips`, `checkpoint`.
        uri: absolute local path or fsspec URI.
        sha256: hash of the content (never of its place or time): the identity that later steps depend on.
        meta: small JSON facts for people and pages; not part of the identity.
    """

    kind: str
    uri: str
    sha256: str
    meta: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of_path(cls, kind: str, path: Path, **meta: Any) -> "Handle":
        """Hash a file or a folder and refer to it."""
        return cls(kind, str(path.resolve()), sha256_path(path), meta)

    @property
    def path(self) -> Path:
        """The local path; InputError if the artifact lies elsewhere."""
        parts = urlparse(self.uri)
        if parts.scheme not in ("", "file"):
            raise InputError(f"{self.kind}: {self.uri} is not on this machine; fetch it first")
        return Path(unquote(parts.path)) if parts.scheme == "file" else Path(self.uri)

    def require(self, kind: str) -> "Handle":
        """This handle, or InputError if it is of another kind."""
        if self.kind != kind:
            raise InputError(f"expected a handle of kind '{kind}', got '{self.kind}' ({self.uri})")
        return self

    def to_dict(self) -> dict[str, Any]:
        """The handle as JSON. Facts without a value are left out: KFP carries no null."""
        return {**asdict(self), "meta": _without_null(self.meta)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Handle":
        """Read a handle; InputError on missing or unknown fields."""
        known = {"kind", "uri", "sha256", "meta", "schema_version"}
        if missing := {"kind", "uri", "sha256"} - set(value):
            raise InputError(f"handle without {', '.join(sorted(missing))}: {value}")
        if unknown := set(value) - known:
            raise InputError(f"handle with unknown field {', '.join(sorted(unknown))}")
        # KFP carries every number as a double.
        return cls(**{**value, "schema_version": int(value.get("schema_version", SCHEMA_VERSION))})
