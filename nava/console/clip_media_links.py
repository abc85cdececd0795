"""How a page shows the media of a record: as addresses of the server that gives the page, or inside the page."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from itertools import pairwise
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import numpy as np

from nava.artifacts.clip_manifest import ClipRow, Modality, Status
from nava.console.curated_folder import CuratedFolder
from nava.pages.charts import traces
from nava.pages.clip_page import MediaFacts, Shape
from nava.pages.media import EmbedBudget, embed, read_clip, stretch
from nava.runtime.errors import InputError

MEDIA_TYPES = {".mp4": "video/mp4", ".flac": "audio/flac", ".wav": "audio/wav", ".jpg": "image/jpeg"}
_TRACED_BYTES = 128 << 20  # decoded pictures; beyond, a page would take too long and too much memory
_TRACE_POINTS = 240
_WIDE = 1.2  # width to height from which a picture is called wide


class MediaLinks(ABC):
    """Where a page finds records and their media; the empty text is nowhere.

    Class attributes:
        players: whether a gallery may have players, or only thumbnails.
    """

    players: ClassVar[bool]

    @abstractmethod
    def clip(self, clip_id: str) -> str:
        """Address of the page of a record."""

    @abstractmethod
    def media(self, clip_id: str, kind: str, path: Path) -> str:
        """Address of a file of a record."""


class ServedLinks(MediaLinks):
    """Addresses of the report server."""

    players = True

    def clip(self, clip_id: str) -> str:
        """See `report_server`."""
        return f"/clips/{quote(clip_id, safe='')}"

    def media(self, clip_id: str, kind: str, path: Path) -> str:
        """See `report_server`."""
        return f"{self.clip(clip_id)}/{kind}"


class EmbeddedLinks(MediaLinks):
    """Files inside the page, as far as the budget goes; pages of other records where they lie beside it."""

    players = False

    def __init__(self, budget: EmbedBudget, pages: Path | None = None) -> None:
        self._budget = budget
        self._pages = pages

    def clip(self, clip_id: str) -> str:
        """The page of that record in the same folder, if somebody wrote it."""
        name = page_name(clip_id)
        return name if self._pages is not None and (self._pages / name).is_file() else ""

    def media(self, clip_id: str, kind: str, path: Path) -> str:
        """The file as text."""
        return embed(path, MEDIA_TYPES[path.suffix], self._budget)


def page_name(clip_id: str) -> str:
    """File of a record's page; ids come from a file, so one may not lead to another folder."""
    return f"{quote(clip_id, safe='')}.html"


def media_facts(folder: CuratedFolder, row: ClipRow, links: MediaLinks, *, traced: bool = False) -> MediaFacts:
    """What a page can show of a record.

    Args:
        folder: of the corpus.
        row: of the record.
        links: where media are found.
        traced: draw brightness and loudness over the clip, which decodes it.
    """
    files = {kind: folder.file(row, kind) for kind in ("thumbnail", "video", "sound", "model_sound")}
    found = {kind: links.media(row["clip_id"], kind, path) for kind, path in files.items() if path}
    video, sound = found.get("video", ""), found.get("sound") or found.get("model_sound", "")
    return MediaFacts(
        video=video,
        sound="" if video else sound,
        poster=found.get("thumbnail", ""),
        note=_note(row, files, bool(video or sound)),
        shape=_shape(row),
        traces=_traces(row, files["video"], files["model_sound"]) if traced else "",
    )


def still_facts(folder: CuratedFolder, row: ClipRow, links: MediaLinks) -> MediaFacts:
    """The thumbnail of a record alone."""
    path = folder.file(row, "thumbnail")
    return MediaFacts(poster=links.media(row["clip_id"], "thumbnail", path) if path else "", shape=_shape(row))


def _note(row: ClipRow, files: dict[str, Path | None], shown: bool) -> str:
    there = files["video"] or files["sound"] or files["model_sound"]
    if there and not shown:
        return f"The media are too large for a page: {there}"
    kept = row["status"] == Status.KEPT
    if there:
        return "" if kept else "From the work of the curation; the corpus has no media of what was not kept."
    if row["t0_us"] is None:
        return "No clip was cut from this file."
    return "The media are not in this folder." if kept else "The corpus has no media of what was not kept."


def _shape(row: ClipRow) -> Shape:
    width, height = row["width"] or row["source_width"], row["height"] or row["source_height"]
    if not width or not height or row["modality"] != Modality.AUDIO_VIDEO:
        return "square"
    return "wide" if width > _WIDE * height else "tall" if height > _WIDE * width else "square"


def _traces(row: ClipRow, video: Path | None, sound: Path | None) -> str:
    if video and 3 * (row["width"] or 0) * (row["height"] or 0) * (row["n_frames"] or 0) <= _TRACED_BYTES:
        clip = read_clip(video)
        return traces(clip.picture, clip.sound)
    return traces((), _loudness(sound, row["audio_sr"] or 0)) if sound else ""


def _loudness(path: Path, rate_hz: int) -> list[float]:
    """Root mean square over equal parts of the model's sound, stretched to 0..1; empty if it cannot be read."""
    from nava.data.clip_media import read_wav

    with contextlib.suppress(InputError):
        samples = read_wav(path, rate_hz)
        edges = np.linspace(0, len(samples), _TRACE_POINTS + 1).astype(int).tolist()
        parts = [samples[start:end] for start, end in pairwise(edges) if end > start]
        return stretch([float(np.sqrt(np.mean(part**2))) for part in parts])
    return []
