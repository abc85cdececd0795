"""Draws sources from several collections so that each has its stated share of the whole.

Shares are of the number of sources. Their duration would be nearer to what training sees, and cannot be known before
every file is opened, read from far away, and found to be decodable at all; a count needs only the listing, so that what
is not drawn is never read. The clip manifest has the durations of what became of them.

The whole is as large as the shares allow: a collection that is short of its share is taken entirely, and the others are
drawn in proportion. The draw is by a hash of seed, collection and path: the first of a fixed order. When a collection
grows, those drawn before stay drawn, except that new files that come earlier in the order take the last places.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nava.config.source import CollectionConfig
from nava.data.sources.candidates import Candidate
from nava.runtime.errors import InputError

_HASH_VALUES = float(1 << 64)


@dataclass(frozen=True)
class MixturePart:
    """What a collection was to have and has.

    Attributes:
        name: of the collection.
        wanted_share: from the configuration.
        realised_share: of all sources, after files with the same bytes were counted once.
        available: usable media files found.
        sources: of them in the manifest.
    """

    name: str
    wanted_share: float
    realised_share: float
    available: int
    sources: int


def draw(
    parts: Sequence[CollectionConfig], found: Mapping[str, Sequence[Candidate]], seed: int
) -> dict[str, tuple[list[Candidate], list[Candidate]]]:
    """Draw from each collection, by name: what was drawn and what was left, both in the order given.

    Raises:
        InputError: a collection has nothing to draw from.
    """
    empty = [part.name for part in parts if not found[part.name]]
    if empty:
        raise InputError(f"collection '{empty[0]}' of the mixture has no usable media, so it cannot have its share")
    total = min(len(found[part.name]) / part.share for part in parts)
    result = {}
    for part in parts:
        candidates = found[part.name]
        # One at least; and never more than there are, whatever the rounding of the division above.
        wanted = min(len(candidates), max(1, round(total * part.share)))
        order = sorted(candidates, key=lambda candidate: _rank(candidate, part.name, seed))
        drawn = {candidate.path for candidate in order[:wanted]}
        result[part.name] = (
            [candidate for candidate in candidates if candidate.path in drawn],
            [candidate for candidate in candidates if candidate.path not in drawn],
        )
    return result


def _rank(candidate: Candidate, collection: str, seed: int) -> tuple[float, str]:
    """Place in the order of drawing: exponential variates with the weight as rate (Efraimidis and Spirakis 2006)."""
    digest = hashlib.sha256(f"{seed}\0{collection}\0{candidate.path}".encode()).digest()
    uniform = (int.from_bytes(digest[:8], "big") + 0.5) / _HASH_VALUES
    return -math.log(uniform) / candidate.weight, candidate.path


def realised(
    parts: Sequence[CollectionConfig], available: Mapping[str, int], sources: Mapping[str, int]
) -> list[MixturePart]:
    """The mixture as it came out."""
    total = sum(sources.values())
    return [
        MixturePart(
            part.name,
            part.share,
            sources.get(part.name, 0) / total if total else 0.0,
            available[part.name],
            sources.get(part.name, 0),
        )
        for part in parts
    ]
