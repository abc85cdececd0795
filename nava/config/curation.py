"""What curation does to raw media and what it keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from nava.config.checks import require, require_at_least, require_positive, require_shares


@dataclass
class DecodeConfig:
    """How far a file is trusted before it is called broken."""

    max_source_duration_s: float = 900.0
    max_error_share: float = 0.005  # packet errors and corrupt frames, of all packets
    min_decoded_share: float = 0.97  # of the duration the container promises
    source_timeout_s: float = 600.0


@dataclass
class CutConfig:
    """Where shots begin and end."""

    hash_threshold: float = 0.3  # PySceneDetect HashDetector: share of differing hash bits
    min_changed_share: float = 0.35  # of the pixels, in one frame
    fade_luma: float = 4.0  # mean steps (0-255) from black or white within which the picture counts as faded out
    min_shot_frames: int = 8
    margin_s: float = 0.042  # kept away from a cut on both sides
    fade_margin_s: float = 0.25  # kept away from the dark end of a fade


@dataclass
class ClipConfig:
    """The form every clip is brought into."""

    width: int = 64
    height: int = 64
    fps: int = 24
    frames: int = 49
    sample_rate_hz: int = 16_000
    samples: int = 33_280
    max_clips_per_shot: int = 4
    video_crf: int = 14
    audio_bitrate_bps: int = 64_000


@dataclass
class FilterConfig:
    """Thresholds of the filters; scores are stored whatever these say."""

    min_sharpness: float = 3.5  # standard deviation of the Laplacian, luma steps (0-255)
    max_static_ratio: float = 0.98
    max_silence_ratio: float = 0.98
    silence_dbfs: float = -60.0
    min_lufs: float = -50.0
    max_clip_ratio: float = 0.003
    max_av_offset_s: float = 0.12
    min_av_confidence: float = 0.2
    max_av_lag_s: float = 0.8
    min_text_characters: int = 4
    min_text_score: float = 0.6


@dataclass
class TextConfig:
    """How much is spent on looking for burnt-in text."""

    frames_per_source: int = 3
    min_edge_share: float = 0.08  # of the columns of a band that carry text-like edges


@dataclass
class DuplicateConfig:
    """When two clips are the same clip."""

    min_cosine: float = 0.975
    max_hash_distance: float = 0.2  # share of differing bits of aligned frames
    min_audio_correlation: float = 0.99


@dataclass
class CurationConfig:
    """Curation of raw media into clips (values of the `demo` recipe)."""

    workers: int = field(default=2, metadata={"identity": False})
    heldout_share: float = 0.18
    kept_thumbnails: int = 24
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    cuts: CutConfig = field(default_factory=CutConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    filters: FilterConfig = field(default_factory=FilterConfig)
    text: TextConfig = field(default_factory=TextConfig)
    duplicates: DuplicateConfig = field(default_factory=DuplicateConfig)

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_shares(self, "curation", ("heldout_share",))
        require_at_least(self, "curation", ("workers",), 1)
        require_at_least(self, "curation", ("kept_thumbnails",), 0)
        require_positive(self.decode, "curation.decode", ("max_source_duration_s", "source_timeout_s"))
        require_shares(self.decode, "curation.decode", ("max_error_share", "min_decoded_share"))
        require_shares(self.cuts, "curation.cuts", ("hash_threshold", "min_changed_share"))
        require_at_least(self.cuts, "curation.cuts", ("min_shot_frames",), 1)
        form = ("width", "height", "fps", "frames", "sample_rate_hz", "samples", "max_clips_per_shot")
        require_at_least(self.clip, "curation.clip", (*form, "audio_bitrate_bps"), 1)
        # The model, the metrics and the served clips know these rates only.
        require(self.clip.fps == 24, "curation.clip.fps", self.clip.fps, "24")
        rate = self.clip.sample_rate_hz
        require(rate == 16_000, "curation.clip.sample_rate_hz", rate, "16000")
        ratios = ("max_static_ratio", "max_silence_ratio", "max_clip_ratio", "min_text_score")
        require_shares(self.filters, "curation.filters", ratios)
        require_at_least(self.text, "curation.text", ("frames_per_source",), 1)
        require_shares(self.text, "curation.text", ("min_edge_share",))
        alike = ("min_cosine", "max_hash_distance", "min_audio_correlation")
        require_shares(self.duplicates, "curation.duplicates", alike)
