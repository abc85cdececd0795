"""Audio-video offset: how much later the sound comes than the picture, and how far that can be believed.

The built-in backend, `block_xcorr`, correlates the loudness of the sound with the brightness of blocks of the picture.
That is no learned synchrony metric such as SyncNet or Synchformer, and never bears their names. It means something only
where sound and picture have separate events in common, so it comes with a confidence, which stays low on periodic,
tonal and foreign sound. Learned backends are plugins of the operator's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from nava.config.curation import ClipConfig, IntegrityConfig, ScoreConfig
from nava.data.curation.decoding import SourceTrack
from nava.data.curation.media import source_file, source_track
from nava.data.curation.scenes import Scene
from nava.data.curation.source_stages import SourceStage
from nava.data.curation.stage import Resources, SourceTask
from nava.runtime.errors import InputError

BLOCK_XCORR = "block_xcorr"
PLUGIN_GROUP = "nava.synchrony"
_BLOCK = 8  # pixels of the 64x64 picture
_BEST_BLOCKS = 6  # those that follow the sound best speak for the picture
_DRIFT_S = 1.5  # slower changes of brightness and loudness are no events
_PIECE_S = 20.0  # longest piece of a scene that is compared at once
_STILL = 0.5  # luma steps (0-255): a block whose brightness varies less does nothing
_SILENT = 1e-3  # of full scale, root mean square of one frame
_STEADY = 0.1  # standard deviation of the loudness, relative to the loudest: rain, wind and tones have no events
_NEAR_S = 0.1  # around the peak, where the curve is not a rival of it
# A peak this much higher than any rival is certain. A confidence of 0.2 is then what 4 of 100 files reach whose
# scenes have the sound of other scenes (measured on the labelled corpus and the demo's).
_CERTAIN = 0.75

Curve = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OffsetScore:
    """How much later the sound comes than the picture, in seconds, and how far this stands out (0 to 1)."""

    offset_s: float
    confidence: float


class SynchronyModel(Protocol):
    """A learned backend: what an entry point of the group `nava.synchrony` returns when called with a weights path.

    Attributes:
        name: as records carry it. proven: whether it has run on its real weights.
    """

    name: str
    proven: bool

    def offset(self, path: Path, spans_s: list[tuple[float, float]]) -> OffsetScore | None:
        """The offset of a local media file, judged on these spans of its clock; None where nothing can be said."""


@dataclass
class SynchronyStage(SourceStage):
    """Offset of sound against picture, one for all scenes of a source, since a recorder's delay is one per file.

    Adds:
        av_offset_s: how much later the sound comes than the picture. av_conf: how far this stands out (0 to 1).
        av_backend: what measured it.
    """

    clip: ClipConfig
    limits: IntegrityConfig
    config: ScoreConfig
    name: ClassVar[str] = "synchrony"
    version: ClassVar[str] = "3"
    reads: ClassVar[tuple[str, ...]] = ("scene",)
    adds: ClassVar[tuple[str, ...]] = ("av_offset_s", "av_conf", "av_backend")
    resources: ClassVar[Resources] = Resources(cores=1.0, memory_mb=1500)
    _model: SynchronyModel | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.config.synchrony != BLOCK_XCORR:
            find_plugin(self.config.synchrony)

    def setup(self) -> None:
        """Loads the plugin that the configuration names, if it names one."""
        if self.config.synchrony != BLOCK_XCORR:
            self._model = find_plugin(self.config.synchrony)(self.config.synchrony_weights)

    def examine(self, task: SourceTask) -> None:
        """One offset for all clips of the source that have pictures."""
        clips = [clip for clip in task.open_clips if clip.has_picture]
        if not clips:
            return
        scenes: list[Scene] = task.work["scenes"]
        if self._model is not None:
            found = self._model.offset(source_file(task), [(scene.t0_s, scene.t1_s) for scene in scenes])
            backend = self._model.name if self._model.proven else f"{self._model.name} (unproven)"
        else:
            track = source_track(task, self.clip.sample_rate_hz, self.limits)
            found, backend = block_xcorr(track, scenes, self.clip.fps, self.config.max_av_lag_s), BLOCK_XCORR
        offset_s, confidence = (found.offset_s, found.confidence) if found else (None, None)
        for clip in clips:
            clip.row |= {"av_backend": backend, "av_offset_s": offset_s, "av_conf": confidence}


def find_plugin(name: str) -> Callable[[str], SynchronyModel]:
    """The factory of a learned backend.

    Raises:
        InputError: no installed package provides it.
    """
    plugins = {plugin.name: plugin for plugin in entry_points(group=PLUGIN_GROUP)}
    if name not in plugins:
        raise InputError(
            f"curation.scores.synchrony is {name!r}, which no installed package provides (entry points of the group "
            f"{PLUGIN_GROUP!r}: {', '.join(sorted(plugins)) or 'none'}). Built in is {BLOCK_XCORR}."
        )
    factory: Callable[[str], SynchronyModel] = plugins[name].load()
    return factory


def block_xcorr(track: SourceTrack, scenes: list[Scene], fps: int, max_lag_s: float) -> OffsetScore | None:
    """The offset on which the scenes of a source agree; None where no scene has anything to compare."""
    curves = []
    for scene in scenes:
        for luma_THW, audio in _pieces(track, scene, fps):
            curve = offset_curve(luma_THW, audio, track.sample_rate_hz, fps, round(max_lag_s * fps))
            if curve is not None:
                curves.append(curve)
    return pooled(curves, fps) if curves else None


def _pieces(track: SourceTrack, scene: Scene, fps: int) -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]]:
    """A scene as stretches of pictures at `fps`, uint8 [T, 64, 64], each with its sound."""
    frames = int(scene.duration_s * fps)
    count = max(1, round(frames / (_PIECE_S * fps)))
    pieces = []
    for first, end in itertools.pairwise(np.linspace(0, frames, count + 1).astype(int).tolist()):
        times_T = scene.t0_s + np.arange(first, end) / fps
        # The frame on screen is the one that began last; half a millisecond forgives a clock's rounding.
        numbers_T = np.searchsorted(track.times_s, times_T + 5e-4, side="right") - 1
        start, stop = (round((scene.t0_s + edge / fps) * track.sample_rate_hz) for edge in (first, end))
        pieces.append((track.small_luma_THW[np.clip(numbers_T, scene.first, scene.last)], track.audio[start:stop]))
    return pieces


def offset_curve(
    luma_THW: npt.NDArray[np.uint8], audio: npt.NDArray[np.float32], rate_hz: int, fps: int, max_lag: int
) -> Curve | None:
    """Correlation at lags -max_lag..max_lag frames; None where the piece is too short, its sound steady or its
    picture still.

    Two things are compared with the loudness: the brightness of blocks, whichever way it goes (a mouth that opens is
    dark, a lamp is bright), and how much it changes (a thing that moves). At each lag, each is the mean of its best
    blocks; the curve is the mean of both.
    """
    frames = len(luma_THW)
    # Fewer frames than this overlap at the largest lag by too little to correlate.
    if frames < max_lag + fps // 2:
        return None
    loudness_T = loudness(audio, rate_hz, fps, frames)
    if loudness_T is None:
        return None
    drift = round(_DRIFT_S * fps)
    sound_T = _without_drift(loudness_T[:, None], drift)[:, 0]
    if sound_T.std() < _STEADY:
        return None
    _, height, width = luma_THW.shape
    rows, columns = height // _BLOCK, width // _BLOCK
    blocks = luma_THW[:, : rows * _BLOCK, : columns * _BLOCK].reshape(frames, rows, _BLOCK, columns, _BLOCK)
    level_TN = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(frames, -1).astype(np.float64)
    change_TN = _without_drift(np.abs(np.diff(level_TN, axis=0, prepend=level_TN[:1])), drift)
    level_TN = _without_drift(level_TN, drift)
    alive_N = level_TN.std(axis=0) > _STILL
    if not alive_N.any():
        return None
    by_level_NL = _cross_correlate(level_TN[:, alive_N], sound_T, max_lag)
    by_change_NL = _cross_correlate(change_TN[:, alive_N], sound_T, max_lag)
    return (_best(np.concatenate([by_level_NL, -by_level_NL])) + _best(by_change_NL)) / 2


def pooled(curves: list[Curve], fps: int) -> OffsetScore:
    """Where the mean of curves has its peak, and how far this stands above any other place."""
    pooled_L = np.mean(curves, axis=0)
    peak = int(np.argmax(pooled_L))
    near = round(_NEAR_S * fps)
    rest = np.delete(pooled_L, np.arange(max(peak - near, 0), min(peak + near + 1, len(pooled_L))))
    clear = float(pooled_L[peak]) - max(float(rest.max(initial=0.0)), 0.0)
    lag = peak - len(pooled_L) // 2 + _vertex(pooled_L, peak)
    return OffsetScore(lag / fps, float(np.clip(clear / _CERTAIN, 0.0, 1.0)))


def loudness(audio: npt.NDArray[np.float32], rate_hz: int, fps: int, frames: int) -> Curve | None:
    """Square root of the level around each frame's time, relative to the loudest (float64 [frames], 0 to 1); None for
    silence.
    """
    edges = np.maximum(np.round((np.arange(frames + 1) - 0.5) * rate_hz / fps), 0).astype(int)
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])[np.minimum(edges, len(audio))]
    rms_T = np.sqrt(np.maximum(np.diff(energy), 0) / (rate_hz / fps))
    return np.sqrt(rms_T / rms_T.max()) if rms_T.max() >= _SILENT else None


def _without_drift(values_TN: npt.NDArray[np.float64], frames: int) -> npt.NDArray[np.float64]:
    """Values less their mean over a window of so many frames around each."""
    total = len(values_TN)
    sums = np.concatenate([np.zeros((1, values_TN.shape[1])), np.cumsum(values_TN, axis=0)])
    places = np.arange(total)
    first, end = np.maximum(places - frames // 2, 0), np.minimum(places + frames // 2 + 1, total)
    return np.asarray(values_TN - (sums[end] - sums[first]) / (end - first)[:, None])


def _best(curves_NL: npt.NDArray[np.float64]) -> Curve:
    return np.asarray(np.sort(curves_NL, axis=0)[-_BEST_BLOCKS:].mean(axis=0))


def _cross_correlate(features_TN: npt.NDArray[np.float64], sound_T: Curve, max_lag: int) -> npt.NDArray[np.float64]:
    """Pearson correlation of each feature with the sound, at each lag, over the frames both have. Positive lag: the
    sound is late.
    """
    frames = len(sound_T)
    curves = []
    for lag in range(-max_lag, max_lag + 1):
        seen = features_TN[max(-lag, 0) : frames - max(lag, 0)]
        heard = sound_T[max(lag, 0) : frames - max(-lag, 0)]
        seen, heard = seen - seen.mean(axis=0), heard - heard.mean()
        scale = np.sqrt((seen**2).sum(axis=0) * (heard**2).sum())
        curves.append(heard @ seen / np.maximum(scale, 1e-9))
    return np.stack(curves, axis=1)


def _vertex(curve_L: Curve, peak: int) -> float:
    """Where between frames the peak lies, by a parabola through three points."""
    if not 0 < peak < len(curve_L) - 1:
        return 0.0
    left, top, right = curve_L[peak - 1 : peak + 2]
    bend = left - 2 * top + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0
