"""Features by content: of a file's bytes and of the backend with its version and weights. Any run may share a cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nava.evaluation.extraction.extractor import identity
from nava.evaluation.extraction.features import UNMEASURABLE, Features, UnmeasurableError, read_features
from nava.evaluation.extraction.unit import Extracted, ExtractionUnit, Settings, Wanted, extract
from nava.runtime.hashing import sha256_bytes, sha256_file, sha256_json
from nava.runtime.storage import write_text


@dataclass(frozen=True)
class Wish:
    """Features that a score needs: of a file, by a backend."""

    media: Path
    backend: str


class FeatureCache:
    """A folder of features.

    Args:
        folder: made when first written to.
        backends: settings of backends by name.
    """

    def __init__(self, folder: Path, backends: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._folder = folder
        self._settings = {name: tuple(sorted(values.items())) for name, values in (backends or {}).items()}
        self._sha256: dict[Path, str] = {}

    def sha256(self, media: Path) -> str:
        """Hash of a file's bytes; of one that is missing or empty there is none: UnmeasurableError."""
        if media not in self._sha256:
            if not media.is_file():
                raise UnmeasurableError(f"the file {media.name} is missing")
            if not media.stat().st_size:
                raise UnmeasurableError(f"the file {media.name} is empty")
            self._sha256[media] = sha256_file(media)
        return self._sha256[media]

    def text_file(self, text: str) -> Path:
        """A file with a text, so that a backend finds its features as it finds those of media."""
        path = self._folder / "texts" / f"{sha256_bytes(text.encode())}.txt"
        if not path.is_file():
            write_text(path, text)
        return path

    @property
    def configured(self) -> set[str]:
        """Backends with settings."""
        return set(self._settings)

    def settings(self, backend: str) -> Settings:
        """Those of a backend."""
        return self._settings.get(backend, ())

    def identity(self, backend: str) -> str:
        """Hash of what decides a backend's features, besides the file. InputError if its weights are not there."""
        return identity(backend, self.settings(backend))

    def path(self, wish: Wish) -> Path:
        """Where the features are, or will be."""
        key = sha256_json([self.sha256(wish.media), self.identity(wish.backend)])
        return self._folder / wish.backend / key[:2] / f"{key}.safetensors"

    def find(self, wish: Wish) -> Features | None:
        """The features, if they are there and whole; damaged ones are removed.

        Raises:
            UnmeasurableError: it is known that there are none.
        """
        from safetensors import SafetensorError

        path = self.path(wish)
        if not path.is_file():
            return None
        try:
            features = read_features(path)
        except (SafetensorError, OSError, ValueError):
            path.unlink(missing_ok=True)
            return None
        if reason := features.values.get(UNMEASURABLE):
            raise UnmeasurableError(str(reason))
        return features

    def is_known(self, wish: Wish) -> bool:
        """Whether nothing has to be extracted for it: the features are there, or it is known that there are none."""
        try:
            return self.find(wish) is not None
        except UnmeasurableError:
            return True

    def units(self, wishes: Iterable[Wish]) -> list[ExtractionUnit]:
        """What has to be extracted, file by file in the order of their hashes."""
        by_file: dict[str, tuple[Path, dict[str, Path]]] = {}
        for wish in dict.fromkeys(wishes):
            # What is known not to be there need not be looked for.
            with suppress(UnmeasurableError):
                if self.find(wish) is None:
                    _, targets = by_file.setdefault(self.sha256(wish.media), (wish.media, {}))
                    targets[wish.backend] = self.path(wish)
        return [
            ExtractionUnit(media, tuple(Wanted(name, targets[name], self.settings(name)) for name in sorted(targets)))
            for _, (media, targets) in sorted(by_file.items())
        ]


def extract_all(
    units: list[ExtractionUnit], workers: int, timeout_s: float, attempts: int
) -> Iterator[tuple[ExtractionUnit, list[Extracted]]]:
    """Extract in worker processes; a file that ends its worker costs its own features alone."""
    from nava.runtime.worker_pool import run_units

    for outcome in run_units(extract, units, workers, timeout_s, attempts):
        if outcome.result is not None:
            yield outcome.unit, outcome.result
        else:
            reason = f"extraction {outcome.failure.replace('_', ' ')}: {outcome.detail}"
            yield outcome.unit, [Extracted(wanted.backend, 0.0, reason) for wanted in outcome.unit.wanted]
