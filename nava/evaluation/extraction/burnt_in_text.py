"""Text in the picture: subtitles that a model has learned to draw, or signs that belong there."""

from __future__ import annotations

import numpy as np

from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features

FRAMES = 4
MIN_SCORE = 0.8
MIN_CHARACTERS = 3
# Smaller pictures are enlarged: the reader was trained on larger letters.
MIN_HEIGHT = 256


class BurntInText:
    """RapidOCR on a few frames."""

    version = 1
    weights_sha256 = None

    def __init__(self) -> None:
        from nava.data.curation.text_readers import RapidOcrReader

        self._reader = RapidOcrReader()

    def extract(self, clip: ClipFile) -> Features:
        """`text_share` of the frames looked at, their number `frames`, and the `texts` that were read."""
        import cv2

        video_THWC = clip.frames_THWC
        chosen = np.unique(np.linspace(0, len(video_THWC) - 1, FRAMES).round().astype(int))
        texts: list[list[str]] = []
        for index in chosen:
            grey_HW = cv2.cvtColor(video_THWC[index], cv2.COLOR_RGB2GRAY)
            scale = -(-MIN_HEIGHT // grey_HW.shape[0])
            if scale > 1:
                grey_HW = cv2.resize(grey_HW, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            read = self._reader.read(grey_HW)
            texts.append([text for _, text, score in read if score >= MIN_SCORE and len(text) >= MIN_CHARACTERS])
        return Features(
            {
                "frames": len(chosen),
                "text_share": sum(map(bool, texts)) / len(chosen),
                "texts": sorted({text for found in texts for text in found}),
            }
        )
