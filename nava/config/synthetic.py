"""How much raw media the seeded generator makes."""

from dataclasses import dataclass, field, fields

from nava.config.checks import require, require_at_least, require_positive, require_shares

SHOT_KINDS = ("flash", "impact", "talk", "dialog", "music", "tone", "rain", "landscape", "singing", "silent")
OTHER_KINDS = ("talk", "impact", "dialog", "music", "tone", "rain", "talk", "impact", "music", "silent")


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
class CaseCounts:
    """Files that each put one question to curation, at the picture sizes of real uploads; none in the demo.

    The forms of a case take turns, so a count that is a multiple of its forms has each equally often.
    """

    transitions: int = 0  # films of several shots joined by hard cuts, fades through black and white, and dissolves
    subtitled: int = 0  # burnt-in text: styles, bands, sizes, persistent and changing lines
    synchronous: int = 0  # talk, dialogue and impacts whose sound is in time
    shifted: int = 0  # the same with the sound early or late
    families: int = 0  # music, singing, wind, rain, tones, silence
    recordings: int = 0  # audio-only: one speaker, two speakers, music, singing, rain; WAV, FLAC, MP3, M4A
    forms: int = 0  # sound files of unusual form: variable frame rate, rotated, 5.1, odd size, long GOP, MOV, MKV, WebM
    rescaled: int = 0  # copies of films, decoded and encoded again: a smaller picture
    recompressed: int = 0  # coarser
    brightened: int = 0  # brighter
    cropped: int = 0  # without their edge
    mirrored: int = 0  # left and right exchanged
    with_logo: int = 0  # with a broadcaster's mark in a corner
    undecodable: int = 0  # empty, zeros, noise, text, HTML, a film without its index, a film's first bytes
    damaged: int = 0  # many packets zeroed or flipped
    slightly_damaged: int = 0  # a single one: below any sensible threshold
    spoilt: int = 0  # quiet, clipped, frozen, blurred, silent, without an audio track


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
        other_kinds: kinds of the other shots, which take turns; one that stands here twice comes twice as often.
        fade_share: share of the transitions between clean shots that are fades; the others are hard cuts.
        sidecar_share: share of the files with speech that have a transcript beside them.
        defects: files with a defect.
        cases: files of the labelled corpus, on which the accuracy of curation is measured.
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
    other_kinds: list[str] = field(default_factory=lambda: list(OTHER_KINDS))
    fade_share: float = 0.05
    sidecar_share: float = 0.85
    defects: DefectCounts = field(default_factory=DefectCounts)
    cases: CaseCounts = field(default_factory=CaseCounts)
    workers: int = field(default=2, metadata={"identity": False})

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_at_least(self, "synthetic", ("videos", "audio_files"), 0)
        require_at_least(self.defects, "synthetic.defects", (item.name for item in fields(self.defects)), 0)
        require_at_least(self.cases, "synthetic.cases", (item.name for item in fields(self.cases)), 0)
        require_at_least(self, "synthetic", ("min_shots", "workers"), 1)
        allowed = f"at least synthetic.min_shots, {self.min_shots}"
        require(self.max_shots >= self.min_shots, "synthetic.max_shots", self.max_shots, allowed)
        known = bool(self.other_kinds) and set(self.other_kinds) <= set(SHOT_KINDS)
        require(known, "synthetic.other_kinds", self.other_kinds, f"one or more of {', '.join(SHOT_KINDS)}")
        require_positive(self, "synthetic", ("min_shot_s", "long_shot_s"))
        require_shares(self, "synthetic", ("long_share", "flash_share", "fade_share", "sidecar_share"))
