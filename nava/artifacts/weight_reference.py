"""References to weight files: what a folder keeps of weights that it must not or need not contain."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from nava.artifacts.weight_files import WeightFile, WeightsMissing, missing, places
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file


@dataclass(frozen=True)
class WeightReference:
    """One file of weights, wherever it lies.

    Attributes:
        file: its name as published.
        sha256: of its bytes.
        size: in bytes.
        repository: where it is published, owner and name.
        licence: SPDX id, or the name of the licence.
        obtain: further words on how to get it; empty where copying it from the repository is all.
    """

    file: str
    sha256: str
    size: int
    repository: str
    licence: str
    obtain: str = ""

    @classmethod
    def of(cls, weight: WeightFile, path: Path) -> Self:
        """The reference to a file on this machine, which is read once for its hash."""
        return cls(
            weight.file, sha256_file(path), path.stat().st_size, weight.repository, weight.licence, weight.obtain
        )

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what ``to_json`` gave.

        Raises:
            ValueError: other fields than a reference has.
        """
        if not isinstance(value, dict) or set(value) != {field.name for field in fields(cls)}:
            raise ValueError("a reference to weights has the fields " + ", ".join(field.name for field in fields(cls)))
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        """The reference as JSON values."""
        return asdict(self)

    def resolve(self, location: str | Path, cache: Path | None = None) -> Path:
        """The very same file on this machine.

        Args:
            location: file, folder, hub mirror or bucket address, as ``locate`` takes them.
            cache: where files of a bucket are kept.

        Raises:
            InputError: it is not there, or only others of its name are; the message says what the likeliest of them is.
        """
        gigabytes = f"{self.size / 1e9:.1f} GB" if self.size >= 1e9 else f"{self.size / 1e6:.1f} MB"
        weight = WeightFile(self.file, gigabytes, self.licence, self.repository, self.obtain)
        refusals: list[str] = []
        # A mirror or cache may hold several versions. Sizes are compared first: nothing is fetched or read for that.
        for place in places(weight, location, cache):
            if place.size not in (None, self.size):
                refusals.append(
                    f"{place.name} has {place.size} bytes, but {self.file} has {self.size}: "
                    "copy it again, it is not whole or another version"
                )
                continue
            path = place.bring()
            if (digest := sha256_file(path)) == self.sha256:
                return path
            refusals.append(
                f"{path} has sha256 {digest}, but {self.file} with sha256 {self.sha256} is wanted: "
                "it is damaged or another version"
            )
        if refusals:
            raise InputError(refusals[0])
        raise WeightsMissing(missing(weight, str(location)))
