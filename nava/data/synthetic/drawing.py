"""Pictures: the stage they are drawn on, backgrounds, soft shapes, and the hash that tells two pictures apart.

Everything that moves lies in the central square of side min(width, height), because curation crops to it.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FloatArray = NDArray[np.float32]
Frames = NDArray[np.uint8]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (240, 40, 40),
    "green": (40, 225, 50),
    "blue": (60, 100, 245),
    "yellow": (240, 215, 30),
}

_HASH_SIZE = 8
# The lowest frequencies of the cosine transform (DCT-II) of a row of 16 pixels.
_COSINES = np.cos(np.pi / (2 * _HASH_SIZE) * np.outer(np.arange(_HASH_SIZE), np.arange(2 * _HASH_SIZE) + 0.5))
_COSINES[0] /= np.sqrt(2.0)


@dataclass(frozen=True)
class Stage:
    """The form of one video file: picture size in pixels, exact frame rate, audio sample rate."""

    width: int
    height: int
    fps: Fraction
    sample_rate_hz: int

    @property
    def side(self) -> int:
        """Side of the central square, in pixels."""
        return min(self.width, self.height)

    @property
    def corner(self) -> tuple[int, int]:
        """Left and top of the central square, in pixels."""
        return (self.width - self.side) // 2, (self.height - self.side) // 2

    def box(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        """Rows and columns of a box given in shares of the central square."""
        x0, y0 = self.corner
        rows = slice(y0 + round(top * self.side), y0 + round(bottom * self.side))
        return rows, slice(x0 + round(left * self.side), x0 + round(right * self.side))

    def frame_count(self, duration_s: float) -> int:
        """Frames that last at least `duration_s`."""
        return int(np.ceil(duration_s * float(self.fps) - 1e-6))

    def frame_times(self, n_frames: int) -> NDArray[np.float64]:
        """The time of each frame, in seconds."""
        return np.arange(n_frames) / float(self.fps)


def still(background_HWC: FloatArray, n_frames: int) -> Frames:
    """A background repeated as a writable (T, H, W, 3) film."""
    picture = np.clip(background_HWC, 0, 255).astype(np.uint8)
    return np.repeat(picture[None], n_frames, axis=0)


def dark_gradient(stage: Stage, rng: np.random.Generator) -> FloatArray:
    """A dim linear gradient of random direction and tint, (H, W, 3), 0 to 255.

    The gradient's contrast stays below that of a resting bar: were it stronger, every flash would flip the low
    frequencies of the picture and a perceptual-hash cut detector would take it for a cut.
    """
    y, x = np.mgrid[0 : stage.height, 0 : stage.width].astype(np.float32)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    ramp = np.cos(angle) * x / stage.width + np.sin(angle) * y / stage.height
    ramp = (ramp - ramp.min()) / (ramp.max() - ramp.min()) - 0.5
    base, swing = rng.uniform(16, 40, 3), rng.uniform(-24, 24, 3)
    return np.asarray(base + swing * ramp[..., None], dtype=np.float32)


def room(stage: Stage, rng: np.random.Generator) -> FloatArray:
    """A wall, a floor and two lit panels on random places, (H, W, 3), 0 to 255.

    Its structure stays while things move before it, so that their motion does not look like a cut.
    """
    tint = rng.uniform(0.75, 1.0, 3)
    picture = np.empty((stage.height, stage.width, 3), np.float32)
    wall, floor = rng.permutation([rng.uniform(35, 60), rng.uniform(95, 130)])
    horizon = stage.corner[1] + round(0.88 * stage.side)
    picture[:horizon] = wall * tint
    picture[horizon:] = floor * tint[::-1]
    for _ in range(2):
        left, top = rng.integers(0, stage.width * 3 // 4), rng.integers(0, horizon * 3 // 4)
        right = left + rng.integers(stage.width // 5, stage.width // 2)
        bottom = min(top + rng.integers(horizon // 4, horizon), horizon)
        picture[top:bottom, left:right] = rng.uniform(20, 165) * rng.uniform(0.8, 1.0, 3)
    return picture


def landscape(stage: Stage, width: int, rng: np.random.Generator) -> FloatArray:
    """A textured view (H, `width`, 3), 0 to 255: rough at every scale down to two pixels, as photographs are."""
    height = stage.height
    relief = np.zeros((height, width), np.float32)
    for octave in range(1, round(np.log2(height))):
        grid = rng.standard_normal((1 + 2**octave, 1 + 2**octave * width // height)).astype(np.float32)
        grown = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        relief += np.asarray(grown) / 1.2**octave
    relief = np.clip((relief - relief.mean()) / (4.0 * relief.std()) + 0.5, 0.0, 1.0)
    low, high = rng.uniform(10, 70, 3), rng.uniform(120, 230, 3)
    return np.asarray(low + (high - low) * relief[..., None], dtype=np.float32)


def paint_ellipse(
    picture_HWC: NDArray[np.uint8], centre: tuple[float, float], radii: tuple[float, float], colour: FloatArray
) -> None:
    """Paint a filled ellipse with a soft edge in place; centre (x, y) and radii in pixels, clipped to the picture."""
    (cx, cy), (rx, ry) = centre, radii
    top, bottom = max(int(cy - ry) - 1, 0), min(int(cy + ry) + 3, picture_HWC.shape[0])
    left, right = max(int(cx - rx) - 1, 0), min(int(cx + rx) + 3, picture_HWC.shape[1])
    if top >= bottom or left >= right:
        return
    y, x = np.ogrid[top:bottom, left:right]
    distance = np.sqrt(((x - cx) / max(rx, 0.5)) ** 2 + ((y - cy) / max(ry, 0.5)) ** 2)
    cover = np.clip((1.0 - distance) * min(rx, ry) + 0.5, 0.0, 1.0).astype(np.float32)[..., None]
    patch = picture_HWC[top:bottom, left:right]
    patch[:] = (patch * (1.0 - cover) + colour * cover).astype(np.uint8)


def rgb(name: str) -> FloatArray:
    """A palette colour as float32 (3,), 0 to 255."""
    return np.array(COLOURS[name], np.float32)


def perceptual_hash(picture_HWC: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """A picture as a perceptual-hash cut detector sees it: the lowest 8x8 frequencies of a 16x16 luma thumbnail.

    Each is compared with the median of all.
    """
    grey = Image.fromarray(picture_HWC).convert("L").resize((2 * _HASH_SIZE, 2 * _HASH_SIZE), Image.Resampling.BOX)
    low = _COSINES @ np.asarray(grey, np.float64) @ _COSINES.T
    return np.asarray(low > np.median(low))


def hash_distance(first_HWC: NDArray[np.uint8], second_HWC: NDArray[np.uint8]) -> float:
    """Share of differing bits of two pictures' perceptual hashes, 0 to 1."""
    return float(np.mean(perceptual_hash(first_HWC) != perceptual_hash(second_HWC)))
