"""Optical character recognition behind one interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from nava.config.curation import TextConfig
from nava.runtime.errors import InputError

_DETECTOR, _RECOGNISER, _CHARACTERS = "det.onnx", "rec.onnx", "characters.txt"

# Corners [4, 2] in pixels (x, y), the text, and a score from 0 to 1.
ReadText = tuple[npt.NDArray[np.float64], str, float]


class TextReader(Protocol):
    """Reads text in a picture.

    Attributes:
        name: as records carry it. proven: whether it has run on its real weights.
    """

    name: str
    proven: bool

    def read(self, luma_HW: npt.NDArray[np.uint8]) -> list[ReadText]:
        """What is written in a grey picture, uint8."""


class RapidOcrReader:
    """PP-OCR models through ONNX, those inside the wheel of `rapidocr`."""

    name = "rapidocr"
    proven = True

    def __init__(self, **models: str) -> None:
        from rapidocr import RapidOCR

        # Sources are read in parallel processes; threads within one would only wait for each other.
        one = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        size = {"Det.limit_type": "max", "Det.limit_side_len": 960}
        parameters = {"Global.log_level": "error", "Global.use_cls": False, **size, **one, **models}
        self._engine: Any = RapidOCR(params=parameters)

    def read(self, luma_HW: npt.NDArray[np.uint8]) -> list[ReadText]:
        """Detection and recognition; detection alone finds text where there is none."""
        result = self._engine(cv2.cvtColor(luma_HW, cv2.COLOR_GRAY2BGR), use_det=True, use_rec=True)
        if result.txts is None:
            return []
        found = zip(result.boxes, result.txts, result.scores, strict=True)
        return [(np.asarray(corners, dtype=float), text, float(score)) for corners, text, score in found]


class PaddleOcrReader(RapidOcrReader):
    """PaddleOCR models of the operator's, exported to ONNX (paddle2onnx), such as the server models of PP-OCRv5.

    Args:
        folder: holds `det.onnx`, `rec.onnx` and, where the recogniser does not carry its characters, `characters.txt`,
            one a line.

    Raises:
        InputError: a file is missing, or the models are not of PP-OCR's form.
    """

    name = "paddleocr"
    proven = False

    def __init__(self, folder: Path) -> None:
        for file in (_DETECTOR, _RECOGNISER):
            if not (folder / file).is_file():
                raise InputError(
                    f"curation.text.weights: {folder / file} is missing; export the model with paddle2onnx, or set "
                    "curation.text.backend to rapidocr, whose models are in its package"
                )
        models = {"Det.model_path": str(folder / _DETECTOR), "Rec.model_path": str(folder / _RECOGNISER)}
        if (folder / _CHARACTERS).is_file():
            models["Rec.rec_keys_path"] = str(folder / _CHARACTERS)
        try:
            super().__init__(**models)
            # The engine loads a model when it is first used: each is used once, so that a wrong file is refused here.
            blank_HWC = np.zeros((48, 320, 3), np.uint8)
            for used in ("use_det", "use_rec"):
                self._engine(blank_HWC, **{"use_det": False, "use_rec": False} | {used: True})
        except Exception as error:
            raise InputError(f"curation.text.weights: {folder} holds no PP-OCR models: {error}") from error


def make_reader(config: TextConfig) -> TextReader:
    """The reader that a configuration names, with its models loaded.

    Raises:
        InputError: its models are missing.
    """
    return PaddleOcrReader(Path(config.weights)) if config.backend == "paddleocr" else RapidOcrReader()
