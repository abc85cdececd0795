"""Media under names that say nothing, and without tags that do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError
from nava.runtime.storage import link_or_copy

# What every muxer writes by itself; all other tags may say who made a clip (this project's own files name the model).
_TECHNICAL = frozenset(
    {
        "major_brand",
        "minor_version",
        "compatible_brands",
        "language",
        "handler_name",
        "vendor_id",
        "encoder",
        "duration",
    }
)
_MUXER = "Lav"  # libav's own name, as an encoder


def checked_source(path: Path, types: Mapping[str, str], what: str) -> str:
    """The suffix of a file that a study may show, in lower case.

    Raises:
        InputError: it is missing or empty, or of a kind that browsers do not show.
    """
    suffix = path.suffix.lower()
    if suffix not in types:
        raise InputError(f"{what}: {path} is no {', '.join(types)} file")
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise InputError(f"{what}: {path}: {error.strerror}") from error
    if not size:
        raise InputError(f"{what}: {path} is {'empty' if size == 0 else 'missing'}")
    return suffix


def place_video(source: Path, target: Path) -> None:
    """The clip under its new name: the same file where its tags are silent, else a copy of its streams without tags.

    Nothing is encoded again, so the clips that are compared are those that the models made.

    Raises:
        InputError: the file is no video that can be opened.
    """
    import av

    try:
        with av.open(str(source)) as container:
            if not container.streams.video:
                raise InputError(f"{source} holds no picture; raters compare clips with picture and sound")
            silent = not any(_says(tags) for tags in _all_tags(container))
        if silent:
            link_or_copy(source.resolve(), target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_streams(source, target)
    except av.error.FFmpegError as error:
        raise InputError(f"{source} cannot be read as a video: {error}") from error


def place_image(source: Path, target: Path) -> None:
    """The picture under its new name."""
    link_or_copy(source.resolve(), target)


def _all_tags(container: Any) -> Iterable[Mapping[str, str]]:
    return [container.metadata, *(stream.metadata for stream in container.streams)]


def _says(tags: Mapping[str, str]) -> bool:
    return any(
        name.lower() not in _TECHNICAL or (name.lower() == "encoder" and not value.startswith(_MUXER))
        for name, value in tags.items()
    )


def _copy_streams(source: Path, target: Path) -> None:
    import av

    options = {"movflags": "+faststart", "fflags": "+bitexact"} if target.suffix == ".mp4" else {"fflags": "+bitexact"}
    with av.open(str(source)) as given, av.open(str(target), "w", options=options) as made:
        made.flags |= av.container.Flags.bitexact.value
        kept = [stream for stream in given.streams if stream.type in ("video", "audio")]
        outputs = {stream.index: made.add_stream_from_template(stream) for stream in kept}
        for output in outputs.values():
            output.metadata.clear()
        for packet in given.demux(kept):
            if packet.dts is None:
                continue  # the mark of a stream's end
            packet.stream = outputs[packet.stream.index]
            made.mux(packet)
