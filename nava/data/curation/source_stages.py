"""The stages that look at a source: integrity, scenes, and the clips that are cut from it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nava.artifacts.clip_manifest import MEDIA_DIR, ClipRow, Modality, Reason, clip_id
from nava.config.curation import ClipConfig, IntegrityConfig, SceneConfig
from nava.data.curation.decoding import SourceTrack
from nava.data.curation.media import source_file, source_track, write_thumbnail
from nava.data.curation.scenes import Scene, SceneDetector, find_weights, scene_detector, within_segments
from nava.data.curation.stage import Clip, Resources, SourceRejectedError, SourceTask, Stage, source_columns
from nava.data.curation.transcode import (
    PictureCut,
    cut_pictures,
    cut_sound,
    read_sound,
    write_flac,
    write_mp4,
    write_wav,
)
from nava.data.curation.windows import Window, audio_windows, frame_numbers, nearest_bucket, scene_windows
from nava.runtime.hashing import sha256_file

WHOLE = (0.0, 0.0, 1.0, 1.0)


class SourceStage(Stage):
    """A stage that looks at a source as a whole."""

    @abstractmethod
    def examine(self, task: SourceTask) -> None:
        """Add to one task that has not been rejected.

        Raises:
            SourceRejectedError: the source cannot be used.
        """

    def process(self, tasks: Sequence[SourceTask]) -> list[SourceTask]:
        """Examines every task; one that cannot be used is rejected with its reason."""
        for task in tasks:
            if task.is_closed:
                continue
            try:
                self.examine(task)
            except SourceRejectedError as error:
                task.reject(error.reason, error.detail, self.name, **task.work.get("columns", {}))
        return list(tasks)


@dataclass
class IntegrityStage(SourceStage):
    """Full demux and decode of the source, errors counted, held against stated limits."""

    clip: ClipConfig
    limits: IntegrityConfig
    name: ClassVar[str] = "integrity"
    version: ClassVar[str] = "2"
    adds: ClassVar[tuple[str, ...]] = ("packet_errors", "corrupt_frames", "source_width", "source_height", "duration_s")
    resources: ClassVar[Resources] = Resources(cores=1.0, memory_mb=1500)

    def examine(self, task: SourceTask) -> None:
        """Counts errors; sources without sound are taken out here, since every clip needs sound."""
        track = source_track(task, self.clip.sample_rate_hz, self.limits)
        columns: dict[str, Any] = {
            "source_width": track.width or None,
            "source_height": track.height or None,
            "packet_errors": track.packet_errors,
            "corrupt_frames": track.corrupt_frames,
            "vcodec": track.vcodec or None,
            "acodec": track.acodec or None,
        }
        task.work["columns"] = columns
        if track.has_video and not track.has_audio:
            columns |= {"modality": str(Modality.AUDIO_VIDEO), "duration_s": track.duration_s}
            middle = track.small_THWC[len(track.small_THWC) // 2]
            columns["thumbnail_path"] = write_thumbnail(task.folder, task.source.source_id, middle)
            raise SourceRejectedError(Reason.NO_AUDIO_TRACK, "has pictures and no audio track")


@dataclass
class SceneStage(SourceStage):
    """Scenes between cuts and fades. Sound alone has none."""

    clip: ClipConfig
    limits: IntegrityConfig
    thresholds: SceneConfig
    name: ClassVar[str] = "scenes"
    version: ClassVar[str] = "3"
    adds: ClassVar[tuple[str, ...]] = ("scene", "scene_t0_us", "scene_t1_us")
    resources: ClassVar[Resources] = Resources(cores=1.0, memory_mb=2000)
    _detector: SceneDetector | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.thresholds.verify == "transnetv2":
            find_weights(self.thresholds.weights)

    def setup(self) -> None:
        """Loads the model that verifies, if the configuration names one."""
        self._detector = scene_detector(self.thresholds)

    def examine(self, task: SourceTask) -> None:
        """Finds the scenes of a source with pictures."""
        track = source_track(task, self.clip.sample_rate_hz, self.limits)
        if self._detector is None:
            self.setup()
        assert self._detector is not None
        scenes = self._detector.detect(track) if track.has_video else []
        task.work["scenes"] = within_segments(scenes, track, task.source.segments)


@dataclass
class WindowStage(SourceStage):
    """The clips of a source: where they lie, which bucket they take; scenes too short for one are recorded."""

    clip: ClipConfig
    limits: IntegrityConfig
    margins: SceneConfig
    pipeline_version: str = ""
    name: ClassVar[str] = "windows"
    version: ClassVar[str] = "2"
    reads: ClassVar[tuple[str, ...]] = ("scene",)
    adds: ClassVar[tuple[str, ...]] = ("t0_us", "t1_us", "bucket", "width", "height", "fps", "n_frames")

    def examine(self, task: SourceTask) -> None:
        """Makes the records of the source."""
        track = source_track(task, self.clip.sample_rate_hz, self.limits)
        if not track.has_video:
            task.clips = self._audio(task, track)
            return
        for scene in task.work["scenes"]:
            windows = scene_windows(scene, self.clip, self.margins)
            task.clips += [self._clip(task, track, scene, window) for window in windows]
            if not windows:
                task.clips.append(self._short_scene(task, track, scene))

    def _audio(self, task: SourceTask, track: SourceTrack) -> list[Clip]:
        windows = audio_windows(len(track.audio), self.clip)
        if not windows:
            needed_s = self.clip.samples_16k(min(self.clip.frame_counts)) / self.clip.sample_rate_hz
            task.work["columns"] |= {"modality": str(Modality.AUDIO), "duration_s": track.duration_s}
            detail = f"lasts {track.duration_s:.2f} s, a clip needs {needed_s:.2f} s"
            raise SourceRejectedError(Reason.TOO_SHORT, detail)
        clips = []
        for window in windows:
            samples = self.clip.samples_16k(window.frames)
            t1_s = window.t0_s + samples / self.clip.sample_rate_hz
            form = {"modality": str(Modality.AUDIO), "duration_s": samples / self.clip.sample_rate_hz}
            row = self._row(task, window.t0_s, t1_s) | form | {"bucket": f"audio_{samples}"}
            clips.append(Clip(row, {"window": window}))
        return clips

    def _clip(self, task: SourceTask, track: SourceTrack, scene: Scene, window: Window) -> Clip:
        width, height = nearest_bucket(track.width, track.height, self.clip.sizes())
        form: ClipRow = {
            **self._row(task, window.t0_s, window.t1_s(self.clip.fps)),
            **_scene_columns(scene),
            "modality": str(Modality.AUDIO_VIDEO),
            "duration_s": self.clip.duration_s(window.frames),
            "bucket": f"{window.frames}x{height}x{width}_{self.clip.samples_16k(window.frames)}",
            "width": width,
            "height": height,
            "fps": float(self.clip.fps),
            "n_frames": window.frames,
        }
        numbers_T = frame_numbers(track.times_s, scene, window, self.clip.fps)
        return Clip(form, {"window": window, "frames_T": numbers_T})

    def _short_scene(self, task: SourceTask, track: SourceTrack, scene: Scene) -> Clip:
        row = self._row(task, scene.t0_s, scene.t1_s) | _scene_columns(scene)
        clip = Clip(row | {"modality": str(Modality.AUDIO_VIDEO), "duration_s": scene.duration_s})
        middle = track.small_THWC[(scene.first + scene.last) // 2]
        clip.row["thumbnail_path"] = write_thumbnail(task.folder, row["clip_id"], middle)
        needed_s = self.clip.duration_s(min(self.clip.frame_counts))
        detail = f"the scene lasts {scene.duration_s:.2f} s, a clip needs {needed_s:.2f} s"
        clip.close(Reason.TOO_SHORT, detail, self.name)
        return clip

    def _row(self, task: SourceTask, t0_s: float, t1_s: float) -> ClipRow:
        t0_us, t1_us = round(t0_s * 1e6), round(t1_s * 1e6)
        identity = clip_id(task.source.sha256, t0_us, t1_us, self.pipeline_version)
        columns = task.work["columns"]
        return {**source_columns(task.source), **columns, "clip_id": identity, "t0_us": t0_us, "t1_us": t1_us}


def _scene_columns(scene: Scene) -> ClipRow:
    return {
        "scene": scene.index,
        "scene_t0_us": round(scene.t0_s * 1e6),
        "scene_t1_us": round(scene.t1_s * 1e6),
    }


@dataclass
class TranscodeStage(SourceStage):
    """Writes the files of every open clip: picture at 24 fps in its bucket, sound at 16 kHz and at 48 kHz."""

    clip: ClipConfig
    limits: IntegrityConfig
    name: ClassVar[str] = "transcode"
    version: ClassVar[str] = "2"
    reads: ClassVar[tuple[str, ...]] = ("bucket", "crop")
    adds: ClassVar[tuple[str, ...]] = (
        "video_path",
        "video_sha256",
        "audio_path",
        "audio_sha256",
        "audio_48k_path",
        "audio_48k_sha256",
        "thumbnail_path",
        "audio_sr",
        "audio_channels",
        "n_samples_16k",
        "n_samples_48k",
    )
    resources: ClassVar[Resources] = Resources(cores=1.0, memory_mb=2500)

    def examine(self, task: SourceTask) -> None:
        """One pass for the sound, one for the pictures of all clips."""
        clips = task.open_clips
        if not clips:
            return
        path = source_file(task)
        kept_hz = self.clip.kept_sample_rate_hz
        kept_CN = read_sound(path, kept_hz)
        track = source_track(task, self.clip.sample_rate_hz, self.limits)
        sounds = []
        for clip in clips:
            window: Window = clip.work["window"]
            sound_CN = cut_sound(kept_CN, kept_hz, window.t0_s, self.clip.samples_48k(window.frames), window.end_s)
            model_CN = cut_sound(
                track.audio[None],
                self.clip.sample_rate_hz,
                window.t0_s,
                self.clip.samples_16k(window.frames),
                window.end_s,
            )
            self._write_sound(task.folder, clip.row, model_CN, sound_CN)
            sounds.append(sound_CN)
        pictured = [number for number, clip in enumerate(clips) if clip.has_picture]
        for place, frames_THWC in cut_pictures(path, [_picture_cut(clips[number]) for number in pictured]):
            number = pictured[place]
            self._write_picture(task.folder, clips[number].row, frames_THWC, sounds[number])

    def _write_sound(self, folder: Path, row: ClipRow, model_CN: np.ndarray, kept_CN: np.ndarray) -> None:
        wav, flac = (f"{MEDIA_DIR}/{row['clip_id']}.{suffix}" for suffix in ("wav", "flac"))
        write_wav(folder / wav, model_CN[0], self.clip.sample_rate_hz)
        write_flac(folder / flac, kept_CN, self.clip.kept_sample_rate_hz)
        row |= {
            "audio_path": wav,
            "audio_sha256": sha256_file(folder / wav),
            "audio_48k_path": flac,
            "audio_48k_sha256": sha256_file(folder / flac),
            "audio_sr": self.clip.sample_rate_hz,
            "audio_channels": len(kept_CN),
            "n_samples_16k": model_CN.shape[1],
            "n_samples_48k": kept_CN.shape[1],
        }

    def _write_picture(self, folder: Path, row: ClipRow, frames_THWC: np.ndarray, sound_CN: np.ndarray) -> None:
        path = f"{MEDIA_DIR}/{row['clip_id']}.mp4"
        write_mp4(folder / path, frames_THWC, sound_CN, self.clip)
        row |= {"video_path": path, "video_sha256": sha256_file(folder / path)}
        row["thumbnail_path"] = write_thumbnail(folder, row["clip_id"], frames_THWC[len(frames_THWC) // 2])


def _picture_cut(clip: Clip) -> PictureCut:
    crop = clip.row.get("crop")
    box = (crop["x0"], crop["y0"], crop["x1"], crop["y1"]) if crop else WHOLE
    return PictureCut(clip.work["frames_T"], box, (clip.row["width"], clip.row["height"]))
