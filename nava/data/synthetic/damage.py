"""Files that are broken: bytes that are no media, and films some of whose packets were hit."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

UNDECODABLE = ("empty", "zeros", "noise", "text", "web page", "no index", "first bytes", "broken off")
DAMAGE_KINDS = ("zeroed", "flipped")
DAMAGED_SHARE = 0.12  # of the video packets; curation refuses far less
_HEADER_BYTES = 8  # of a packet, left as they are: its length and the kind of its first unit
_FLIPPED_BYTES = 8


def make_undecodable(variant: int, films: Callable[[bool], bytes], rng: np.random.Generator) -> tuple[bytes, str]:
    """Bytes that no decoder can make anything of, or not to the end, and their form.

    Args:
        films: gives the bytes of a whole film, with the index in front or at the end.
    """
    round_, form = variant // len(UNDECODABLE), UNDECODABLE[variant % len(UNDECODABLE)]
    note = f"Take {rng.integers(1 << 30)}: this is a note, not a film.\n".encode()
    page = f"<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1><p>{rng.integers(1 << 30)}</p></body></html>\n".encode()
    make: dict[str, Callable[[], bytes]] = {
        "empty": lambda: b"\n" * round_,  # the second one is not the same file again
        "zeros": lambda: bytes(4096 * (round_ + 1)),
        "noise": lambda: rng.bytes(20_000),
        "text": lambda: note * 40,
        "web page": lambda: page,
        "no index": lambda: (data := films(False))[: data.rindex(b"moov") - 4],
        "first bytes": lambda: films(False)[: 40 + round_],
        "broken off": lambda: (data := films(True))[: len(data) * 6 // 10],
    }
    return make[form](), form


def damage(path: Path, kind: str, slightly: bool, rng: np.random.Generator) -> str:
    """Hit packets of a film, in place: many, or a single one that no other picture is built on.

    Args:
        kind: `zeroed` (as when sectors were lost; many in a row), `flipped` (bytes exchanged; many here and there).

    Returns:
        What was done, for the label.
    """
    places = _video_packets(path)
    if slightly:
        hit = [max((place for place in places if place.disposable), key=lambda place: place.size)]
    else:
        count = round(DAMAGED_SHARE * len(places))
        first = int(rng.integers(len(places) // 4, len(places) // 2))
        chosen = range(first, first + count) if kind == "zeroed" else rng.permutation(len(places))[:count]
        hit = [places[int(number)] for number in chosen]
    data = bytearray(path.read_bytes())
    for place in hit:
        if kind == "zeroed":
            data[place.start + _HEADER_BYTES : place.start + place.size] = bytes(max(0, place.size - _HEADER_BYTES))
            continue
        for offset in rng.integers(min(_HEADER_BYTES, place.size - 1), place.size, _FLIPPED_BYTES):
            data[place.start + int(offset)] ^= int(rng.integers(1, 256))
    path.write_bytes(bytes(data))
    return f"{kind}: {len(hit)} of {len(places)} video packets"


@dataclass(frozen=True)
class _Place:
    """Where a packet lies in its file, in bytes; `disposable` if no other picture is built on it."""

    start: int
    size: int
    disposable: bool


def _video_packets(path: Path) -> list[_Place]:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size and packet.pos is not None]
        return [_Place(int(packet.pos or 0), packet.size, _is_disposable(bytes(packet))) for packet in packets]


def _is_disposable(packet: bytes) -> bool:
    """Whether an H.264 packet is a slice that no other refers to (nal_ref_idc 0; ISO 14496-10, 7.4.1)."""
    header = packet[4]  # after the unit's length
    return header & 0x1F == 1 and header >> 5 == 0
