"""What a corpus has to be before anything is versioned or trained on."""

from dataclasses import dataclass


@dataclass
class ValidationConfig:
    """Bounds of the data gate (values of the `demo` recipe); what single clips must hold is in `CurationConfig`."""

    min_kept_clips: int = 2
    min_train_clips: int = 1
    min_heldout_clips: int = 1
    max_not_kept_share: float = 0.9
    min_caption_characters: int = 5
    max_caption_characters: int = 2000
