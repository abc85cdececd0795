"""Where clips lie in scenes: lengths, margins and buckets. Nothing is decoded here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nava.config.curation import ClipConfig, SceneConfig
from nava.data.curation.scenes import Scene


@dataclass(frozen=True)
class Window:
    """A clip's place in its source.

    Attributes:
        scene: the scene's number; 0 for sound alone.
        t0_s: start on the source's clock.
        frames: length in frames of the clip, also for sound alone, where it sets the number of samples.
        end_s: what lies behind it belongs to another scene: sound is silenced from there.
    """

    scene: int
    t0_s: float
    frames: int
    end_s: float

    def t1_s(self, fps: int) -> float:
        """End of the pictures on the source's clock."""
        return self.t0_s + self.frames / fps


def scene_windows(scene: Scene, clip: ClipConfig, margins: SceneConfig) -> list[Window]:
    """The clips of a scene: none if it is too short, at most `max_clips_per_scene`, evenly spread.

    The longest length that fits is taken. The margins to the cuts give way, down to nothing, in a scene that is barely
    long enough.
    """
    # A frame-sized rounding of the container's clock must not cost a scene its only clip.
    fitting = [n for n in clip.frame_counts if scene.duration_s - clip.duration_s(n) >= -0.25 / clip.fps]
    if not fitting:
        return []
    frames = max(fitting)
    clip_s = clip.duration_s(frames)
    before_s = margins.fade_margin_s if scene.fades_in else margins.margin_s
    after_s = margins.fade_margin_s if scene.fades_out else margins.margin_s
    slack_s = max(scene.duration_s - clip_s, 0.0)
    give_way = min(1.0, slack_s / (before_s + after_s)) if before_s + after_s else 0.0
    usable_s = scene.duration_s - give_way * (before_s + after_s)
    count = min(max(int(usable_s / clip_s + 1e-6), 1), clip.max_clips_per_scene)
    start_s = scene.t0_s + give_way * before_s
    return [Window(scene.index, start_s + number * (usable_s / count), frames, scene.t1_s) for number in range(count)]


def audio_windows(samples: int, clip: ClipConfig) -> list[Window]:
    """Whole windows of a source without pictures, back to back from its start, each as long as fits."""
    rate = clip.sample_rate_hz
    windows: list[Window] = []
    start = 0
    while fitting := [n for n in clip.frame_counts if start + clip.samples_16k(n) <= samples]:
        frames = max(fitting)
        windows.append(Window(0, start / rate, frames, samples / rate))
        start += clip.samples_16k(frames)
    return windows


def nearest_bucket(width: float, height: float, sizes: list[tuple[int, int]]) -> tuple[int, int]:
    """The size whose aspect is nearest to a picture's, by ratio; of equal ones the first that is not an enlargement."""
    aspect = math.log(width / height)

    def distance(size: tuple[int, int]) -> tuple[float, bool]:
        return round(abs(math.log(size[0] / size[1]) - aspect), 6), size[0] > width or size[1] > height

    return min(sizes, key=distance)


def frame_numbers(times_s: npt.NDArray[np.float64], scene: Scene, window: Window, fps: int) -> npt.NDArray[np.int64]:
    """Which of the source's frames is on screen at each frame of the clip, int64 [frames].

    Any frame rate, also a variable one, becomes the clip's: the frame on screen is the one that began last. Half a
    millisecond forgives a clock's rounding.
    """
    wanted_T = window.t0_s + np.arange(window.frames) / fps
    inside_s = times_s[scene.first : scene.last + 1]
    index_T = np.clip(np.searchsorted(inside_s, wanted_T + 5e-4, side="right") - 1, 0, len(inside_s) - 1)
    return np.asarray(scene.first + index_T, np.int64)
