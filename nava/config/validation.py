"""What a corpus has to be before anything is versioned or trained on."""

from dataclasses import dataclass

from nava.config.checks import require, require_at_least, require_shares


@dataclass
class ValidationConfig:
    """Bounds of the data gate (values of the `demo` recipe); what single clips must hold is in `CurationConfig`."""

    min_kept_clips: int = 2
    min_train_clips: int = 1
    min_heldout_clips: int = 1
    max_not_kept_share: float = 0.9
    min_caption_characters: int = 5
    max_caption_characters: int = 2000

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        counts = ("min_kept_clips", "min_train_clips", "min_heldout_clips", "min_caption_characters")
        require_at_least(self, "validation", counts, 0)
        require_shares(self, "validation", ("max_not_kept_share",))
        least, most = self.min_caption_characters, self.max_caption_characters
        allowed = f"at least validation.min_caption_characters, {least}"
        require(most >= least, "validation.max_caption_characters", most, allowed)
