"""How much raw media the seeded generator makes."""

from dataclasses import dataclass, field, fields

from nava.config.checks import require, require_at_least, require_positive, require_shares


@dataclass
class DefectCounts:
    """Files with a defect, on top of the clean ones."""

    subtitled: int = 5  # burnt-in subtitles
    shifted: int = 5  # audio early or late against the picture
    near_duplicate: int = 6  # a clean file decoded and re-encoded: smaller, brighter, or coarser
    quiet: int = 3
    clipped: int = 3
    static: int = 3  # frozen picture under running sound
    blurred: int = 3
    truncated: int = 2
    garbage: int = 3  # named .mp4, but text or noise
    without_audio: int = 3


@dataclass
class SyntheticConfig:
    """The generated corpus (values of the `demo` recipe: about 600 two-second clips).

    Attributes:
        videos: clean video files.
        audio_files: audio-only files (WAV, FLAC, MP3) of 4 to 8 s.
        min_shots: fewest shots of a clean video.
        max_shots: most shots of a clean video.
        min_shot_s: shortest shot; 2.15 s is room for one clip of 49 frames at 24 fps, whatever the file's own rate.
        long_shot_s: length of a long shot, room for two clips.
        long_share: share of the clean shots that are long.
        flash_share: share of the clean shots that are of the family `flash`.
        fade_share: share of the transitions between clean shots that are fades; the others are hard cuts.
        sidecar_share: share of the files with speech that have a transcript beside them.
        defects: files with a defect.
        workers: processes that render; the result does not depend on it.
    """

    videos: int = 126
    audio_files: int = 40
    min_shots: int = 3
    max_shots: int = 5
    min_shot_s: float = 2.15
    long_shot_s: float = 4.4
    long_share: float = 0.06
    flash_share: float = 0.68
    fade_share: float = 0.05
    sidecar_share: float = 0.85
    defects: DefectCounts = field(default_factory=DefectCounts)
    workers: int = field(default=2, metadata={"identity": False})

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_at_least(self, "synthetic", ("videos", "audio_files"), 0)
        require_at_least(self.defects, "synthetic.defects", (item.name for item in fields(self.defects)), 0)
        require_at_least(self, "synthetic", ("min_shots", "workers"), 1)
        allowed = f"at least synthetic.min_shots, {self.min_shots}"
        require(self.max_shots >= self.min_shots, "synthetic.max_shots", self.max_shots, allowed)
        require_positive(self, "synthetic", ("min_shot_s", "long_shot_s"))
        require_shares(self, "synthetic", ("long_share", "flash_share", "fade_share", "sidecar_share"))
