"""Media inside a page: files as data URIs, a poster for each clip, and its brightness and loudness over time."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_BASE64_GROWTH = 4 / 3


class EmbedBudget:
    """How many bytes of media a page may still take in: a page nobody can open shows nothing."""

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes

    def take(self, size_bytes: int) -> bool:
        """Whether a file of this size still fits, as base64 text; it is counted if it does."""
        needed = int(size_bytes * _BASE64_GROWTH) + 4
        if needed > self.left_bytes:
            return False
        self.left_bytes -= needed
        return True


@dataclass(frozen=True)
class ClipMedia:
    """A clip read for a page.

    Attributes:
        poster: data URI of the frame with the most contrast; empty when the file has no picture that decodes.
        picture: mean brightness of each frame, stretched to 0..1.
        sound: loudness (RMS) over each frame's time, stretched to 0..1.
        problem: why the file could not be read, empty when it could.
    """

    poster: str = ""
    picture: Sequence[float] = ()
    sound: Sequence[float] = ()
    problem: str = ""


def data_uri(data: bytes, mime: str) -> str:
    """Bytes as a data URI."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def embed(path: Path, mime: str, budget: EmbedBudget) -> str:
    """A file as a data URI, or an empty string when it is missing, empty, or over the budget."""
    if not path.is_file() or not (size := path.stat().st_size) or not budget.take(size):
        return ""
    return data_uri(path.read_bytes(), mime)


def stretch(values: "Sequence[float] | np.ndarray") -> list[float]:
    """Values moved to 0..1, two decimals; all zero when they do not differ."""
    numbers = [float(value) for value in values]
    if not numbers:
        return []
    low, high = min(numbers), max(numbers)
    if high - low < 1e-9:
        return [0.0] * len(numbers)
    return [round((value - low) / (high - low), 2) for value in numbers]


def read_clip(path: Path) -> ClipMedia:
    """Decode a short clip once for its poster and traces. A file that does not decode is described, never raised."""
    import av

    if not path.is_file():
        return ClipMedia(problem=f"{path.name} is missing")
    try:
        return _decode(path)
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        return ClipMedia(problem=f"{path.name} could not be decoded: {error}")


def _decode(path: Path) -> ClipMedia:
    import av

    with av.open(str(path)) as container:
        fps = float(container.streams.video[0].average_rate or 24)
        pictures = list(container.decode(video=0))
    with av.open(str(path)) as container:
        blocks = list(container.decode(audio=0)) if container.streams.audio else []
    frames = [picture.to_ndarray(format="rgb24") for picture in pictures]
    sound: list[float] = []
    if pictures and blocks:
        late_s = (blocks[0].time or 0.0) - (pictures[0].time or 0.0)
        arrays = [block.to_ndarray() for block in blocks]
        sound = _loudness(arrays, blocks[0].sample_rate, late_s, len(frames), fps)
    return ClipMedia(_poster(frames), _brightness(frames), sound)


def _poster(frames: "Sequence[np.ndarray]") -> str:
    """JPEG of the frame_HWC with the most contrast."""
    from PIL import Image

    if not frames:
        return ""
    frame_HWC = max(frames, key=lambda frame: float(frame.std()))
    file = io.BytesIO()
    Image.fromarray(frame_HWC).save(file, "JPEG", quality=85)
    return data_uri(file.getvalue(), "image/jpeg")


def _brightness(frames: "Iterable[np.ndarray]") -> list[float]:
    return stretch([frame_HWC.max(axis=2).mean() for frame_HWC in frames])


def _loudness(blocks: "Sequence[np.ndarray]", sample_rate: int, late_s: float, frames: int, fps: float) -> list[float]:
    """Root mean square of the sound while each of the frames is shown; the sound starts `late_s` after the picture."""
    import numpy as np

    samples = np.concatenate([block.astype(np.float64).mean(axis=0) for block in blocks])
    late = round(late_s * sample_rate)
    samples = np.pad(samples, (late, 0)) if late > 0 else samples[-late:]
    edges = [round(frame * sample_rate / fps) for frame in range(frames + 1)]
    parts = [samples[start:end] for start, end in pairwise(edges)]
    return stretch([float(np.sqrt(np.mean(part**2))) if part.size else 0.0 for part in parts])
