"""Technical quality of the picture, frame by frame."""

from __future__ import annotations

from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features, scored


class Frames:
    """Needs no weights."""

    version = 1
    weights_sha256 = None

    def extract(self, clip: ClipFile) -> Features:
        """`sharpness`, `flicker`, `frozen_share`, `colourfulness`, `exposure`, `frames`."""
        from nava.evaluation.scoring.picture_quality import colourfulness, exposure, flicker, frozen_share, sharpness

        video_THWC = clip.frames_THWC
        scores = scored(
            flicker=flicker(video_THWC), frozen_share=frozen_share(video_THWC), exposure=exposure(video_THWC)
        )
        return Features(
            {
                **scores,
                "frames": len(video_THWC),
                "sharpness": float(sharpness(video_THWC).mean()),
                "colourfulness": float(colourfulness(video_THWC).mean()),
            }
        )
