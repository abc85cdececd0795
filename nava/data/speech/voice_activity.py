"""When a voice is heard: Silero VAD (MIT), whose weights lie in the package `silero-vad`.

The model is run through onnxruntime on a single thread; the package itself, which loads PyTorch, is never imported. It
hears some singing and some tunes as speech.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nava.config.speech import VoiceActivityConfig
from nava.runtime.errors import InputError

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 512
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ

# The model takes a whole recording at once: each frame with the end of the one before it.
_MODEL_FILE = "data/silero_vad_16k_sequence.onnx"
_CONTEXT_SAMPLES = 64
_STATE_SHAPE = (1, 1, 128)
_ERRORS_ONLY = 3


@dataclass(frozen=True)
class SpeechSegment:
    """A stretch in which a voice is heard, in seconds of the clip."""

    t0_s: float
    t1_s: float

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return self.t1_s - self.t0_s

    @property
    def slice(self) -> slice:
        """Its samples at 16 kHz."""
        return slice(round(self.t0_s * SAMPLE_RATE_HZ), round(self.t1_s * SAMPLE_RATE_HZ))


class VoiceActivity:
    """Silero VAD, loaded.

    Raises:
        InputError: the package `silero-vad` is not installed, or has no such model.
    """

    backend = "silero_vad"

    def __init__(self, config: VoiceActivityConfig) -> None:
        self.config = config
        self._session = _load(_model_path())

    def probabilities(self, samples_N: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """How likely each 32 ms hold speech: [ceil(N / 512)] from mono samples at 16 kHz."""
        frames = -(-len(samples_N) // FRAME_SAMPLES)
        if not frames:
            return np.zeros(0, np.float32)
        frame_FN = np.pad(samples_N, (0, frames * FRAME_SAMPLES - len(samples_N))).reshape(frames, FRAME_SAMPLES)
        context_FN = np.pad(frame_FN[:-1, -_CONTEXT_SAMPLES:], ((1, 0), (0, 0)))
        state = np.zeros(_STATE_SHAPE, np.float32)
        inputs = {"input": np.hstack([context_FN, frame_FN]), "h": state, "c": state}
        return np.asarray(self._session.run(["speech_probs"], inputs)[0], np.float32).reshape(-1)

    def segments(self, samples_N: npt.NDArray[np.float32]) -> list[SpeechSegment]:
        """Where speech is heard, in order."""
        return speech_segments(self.probabilities(samples_N), len(samples_N) / SAMPLE_RATE_HZ, self.config)


def speech_segments(
    probability_F: npt.NDArray[np.float32], duration_s: float, config: VoiceActivityConfig
) -> list[SpeechSegment]:
    """Segments from the probabilities of frames of 32 ms: two thresholds, pauses bridged, short segments left out.

    Args:
        probability_F: 0 to 1.
        duration_s: no segment ends later.
        config: thresholds.
    """
    segments: list[SpeechSegment] = []
    start: int | None = None
    last = 0  # the frame after the last one above the lower threshold
    for index, probability in enumerate(probability_F):
        if start is not None and (index + 1 - last) * FRAME_S >= config.min_silence_s and probability < config.release:
            segments.append(SpeechSegment(start * FRAME_S, last * FRAME_S))
            start = None
        if start is None and probability >= config.threshold:
            start = index
        if start is not None and probability >= config.release:
            last = index + 1
    if start is not None:
        segments.append(SpeechSegment(start * FRAME_S, min(last * FRAME_S, duration_s)))
    return [segment for segment in segments if segment.duration_s >= config.min_speech_s]


def _model_path() -> Path:
    spec = find_spec("silero_vad")
    path = Path(spec.submodule_search_locations[0]) / _MODEL_FILE if spec and spec.submodule_search_locations else None
    if path is None or not path.is_file():
        raise InputError(
            f"voice activity needs the package silero-vad with its file {_MODEL_FILE}: pip install 'nava[data]'"
        )
    return path


def _load(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
