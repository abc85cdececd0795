"""What counts as a media file, and the formats that may be opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer

VIDEO_EXTENSIONS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v"})
AUDIO_EXTENSIONS = frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg"})
MEDIA_EXTENSIONS = VIDEO_EXTENSIONS | AUDIO_EXTENSIONS
SIDECAR_EXTENSION = ".vtt"
# ffmpeg knows a format by what is in a file, not by its extension, and some formats (playlists, concatenations) make
# it open other files and addresses. Only these demuxers are allowed, and only local files.
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,wav,w64,aiff,flac,mp3,aac"


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
