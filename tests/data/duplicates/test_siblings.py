"""Clips of a copied source that were cut a few frames apart."""

import numpy as np
import pytest

from nava.data.duplicates.siblings import PlacedClip, sibling_pairs
from nava.data.duplicates.signature import FRAMES, HASH_BITS, Signature


def signature(direction, flipped=0.0, seed=0, backend="dct3d"):
    """A unit vector at an angle, and hashes of which a share is flipped."""
    embedding = np.zeros(8, np.float32)
    embedding[0], embedding[1] = np.cos(direction), np.sin(direction)
    hashes = np.random.default_rng(seed).random((FRAMES, HASH_BITS)) < 0.5
    changed = hashes.ravel()
    changed[: int(flipped * changed.size)] ^= True
    return Signature(backend, embedding, changed.reshape(hashes.shape), np.zeros((1, 12), np.float32))


CONFIRMED = [(PlacedClip("copy0", "copy", 1.0), PlacedClip("film0", "film", 0.0))]


def found(one, two, t0_s=(5.09, 4.0), confirmed=CONFIRMED):
    kept = [PlacedClip("copy1", "copy", t0_s[0]), PlacedClip("film1", "film", t0_s[1])]
    return list(sibling_pairs(confirmed, kept, {"copy1": one, "film1": two}, 0.2))


def test_a_clip_at_the_distance_of_a_confirmed_one_is_found_although_it_begins_a_little_later():
    assert found(signature(0.0), signature(0.4, 0.1)) == [("copy1", "film1", pytest.approx(np.cos(0.4), abs=1e-6))]


@pytest.mark.parametrize(
    ("one", "two", "t0_s", "confirmed"),
    [
        (signature(0.0), signature(0.0, 0.3), (5.0, 4.0), CONFIRMED),  # another film in the same layout
        (signature(0.0), signature(0.7), (5.0, 4.0), CONFIRMED),  # another picture
        (signature(0.0), signature(0.0), (5.3, 4.0), CONFIRMED),  # another moment
        (signature(0.0), signature(0.0), (5.0, 4.0), []),  # sources that share nothing
        (signature(0.0), signature(0.0, backend="other"), (5.0, 4.0), CONFIRMED),
    ],
)
def test_what_differs_is_left_alone(one, two, t0_s, confirmed):
    assert found(one, two, t0_s, confirmed) == []


def test_copies_within_one_source_say_nothing_about_others():
    within = [(PlacedClip("a", "film", 1.0), PlacedClip("b", "film", 0.0))]
    assert found(signature(0.0), signature(0.0), (5.0, 4.0), within) == []
