"""Black bars around a picture: found in a clip's stills, and cut away before the clip's form is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from nava.config.curation import ClipConfig, IntegrityConfig
from nava.data.curation.decoding import stills_between
from nava.data.curation.media import source_track
from nava.data.curation.source_stages import SourceStage
from nava.data.curation.stage import SourceTask
from nava.data.curation.subtitles import Place
from nava.data.curation.windows import nearest_bucket

_BLACK = 24  # luma (0-255): video black is 16, coding adds some
_UNIFORM = 6  # luma steps within one row of a bar; a dark picture varies more
_MIN_BAR, _MAX_BARS = 0.015, 0.7  # of the side: one bar, both together
_UNEQUAL = 0.02  # of the side: bars are alike; a dark edge on one side alone is picture
_BORDER = 2  # pixels of the still beside a bar that coding has mixed with it


@dataclass
class BarsStage(SourceStage):
    """Letterboxes and pillarboxes of every open clip with pictures.

    Adds:
        crop: what is inside the bars. bucket, width, height: the form nearest to the aspect of that.
    """

    clip: ClipConfig
    limits: IntegrityConfig
    name: ClassVar[str] = "bars"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("t0_us", "t1_us", "n_frames")
    adds: ClassVar[tuple[str, ...]] = ("crop", "bucket", "width", "height")

    def examine(self, task: SourceTask) -> None:
        """Looks at the stills of each clip."""
        if not self.clip.crop_bars:
            return
        track = source_track(task, self.clip.sample_rate_hz, self.limits)
        for clip in (clip for clip in task.open_clips if clip.has_picture):
            inside = stills_between(track.stills, clip.row["t0_us"], clip.row["t1_us"])
            place = inside_bars([still.luma_HW for still in inside])
            if place is None:
                continue
            seen = track.width * (place["x1"] - place["x0"]), track.height * (place["y1"] - place["y0"])
            width, height = nearest_bucket(*seen, self.clip.sizes())
            frames = clip.row["n_frames"]
            bucket = f"{frames}x{height}x{width}_{self.clip.samples_16k(frames)}"
            clip.row |= {"crop": place, "bucket": bucket, "width": width, "height": height}


def inside_bars(stills: list[npt.NDArray[np.uint8]]) -> Place | None:
    """The picture inside its black bars, or None where there are none. All stills must agree.

    Args:
        stills: luma [H, W] of one size, uint8.
    """
    if not stills or len({still.shape for still in stills}) > 1:
        return None
    stills_NHW = np.stack(stills)
    y = _bar(stills_NHW)
    x = _bar(stills_NHW.transpose(0, 2, 1))
    return {"x0": x, "y0": y, "x1": 1.0 - x, "y1": 1.0 - y} if x or y else None


def _bar(stills_NHW: npt.NDArray[np.uint8]) -> float:
    """Height of the bar at the top, which the one at the bottom equals, as a share of the picture's; 0 for none."""
    brightest_NH, darkest_NH = stills_NHW.max(axis=2), stills_NHW.min(axis=2)
    black_H = ((brightest_NH <= _BLACK) & (brightest_NH - darkest_NH <= _UNIFORM)).all(axis=0)
    height = len(black_H)
    if black_H.all():
        return 0.0
    top, bottom = int(np.argmin(black_H)), int(np.argmin(black_H[::-1]))
    if min(top, bottom) < _MIN_BAR * height or abs(top - bottom) > _UNEQUAL * height:
        return 0.0
    bar = (max(top, bottom) + _BORDER) / height
    return bar if 2 * bar <= _MAX_BARS else 0.0
