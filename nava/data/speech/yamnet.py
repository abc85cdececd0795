"""YAMNet, the AudioSet classifier, from a file of the operator: TFLite as Google publishes it, or an ONNX export.

Either takes mono samples at 16 kHz and gives the scores of 521 classes. The published TFLite file takes exactly 15 600
samples (0.975 s), others any number; see https://www.kaggle.com/models/google/yamnet.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nava.config.speech import AudioTagConfig
from nava.data.speech.audio_tags import AudioTag, AudioTagger
from nava.data.speech.recognition import Recording
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file

Samples = npt.NDArray[np.float32]
# Samples [N] to scores [M, C] of M stretches of time.
Scorer = Callable[[Samples], npt.NDArray[np.float32]]

CLASSES = 521
PATCH_SAMPLES, PATCH_HOP = 15_600, 7_800
_OBTAIN = "copy yamnet.tflite (4,126,810 bytes) or an ONNX export of it, and yamnet_class_map.csv of the same release"

# AudioSet's display names. Its speech classes make no tag: speakers are counted from the turns.
_SINGING = frozenset(
    {
        "Singing",
        "Choir",
        "Yodeling",
        "Chant",
        "Mantra",
        "Child singing",
        "Synthetic singing",
        "Rapping",
        "Humming",
        "A capella",
        "Vocal music",
    }
)
_MUSIC = frozenset(
    {"Music", "Musical instrument", "Song", "Orchestra", "Jingle (music)", "Lullaby", "Soundtrack music"}
)
_SPEECH = frozenset(
    {
        "Speech",
        "Child speech, kid speaking",
        "Conversation",
        "Narration, monologue",
        "Babbling",
        "Speech synthesizer",
        "Whispering",
    }
)


class YamnetTagger(AudioTagger):
    """Scores of 521 AudioSet classes, averaged over the clip, and what they mean here.

    Raises:
        InputError: a file is missing, damaged, or another than the settings say.
    """

    def __init__(self, config: AudioTagConfig) -> None:
        path = Path(config.model).expanduser()
        if not path.is_file():
            raise InputError(f"speech.audio_tags.model is {config.model!r}, where there is no file: {_OBTAIN}")
        digest = sha256_file(path)
        if config.sha256 and digest != config.sha256.lower():
            raise InputError(f"{path} has sha256 {digest}, but speech.audio_tags.sha256 is {config.sha256}")
        self.names = read_class_map(Path(config.class_map).expanduser())
        self._min_score, self._sha256 = config.min_score, digest
        self._score = load_tflite(path) if path.suffix == ".tflite" else load_onnx(path)

    @property
    def backend(self) -> str:
        """See `AudioTagger.backend`."""
        return f"yamnet:{self._sha256[:12]}{'' if self.proven else ' (unproven)'}"

    def kinds(self, recording: Recording, speakers: int, sung_s: float) -> set[AudioTag]:
        """See `AudioTagger.kinds`; what the pitch says of singing does not count here."""
        score_C = self._score(recording.samples_N).mean(axis=0)
        found = {meaning(self.names[index]) for index in np.flatnonzero(score_C >= self._min_score)} - {None}
        if not found and not speakers:
            found = {meaning(self.names[int(score_C.argmax())]) or AudioTag.AMBIENT}
        return {tag for tag in found if tag is not None}


def meaning(display_name: str) -> AudioTag | None:
    """Our tag for a class of AudioSet; none for speech."""
    if display_name in _SPEECH:
        return None
    if display_name == "Silence":
        return AudioTag.SILENCE
    if display_name in _SINGING or display_name.endswith(" singing"):
        return AudioTag.SINGING
    if display_name in _MUSIC or display_name.endswith(" music"):
        return AudioTag.MUSIC
    return AudioTag.AMBIENT


def read_class_map(path: Path) -> list[str]:
    """Display names by class index.

    Raises:
        InputError: no such file, or not the columns index, mid, display_name with indices from 0 to 520.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            names = {int(row["index"]): row["display_name"] for row in csv.DictReader(file)}
    except OSError as error:
        raise InputError(f"speech.audio_tags.class_map: {path} cannot be read ({error.strerror}): {_OBTAIN}") from error
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path} is not YAMNet's class map: it needs the columns index, mid, display_name") from error
    if sorted(names) != list(range(CLASSES)):
        raise InputError(f"{path} names {len(names)} classes; YAMNet has {CLASSES}, numbered from 0")
    return [names[index] for index in range(CLASSES)]


def load_onnx(path: Path) -> Scorer:
    """An ONNX export: one input of samples [N], scores [M, 521] among its outputs.

    Raises:
        InputError: not such a file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an exception for every status
        raise InputError(f"{path} is not an ONNX model, or is cut short: {_OBTAIN}") from error
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise InputError(f"{path} has {len(inputs)} inputs; YAMNet takes samples alone")

    def score(samples_N: Samples) -> npt.NDArray[np.float32]:
        return _scores_among(session.run(None, {inputs[0].name: samples_N}), path)

    return score


def load_tflite(path: Path) -> Scorer:
    """A TFLite file: one input of samples, [N] or exactly [15600], scores [M, 521] among its outputs.

    Raises:
        InputError: not such a file, or `ai-edge-litert` is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise InputError(f"{path} needs the package ai-edge-litert: pip install 'nava[speech]'") from error
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        (entry,) = interpreter.get_input_details()
    except ValueError as error:
        raise InputError(f"{path} is not a TFLite model with one input: {_OBTAIN}") from error
    fixed = list(entry["shape_signature"]) == [PATCH_SAMPLES]

    def run(samples_N: Samples) -> npt.NDArray[np.float32]:
        if not fixed:
            interpreter.resize_tensor_input(entry["index"], [len(samples_N)])
        interpreter.allocate_tensors()
        interpreter.set_tensor(entry["index"], samples_N)
        interpreter.invoke()
        outputs = [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]
        return _scores_among(outputs, path)

    def score(samples_N: Samples) -> npt.NDArray[np.float32]:
        if not fixed:
            return run(samples_N)
        return np.concatenate([run(patch_N) for patch_N in patches(samples_N)])

    return score


def patches(samples_N: Samples) -> list[Samples]:
    """Stretches of 15 600 samples, half overlapping, that cover a clip; the last one is padded with silence."""
    count = 1 + max(0, -(-(len(samples_N) - PATCH_SAMPLES) // PATCH_HOP))
    padded = np.pad(samples_N, (0, max(0, (count - 1) * PATCH_HOP + PATCH_SAMPLES - len(samples_N))))
    return [padded[index * PATCH_HOP : index * PATCH_HOP + PATCH_SAMPLES] for index in range(count)]


def _scores_among(outputs: list[Any], path: Path) -> npt.NDArray[np.float32]:
    """The first output whose last axis is the classes."""
    for output in outputs:
        if np.ndim(output) in (1, 2) and np.shape(output)[-1] == CLASSES:
            return np.asarray(output, np.float32).reshape(-1, CLASSES)
    shapes = ", ".join(str(list(np.shape(output))) for output in outputs)
    raise InputError(f"{path} gives {shapes}; YAMNet gives scores of {CLASSES} classes")
