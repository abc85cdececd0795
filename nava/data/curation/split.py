"""The split into train and held-out: by source, so that no shot of a held-out file is trained on, and by hash, so that
it never moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from nava.artifacts.clip_manifest import Split


@dataclass
class SplitStage:
    """Assigns sources by their content hash; a growing corpus keeps the assignment of the sources it had."""

    heldout_share: float
    name: ClassVar[str] = "split"
    version: ClassVar[str] = "1"

    def process(self, groups: Mapping[str, str]) -> dict[str, Split]:
        """Split of each source.

        Args:
            groups: source's sha256 to its group (its modality); each group of two or more sources gets both splits.
        """
        result: dict[str, Split] = {}
        for group in sorted(set(groups.values())):
            members = sorted((sha256 for sha256, name in groups.items() if name == group), key=_place)
            count = sum(_place(sha256) < self.heldout_share for sha256 in members)
            if len(members) >= 2:
                count = min(max(count, 1), len(members) - 1)
            else:
                count = 0
            result.update(
                {sha256: Split.HELDOUT if index < count else Split.TRAIN for index, sha256 in enumerate(members)}
            )
        return result


def _place(sha256: str) -> float:
    """A number in [0, 1) from a content hash; other bits than those that name files."""
    return int(sha256[16:32], 16) / 16**16
