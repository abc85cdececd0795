"""Rotary tables and their application, and the sinusoidal time features."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor

from nava.evaluation.parity.comparison import Pair
from nava.evaluation.parity.golden_set import Case, GoldenSet
from nava.model import embedding, rope

INPUTS = ("apply3d.in", "apply1d.in", "sinusoid.t")

# Tables of other sizes than the set's have a prefix, and `meta` says which sizes: "head_dim 128, audio scaling 0.24".
_TABLE = re.compile(r"(?:(?P<prefix>\w+)\.)?(?P<kind>vid|aud)\.(?P<shape>\d+(?:x\d+x\d+)?)\.(?P<part>cos|sin)")
_SIZES = re.compile(r"head_dim (\d+), audio scaling ([\d.]+)")


def recognise(case: Case) -> bool:
    """Tables of rotations by grid."""
    return any(_TABLE.fullmatch(name) for name in case.tensors)


def compute(case: Case, goldens: GoldenSet) -> Iterator[Pair]:
    """Tables of every grid and length of the file, the plain frequencies, rotated heads, time features."""
    config = goldens.model(case).config
    own = (config.head_dim, config.audio_rope_scale)
    for name, expected in case.tensors.items():
        if match := _TABLE.fullmatch(name):
            rotation = _table(match["kind"], match["shape"], *_sizes(case, match["prefix"], own))
            yield Pair(name, rotation.real if match["part"] == "cos" else rotation.imag, expected)
        elif name.startswith("freqs"):
            table = _frequencies(len(expected), *own, audio=name.startswith("freqs_audio"))
            yield Pair(name, table.real if name.endswith(".real") else table.imag, expected)
        elif name in ("apply3d.out", "apply1d.out"):
            kind = "vid" if name == "apply3d.out" else "aud"
            yield Pair(name, _applied(case, kind, *own), expected)
        elif name in ("sinusoid.256", "sinusoid.cfg"):
            dim = config.freq_dim if name == "sinusoid.cfg" else 256
            yield Pair(name, embedding.sinusoid(case.tensors["sinusoid.t"], dim), expected)


def _sizes(case: Case, prefix: str | None, own: tuple[int, float]) -> tuple[int, float]:
    if prefix is None:
        return own
    stated = _SIZES.fullmatch(str(case.meta.get(prefix, "")))
    if stated is None:
        raise ValueError(f"meta does not say the sizes of {prefix!r}, as in 'head_dim 128, audio scaling 0.24'")
    return int(stated[1]), float(stated[2])


def _table(kind: str, shape: str, head_dim: int, audio_scale: float) -> Tensor:
    if kind == "aud":
        return rope.audio_rotations(head_dim, int(shape), audio_scale)
    frames, height, width = map(int, shape.split("x"))
    return rope.video_rotations(head_dim, (frames, height, width))


def _frequencies(positions: int, head_dim: int, audio_scale: float, *, audio: bool) -> Tensor:
    """Rotations of the first positions of each axis, as the released code tabulates them: [positions, pairs]."""
    pairs_t, pairs_h, _ = rope.axis_pairs(head_dim)
    if audio:
        return rope.audio_rotations(head_dim, positions, audio_scale)[:, :pairs_t]
    along = [(positions, 1, 1), (1, positions, 1), (1, 1, positions)]
    by_t, by_h, by_w = (rope.video_rotations(head_dim, grid) for grid in along)
    split = pairs_t + pairs_h
    return torch.cat([by_t[:, :pairs_t], by_h[:, pairs_t:split], by_w[:, split:]], dim=1)


def _applied(case: Case, kind: str, head_dim: int, audio_scale: float) -> Tensor:
    """Heads of a padded batch rotated: sample i by the i-th table that was written; padding stays as it is."""
    tables = [m for name in case.tensors if (m := _TABLE.fullmatch(name)) and not m["prefix"] and m["part"] == "cos"]
    shapes = [match["shape"] for match in tables if match["kind"] == kind]
    given = case.tensors["apply3d.in" if kind == "vid" else "apply1d.in"]
    rotated = given.clone()
    for sample, shape in zip(range(len(given)), shapes, strict=True):
        rotation = _table(kind, shape, head_dim, audio_scale)
        rotated[sample, : len(rotation)] = rope.apply_rope(given[sample : sample + 1, : len(rotation)], rotation)[0]
    return rotated
