"""What is said, by Whisper large v3: the recogniser of Seed-TTS-eval's English WER (section 1.7 of the reference)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from nava.artifacts.weight_files import WeightFile
from nava.config.speech import RecognitionConfig
from nava.data.speech.whisper import FasterWhisper
from nava.evaluation.backends.pretrained_folder import WEIGHTS_FILE, pretrained, require_files
from nava.evaluation.backends.weights import verified_sha256
from nava.evaluation.extraction.clip_file import SPEECH_RATE_HZ, ClipFile
from nava.evaluation.extraction.features import Features
from nava.runtime.errors import InputError

LANGUAGE = "en"
# Seed-TTS-eval gives Whisper one window, and what comes later is not recognised.
HEARD_S = 30
CTRANSLATE2_FILE = "model.bin"
_REPOSITORY = "openai/whisper-large-v3"
FILES = tuple(
    WeightFile(name, size, "MIT", _REPOSITORY)
    for name, size in (
        (WEIGHTS_FILE, "3.1 GB"),
        ("config.json", "2 kB"),
        ("generation_config.json", "4 kB"),
        ("preprocessor_config.json", "1 kB"),
        ("tokenizer.json", "2 MB"),
    )
)


class Engine(Protocol):
    """Whisper in one of two libraries."""

    name: str

    def text(self, samples_N: np.ndarray) -> str:
        """What is said in 16 kHz samples [N], at most 30 s of them."""
        ...


class WhisperLargeV3:
    """Greedy, told that the language is English.

    Args:
        weights: folder as `openai/whisper-large-v3` has it, or one that CTranslate2 converted, which computes faster
            and differs in rounding: the features say by `engine` which it was.
        sha256: what the hash of `weights` must be, as `nava.runtime.hashing.sha256_path` gives it.
        device: where it computes.

    Raises:
        InputError: a file is missing or another, or has a tensor too few or too many.
    """

    version = 1
    needs_weights: ClassVar[bool] = True
    weights_sha256: str | None = None

    def __init__(self, weights: str, sha256: str = "", device: str = "cpu") -> None:
        self._engine: Engine
        if (Path(weights).expanduser() / CTRANSLATE2_FILE).is_file():
            self.weights_sha256 = verified_sha256("whisper_large_v3", weights, sha256)
            self._engine = Ctranslate2Whisper.open(weights, device)
        else:
            folder = require_files(weights, FILES)
            self.weights_sha256 = verified_sha256("whisper_large_v3", weights, sha256)
            self._engine = TransformersWhisper(folder, device)

    def extract(self, clip: ClipFile) -> Features:
        """`text`, empty if nothing was understood; `engine`; `seconds`, and `heard_s` of them, at most 30.

        Silence has a text too: what the network makes of it.
        """
        samples_N = fourier_resampled(clip.own_samples_N, clip.sample_rate)
        heard_N = samples_N[: HEARD_S * SPEECH_RATE_HZ]
        return Features(
            {
                "text": self._engine.text(heard_N).strip(),
                "engine": self._engine.name,
                "seconds": len(samples_N) / SPEECH_RATE_HZ,
                "heard_s": len(heard_N) / SPEECH_RATE_HZ,
            }
        )


class TransformersWhisper:
    """Whisper of the transformers library, as Seed-TTS-eval uses it.

    Args:
        folder: as on the hub.
        device: where it computes.

    Raises:
        InputError: the folder does not hold a Whisper model that can be told the language.
    """

    name = "transformers"

    def __init__(self, folder: Path, device: str) -> None:
        from transformers import PreTrainedTokenizerFast, WhisperFeatureExtractor, WhisperForConditionalGeneration

        self._model = pretrained(WhisperForConditionalGeneration, folder, device)
        if f"<|{LANGUAGE}|>" not in (getattr(self._model.generation_config, "lang_to_id", None) or {}):
            raise InputError(
                f"{folder / 'generation_config.json'} has no lang_to_id with '<|{LANGUAGE}|>': copy it again from "
                f"{_REPOSITORY}; older ones cannot be told the language"
            )
        self._analysis: Any = WhisperFeatureExtractor.from_pretrained(str(folder), local_files_only=True)
        self._tokenizer: Any = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        self._device = device

    def text(self, samples_N: np.ndarray) -> str:
        """See `Engine.text`."""
        import torch

        found = self._analysis(samples_N, sampling_rate=SPEECH_RATE_HZ, return_tensors="pt")
        with torch.inference_mode():
            tokens_1T = self._model.generate(
                found.input_features.to(self._device),
                language=LANGUAGE,
                task="transcribe",
                do_sample=False,
                num_beams=1,
            )
        return str(self._tokenizer.decode(tokens_1T[0], skip_special_tokens=True))


class Ctranslate2Whisper(FasterWhisper):
    """Whisper through faster-whisper, for its text as it was written, not for its words and their times."""

    name = "ctranslate2"

    @classmethod
    def open(cls, weights: str, device: str) -> Ctranslate2Whisper:
        """From a converted folder, in float16 on a GPU and float32 elsewhere. InputError if it cannot be loaded."""
        compute_type = "float16" if device.startswith("cuda") else "float32"
        kind = device.partition(":")[0]
        try:
            return cls(
                RecognitionConfig(
                    backend="faster_whisper", model=weights, language=LANGUAGE, compute_type=compute_type, device=kind
                )
            )
        except InputError as error:
            raise InputError(f"backend whisper_large_v3: {error}") from error

    def text(self, samples_N: np.ndarray) -> str:
        """See `Engine.text`."""
        segments, _ = self._model.transcribe(
            samples_N,
            language=LANGUAGE,
            task="transcribe",
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=False,
            without_timestamps=True,
        )
        return "".join(segment.text for segment in segments)


def fourier_resampled(samples_N: np.ndarray, rate_hz: int) -> np.ndarray:
    """Samples at 16 kHz, float32, by the Fourier transform of the whole recording, as Seed-TTS-eval resamples."""
    if rate_hz == SPEECH_RATE_HZ:
        return samples_N.astype(np.float32)
    from scipy.signal import resample

    resampled_N: np.ndarray = resample(samples_N, int(len(samples_N) * SPEECH_RATE_HZ / rate_hz)).astype(np.float32)
    return resampled_N
