"""The unit of curation: one source file, from its bytes to scored clips in a folder of its own.

Runs in a worker process. The folder appears whole or not at all, so a killed worker loses this source's work only, and
a restart finds the rest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from nava.artifacts.clip_manifest import MEDIA_DIR, THUMBNAIL_DIR, ClipRow, Modality, Reason, Status, TextCheck, clip_id
from nava.artifacts.source_manifest import Source
from nava.config.curation import CurationConfig
from nava.data.curation.burnt_text import TextFinding, TextStage
from nava.data.curation.captions import CaptionStage
from nava.data.curation.cuts import CutStage, Shot
from nava.data.curation.decoding import DecodedSource, DecodeStage, SourceRejectedError, Still
from nava.data.curation.duplicates import Signature, SignatureStage
from nava.data.curation.filters import FilterStage
from nava.data.curation.scores import PictureStage, SoundStage
from nava.data.curation.synchrony import BACKEND, OffsetScore, SynchronyStage
from nava.data.curation.transcript import Utterance, read_transcript
from nava.data.curation.windows import Window, WindowStage, write_mp4, write_wav
from nava.runtime.hashing import sha256_file
from nava.runtime.storage import atomic_folder, write_json

UNIT_FILE = "unit.json"
SIGNATURES_FILE = "signatures.npz"
_THUMBNAIL_SIDE = 96  # pixels
_JPEG_QUALITY = 80

_FAILED = {Reason.NOT_MEDIA, Reason.TRUNCATED, Reason.UNDECODABLE, Reason.DAMAGED, Reason.TOO_LONG}


class Stage(Protocol):
    """What every stage has: a name and a version, which its records carry. Raise the version when results change."""

    name: str
    version: str


@dataclass(frozen=True)
class SourceUnit:
    """One source and where its results go."""

    source: Source
    media_root: Path
    folder: Path


class SourceCurator:
    """All stages that look at one source alone, in order."""

    def __init__(self, config: CurationConfig) -> None:
        self.config = config
        self.decode = DecodeStage(config.clip, config.decode)
        self.cuts = CutStage(config.cuts)
        self.windows = WindowStage(config.clip, config.cuts.margin_s, config.cuts.fade_margin_s)
        self.picture = PictureStage()
        self.sound = SoundStage(config.filters)
        self.synchrony = SynchronyStage(config.clip.fps, config.filters.max_av_lag_s)
        self.text = TextStage(config.text)
        self.captions = CaptionStage(config.clip.sample_rate_hz)
        self.signature = SignatureStage()
        self.filters = FilterStage(config.filters)
        looking = (self.decode, self.cuts, self.windows, self.picture, self.sound, self.synchrony, self.text)
        deciding = (self.captions, self.signature, self.filters)
        stages: tuple[Stage, ...] = (*looking, *deciding)
        self.versions = {stage.name: stage.version for stage in stages}
        self.pipeline_version = ",".join(f"{name}={version}" for name, version in self.versions.items())

    def __call__(self, unit: SourceUnit) -> str:
        """Curate one source into its folder; returns the source's id. Done already: returns at once."""
        if not (unit.folder / UNIT_FILE).is_file():
            cv2.setNumThreads(1)
            with atomic_folder(unit.folder) as folder:
                self._fill(unit, folder)
        return unit.source.source_id

    def _fill(self, unit: SourceUnit, folder: Path) -> None:
        (folder / MEDIA_DIR).mkdir()
        (folder / THUMBNAIL_DIR).mkdir()
        try:
            rows, signatures = self._curate(unit, folder)
        except SourceRejectedError as error:
            rows, signatures = (
                [rejected_source(unit.source, error.reason, error.detail, self.decode.name, self.versions)],
                [],
            )
        fields = ("embedding", "hashes", "sound")
        arrays: dict[str, Any] = {name: np.array([getattr(one, name) for one in signatures]) for name in fields}
        np.savez(
            folder / SIGNATURES_FILE,
            clip_ids=np.array([row["clip_id"] for row in rows[: len(signatures)]], dtype=str),
            **arrays,
        )
        write_json(folder / UNIT_FILE, rows)

    def _curate(self, unit: SourceUnit, folder: Path) -> tuple[list[ClipRow], list[Signature]]:
        decoded = self.decode.process(unit.media_root / unit.source.path)
        if decoded.has_video and not decoded.has_audio:
            row = self._whole_source(
                unit.source, decoded, Reason.NO_AUDIO_TRACK, "has pictures and no audio track", self.decode.name
            )
            _thumbnail(folder, row, decoded.frames_THWC[len(decoded.frames_THWC) // 2])
            return [row], []
        transcript = _transcript(unit)
        if decoded.has_video:
            return self._video(unit, folder, decoded, transcript)
        return self._audio(unit, folder, decoded, transcript)

    def _video(
        self, unit: SourceUnit, folder: Path, decoded: DecodedSource, transcript: list[Utterance]
    ) -> tuple[list[ClipRow], list[Signature]]:
        shots = self.cuts.process(decoded)
        windows = {shot.index: self.windows.process(decoded, shot) for shot in shots}
        long_enough = [shot for shot in shots if windows[shot.index]]
        stills = {shot.index: _stills(decoded, shot.t0_s, shot.t1_s) for shot in shots}
        findings = dict(
            zip(
                (shot.index for shot in long_enough),
                self.text.process([stills[shot.index] for shot in long_enough]),
                strict=True,
            )
        )
        clips = [window for shot in long_enough for window in windows[shot.index]]
        rate = decoded.sample_rate_hz
        offset = self.synchrony.process([self.synchrony.curve(window, rate) for window in clips])
        rows, signatures = [], []
        for window in clips:
            row = self._clip(unit.source, decoded, window, transcript)
            row |= self._picture_scores(
                window, _stills(decoded, window.t0_s, window.t1_s), findings[window.shot], offset
            )
            self._finish(folder, row, window)
            rows.append(row)
            signatures.append(self.signature.process(window, rate))
        for shot in shots:
            if not windows[shot.index]:
                row = self._short_shot(unit.source, decoded, shot)
                _thumbnail(folder, row, decoded.frames_THWC[(shot.first + shot.last) // 2])
                rows.append(row)
        return rows, signatures

    def _audio(
        self, unit: SourceUnit, folder: Path, decoded: DecodedSource, transcript: list[Utterance]
    ) -> tuple[list[ClipRow], list[Signature]]:
        windows = self.windows.process_audio(decoded)
        if not windows:
            needed_s = self.config.clip.samples / decoded.sample_rate_hz
            detail = f"lasts {decoded.duration_s:.2f} s, a clip needs {needed_s:.2f} s"
            return [self._whole_source(unit.source, decoded, Reason.TOO_SHORT, detail, self.windows.name)], []
        rows, signatures = [], []
        for window in windows:
            row = self._clip(unit.source, decoded, window, transcript)
            self._finish(folder, row, window)
            rows.append(row)
            signatures.append(self.signature.process(window, decoded.sample_rate_hz))
        return rows, signatures

    def _clip(self, source: Source, decoded: DecodedSource, window: Window, transcript: list[Utterance]) -> ClipRow:
        """Everything about a clip but its picture's scores."""
        t0_us, t1_us = round(window.t0_s * 1e6), round(window.t1_s * 1e6)
        spoken = [part for utterance in transcript if (part := utterance.between(window.t0_s, window.t1_s))]
        caption = self.captions.process(window, spoken)
        clip, has_picture = self.config.clip, window.frames_THWC is not None
        form: ClipRow = {"audio_sr": clip.sample_rate_hz, "audio_channels": 1, "n_samples": len(window.audio)}
        form["duration_s"] = len(window.audio) / clip.sample_rate_hz
        form["bucket"] = f"audio_{clip.samples}"
        if window.frames_THWC is not None:
            frames, height, width, _ = window.frames_THWC.shape
            form |= {
                "width": width,
                "height": height,
                "fps": float(clip.fps),
                "n_frames": frames,
                "duration_s": frames / clip.fps,
            }
            form["bucket"] = f"{frames}x{height}x{width}_{clip.samples}"
        return {
            **_of_source(source, decoded, self.versions),
            "clip_id": clip_id(source.sha256, t0_us, t1_us, self.pipeline_version),
            "modality": str(Modality.AUDIO_VIDEO if has_picture else Modality.AUDIO),
            "shot": window.shot if has_picture else None,
            "t0_us": t0_us,
            "t1_us": t1_us,
            **form,
            **asdict(self.sound.process(window.audio, decoded.sample_rate_hz)),
            "text_check": str(TextCheck.NOT_CHECKED),
            "tags": list(caption.tags),
            "speech": [_spoken(utterance, window.t0_s) for utterance in spoken],
            "caption": caption.text,
            "caption_backend": self.captions.backend,
        }

    def _picture_scores(
        self, window: Window, stills: list[Still], finding: TextFinding, offset: OffsetScore | None
    ) -> ClipRow:
        return {
            **asdict(self.picture.process(window, stills)),
            "text_check": str(finding.check),
            "text_boxes": [asdict(box) for box in finding.boxes],
            "av_backend": BACKEND,
            "av_offset_s": offset.offset_s if offset else None,
            "av_confidence": offset.confidence if offset else None,
        }

    def _finish(self, folder: Path, row: ClipRow, window: Window) -> None:
        """Decides by the scores, and writes the media of what may be kept."""
        decision = self.filters.process(row)
        row |= {"stage": self.filters.name, "status": str(Status.DROPPED if decision else Status.KEPT)}
        if window.frames_THWC is not None:
            _thumbnail(folder, row, window.frames_THWC[len(window.frames_THWC) // 2])
        if decision:
            row |= {"drop_reason": str(decision.reason), "detail": decision.detail}
            return
        audio_path = Path(MEDIA_DIR) / f"{row['clip_id']}.wav"
        write_wav(folder / audio_path, window.audio, self.config.clip.sample_rate_hz)
        row |= {"audio_path": audio_path.as_posix(), "audio_sha256": sha256_file(folder / audio_path)}
        if window.frames_THWC is not None:
            video_path = audio_path.with_suffix(".mp4")
            write_mp4(folder / video_path, window, self.config.clip)
            row |= {"video_path": video_path.as_posix(), "video_sha256": sha256_file(folder / video_path)}

    def _short_shot(self, source: Source, decoded: DecodedSource, shot: Shot) -> ClipRow:
        t0_us, t1_us = round(shot.t0_s * 1e6), round(shot.t1_s * 1e6)
        detail = f"the shot lasts {shot.duration_s:.2f} s, a clip needs {self.windows.clip_s:.2f} s"
        row = self._whole_source(source, decoded, Reason.TOO_SHORT, detail, self.windows.name)
        identity = clip_id(source.sha256, t0_us, t1_us, self.pipeline_version)
        return {
            **row,
            "clip_id": identity,
            "shot": shot.index,
            "t0_us": t0_us,
            "t1_us": t1_us,
            "duration_s": shot.duration_s,
        }

    def _whole_source(self, source: Source, decoded: DecodedSource, reason: Reason, detail: str, stage: str) -> ClipRow:
        return {
            **rejected_source(source, reason, detail, stage, self.versions),
            **_of_source(source, decoded, self.versions),
            "modality": str(Modality.AUDIO_VIDEO if decoded.has_video else Modality.AUDIO),
            "duration_s": decoded.duration_s,
        }


def rejected_source(source: Source, reason: Reason, detail: str, stage: str, versions: dict[str, str]) -> ClipRow:
    """The row of a source that never became clips; its id is the source's."""
    quarantined = {Reason.WORKER_KILLED, Reason.TIMED_OUT, Reason.WORKER_ERROR}
    status = Status.QUARANTINED if reason in quarantined else Status.FAILED if reason in _FAILED else Status.DROPPED
    return {
        "clip_id": source.source_id,
        "modality": str(Modality.UNKNOWN),
        "src_id": source.source_id,
        "src_sha256": source.sha256,
        "src_path": source.path,
        "licence": source.licence,
        "origin": source.origin,
        "status": str(status),
        "drop_reason": str(reason),
        "detail": detail,
        "stage": stage,
        "stage_versions": sorted(versions.items()),
    }


def _of_source(source: Source, decoded: DecodedSource, versions: dict[str, str]) -> ClipRow:
    return {
        "src_id": source.source_id,
        "src_sha256": source.sha256,
        "src_path": source.path,
        "licence": source.licence,
        "origin": source.origin,
        "source_width": decoded.width or None,
        "source_height": decoded.height or None,
        "packet_errors": decoded.packet_errors,
        "corrupt_frames": decoded.corrupt_frames,
        "stage_versions": sorted(versions.items()),
    }


def _stills(decoded: DecodedSource, t0_s: float, t1_s: float) -> list[Still]:
    return [still for still in decoded.stills if t0_s <= still.time_s < t1_s]


def _spoken(utterance: Utterance, t0_s: float) -> dict[str, Any]:
    start_s, stop_s = utterance.words[0].t0_s - t0_s, utterance.words[-1].t1_s - t0_s
    return {"speaker": utterance.speaker, "t0_s": start_s, "t1_s": stop_s, "text": utterance.text}


def _transcript(unit: SourceUnit) -> list[Utterance]:
    """The sidecar's utterances; a sidecar that cannot be read costs its text, not the media."""
    if unit.source.sidecar_path is None:
        return []
    try:
        return read_transcript(unit.media_root / unit.source.sidecar_path)
    except (OSError, ValueError):
        return []


def _thumbnail(folder: Path, row: ClipRow, picture_HWC: np.ndarray) -> None:
    path = Path(THUMBNAIL_DIR) / f"{row['clip_id']}.jpg"
    height, width = picture_HWC.shape[:2]
    size = (_THUMBNAIL_SIDE, round(_THUMBNAIL_SIDE * height / width))
    large = cv2.resize(picture_HWC, size, interpolation=cv2.INTER_NEAREST)
    encoded, data = cv2.imencode(
        ".jpg", cv2.cvtColor(large, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    assert encoded, "a picture in memory always encodes"
    (folder / path).write_bytes(data.tobytes())
    row["thumbnail_path"] = path.as_posix()


def read_signatures(folder: Path) -> dict[str, Signature]:
    """Signatures of a unit's clips by clip id."""
    with np.load(folder / SIGNATURES_FILE, allow_pickle=False) as arrays:
        names = [str(name) for name in arrays["clip_ids"]]
        columns = zip(arrays["embedding"], arrays["hashes"], arrays["sound"], strict=True)
        return {name: Signature(*column) for name, column in zip(names, columns, strict=True)}
