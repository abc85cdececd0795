"""What counts as a media file, the formats that may be opened, and an object of a bucket as a file here."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nava.artifacts.source_manifest import stays_inside
from nava.data.media_root import FolderRoot, MediaRoot, media_root
from nava.runtime.errors import InputError
from nava.runtime.hashing import CHUNK_BYTES, sha256_bytes
from nava.runtime.storage import atomic_file

if TYPE_CHECKING:
    from av.container import InputContainer

VIDEO_EXTENSIONS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})
AUDIO_EXTENSIONS = frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg", ".sph"})
MEDIA_EXTENSIONS = VIDEO_EXTENSIONS | AUDIO_EXTENSIONS
SIDECAR_EXTENSION = ".vtt"
# ffmpeg knows a format by what is in a file, not by its extension, and some formats (playlists, concatenations) make
# it open other files and addresses. Only these demuxers are allowed, and only local files.
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,wav,w64,aiff,flac,mp3,aac,nistsphere"


@contextmanager
def open_media(path: Path) -> Iterator["InputContainer"]:
    """Open an untrusted media file for decoding.

    Raises:
        av.FFmpegError: no media, or of a format that is not allowed.
    """
    import av

    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
    with av.open(str(path), options=options, metadata_errors="replace") as container:
        yield container


def decodes(path: Path) -> bool:
    """Whether the file yields at least one picture or one block of sound."""
    import av

    try:
        with open_media(path) as container:
            streams = [*container.streams.video, *container.streams.audio]
            return bool(streams) and any(True for _ in container.decode(streams[0]))
    # ffmpeg's errors are also of builtin kinds (ValueError, PermissionError); an unreadable file raises OSError.
    except (av.FFmpegError, OSError, ValueError):
        return False


def local_copy(root: str, path: str, sha256: str, scratch: Path) -> Path:
    """A source's bytes as a file of this machine: the file itself, or a copy of an object that lies in a bucket.

    A copy appears in `scratch` only when it is whole and its hash is right, and is used again while it is there. The
    caller owns `scratch`, and removes it when it is done with the source.

    Args:
        root: folder or bucket address, as in the handle of a source manifest.
        path: of the source, relative to it.
        sha256: of the source; a file of this machine is not read again for it.
        scratch: folder for copies; made if needed.

    Raises:
        InputError: the path leads out of the root, there is no such file, or its content is not the one ingested.
    """
    if not stays_inside(path):
        raise InputError(f"the path {path!r} leads out of {root}")
    place = media_root(root)
    if isinstance(place, FolderRoot):
        file = place.folder / path
        if not file.is_file():
            raise InputError(f"{file} is gone; ingest the folder again")
        if not file.resolve().is_relative_to(place.folder):
            raise InputError(f"{file} is a link that leads out of {root}")
        return file
    # The suffix helps formats that ffmpeg cannot tell by their content; the rest of the name may be too long here.
    copy = scratch / f"{sha256_bytes(f'{sha256} {path}'.encode())[:32]}{Path(path).suffix.lower()}"
    if not copy.is_file():
        _download(place, path, sha256, copy)
    return copy


def _download(place: MediaRoot, path: str, sha256: str, copy: Path) -> None:
    digest = hashlib.sha256()
    with atomic_file(copy) as part:
        with place.open(path) as source, part.open("wb") as file:
            while block := source.read(CHUNK_BYTES):
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != sha256:
            raise InputError(f"{place.uri}/{path} is not the file that was ingested (its hash differs); ingest again")
