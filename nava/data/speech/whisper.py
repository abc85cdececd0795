"""Whisper through faster-whisper (CTranslate2), from a local folder. Nothing is ever downloaded."""

from __future__ import annotations

from pathlib import Path

from nava.config.speech import RecognitionConfig
from nava.data.speech.recognition import Recogniser, Recording
from nava.data.speech.transcript import Word, plain_words
from nava.runtime.errors import InputError

# Without tokenizer.json, faster-whisper would fetch one from the hub.
_NEEDED = ("model.bin", "config.json", "tokenizer.json")
_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
_OBTAIN = (
    "copy a converted model such as Systran/faster-whisper-large-v3, or convert one: ct2-transformers-converter "
    "--model DIR --output_dir DIR --copy_files tokenizer.json preprocessor_config.json"
)


class FasterWhisper(Recogniser):
    """A Whisper model in CTranslate2's format, on one thread. Greedy or beam search at temperature 0: no dice.

    Raises:
        InputError: the folder or a file of it is missing or damaged; the package is not installed.
    """

    def __init__(self, config: RecognitionConfig) -> None:
        folder = Path(config.model).expanduser()
        _require_files(folder)
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise InputError(
                "speech.recognition.backend is faster_whisper, which is not installed: pip install 'nava[speech]'"
            ) from error
        try:
            self._model = WhisperModel(
                str(folder),
                device=config.device,
                compute_type=config.compute_type,
                cpu_threads=1,
                num_workers=1,
                local_files_only=True,
            )
        except Exception as error:  # CTranslate2 raises RuntimeError, tokenizers a plain Exception
            raise InputError(f"{folder} cannot be loaded as a Whisper model: {error}; {_OBTAIN}") from error
        self._config, self._name = config, folder.resolve().name

    @property
    def backend(self) -> str:
        """See `Recogniser.backend`."""
        return f"faster_whisper:{self._name}{'' if self.proven else ' (unproven)'}"

    def words(self, recording: Recording) -> list[Word]:
        """See `Recogniser.words`."""
        segments, _ = self._model.transcribe(
            recording.samples_N,
            language=self._config.language or None,
            beam_size=self._config.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            vad_filter=False,
            word_timestamps=True,
        )
        return [
            Word(" ".join(plain), float(word.start), float(word.end))
            for segment in segments
            for word in segment.words or ()
            if (plain := plain_words(word.word))
        ]


def _require_files(folder: Path) -> None:
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        missing.append(_VOCABULARIES[0])
    if missing:
        raise InputError(
            f"speech.recognition.model is {str(folder)!r}, which lacks {', '.join(missing)} of a Whisper model in "
            f"CTranslate2's format: {_OBTAIN}"
        )
