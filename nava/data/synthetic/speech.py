"""Speech from espeak-ng with the times of its words and phonemes.

espeak-ng is not deterministic: it seeds its noise from the clock and keeps hidden state between utterances. A seed and
one process per utterance, forked from a parent that never used the library, make it so. That also keeps the GPL library
out of this process.
"""

import ctypes
import importlib.util
import json
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nava.runtime.errors import InputError

SAMPLE_RATE_HZ = 22_050
TIMEOUT_S = 30

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback before espeak_Synth returns
_PHONEME_EVENTS, _PHONEMES_AS_IPA, _DONT_EXIT = 0x0001, 0x0002, 0x8000
_UTF8, _POSITION_CHARACTER = 1, 1
_RATE, _PITCH = 1, 3
_EVENT_END_OF_LIST, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7

# How far the mouth opens for a vowel, by the first vowel letter of its IPA symbol.
_OPENNESS = {
    **dict.fromkeys("aɑæʌɐ", 1.0),
    **dict.fromkeys("ɔoɒ", 0.8),
    **dict.fromkeys("ɛeəɜɚ", 0.65),
    **dict.fromkeys("iɪuʊ", 0.45),
}
_CLOSED = set("mbp")
_CONSONANT_OPENNESS = 0.2
_WORD = re.compile(r"[\w']+")


@dataclass(frozen=True)
class Voice:
    """A speaker: a name for the transcript; an espeak voice, its speed in words per minute, its pitch (0 to 99)."""

    speaker: str
    espeak_voice: str
    words_per_minute: int
    pitch: int


VOICES = (
    Voice("Ada", "en-us+f2", 165, 60),
    Voice("Ben", "en-us+m1", 160, 35),
    Voice("Cleo", "en-gb-scotland+f3", 165, 65),
    Voice("Dan", "en-gb-x-rp+m5", 155, 30),
    Voice("Eve", "en-us+f4", 175, 70),
    Voice("Finn", "en-us+m7", 170, 42),
)

SENTENCES = (
    "The kettle is on the stove.",
    "We walked along the river.",
    "Put the blue box down here.",
    "She opened both windows.",
    "Nobody saw the last train.",
    "The market closes at noon.",
    "He painted the old fence.",
    "Rain fell on the tin roof.",
    "Their boat came back late.",
    "I left my coat upstairs.",
    "A dog barked in the yard.",
    "The road bends to the left.",
    "My brother plays the piano.",
    "Two birds sat on the wire.",
    "They carried water uphill.",
    "The lamp by the door is broken.",
    "Bread and honey for breakfast.",
    "Snow covered every garden.",
    "Look at the moon tonight.",
    "The baker opens very early.",
    "Our garden needs more water.",
    "A cold wind came from the hills.",
    "The letter arrived on Monday.",
    "Ask him about the ladder.",
)
SHORT_SENTENCES = (
    "Where are you going?",
    "Only to the shop.",
    "Did you hear that?",
    "No, nothing at all.",
    "Is the door open?",
    "I closed it today.",
    "How much was it?",
    "Nearly nine pounds.",
    "Can you see them?",
    "Not from over here.",
)


@dataclass(frozen=True)
class Word:
    """A spoken word, in seconds from the utterance's first sample."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Utterance:
    """Speech with its timings.

    Attributes:
        samples_L: float32 in [-1, 1] at `SAMPLE_RATE_HZ`.
        phonemes: (start in seconds, IPA symbol), in order; an empty symbol is a pause.
    """

    text: str
    voice: Voice
    samples_L: NDArray[np.float32]  # noqa: N815
    words: tuple[Word, ...]
    phonemes: tuple[tuple[float, str], ...]

    @property
    def duration_s(self) -> float:
        """Length of the samples."""
        return len(self.samples_L) / SAMPLE_RATE_HZ


def require_espeak() -> None:
    """Raise InputError when the speech synthesiser is not installed."""
    if importlib.util.find_spec("espeakng_loader") is None:
        raise InputError(
            "the synthetic corpus needs the speech synthesiser espeak-ng, which is not installed: "
            "pip install 'nava[demo]', or give a folder of your own media with --source DIR"
        )


def speak(text: str, voice: Voice, seed: int) -> Utterance:
    """Synthesise one utterance in a process of its own; the same arguments give the same samples.

    Raises:
        InputError: espeakng-loader is not installed.
        RuntimeError: espeak-ng refused the voice, failed, or took longer than `TIMEOUT_S`.
    """
    require_espeak()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _run_child(writer, text, voice, seed)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    head, _, pcm = answer.partition(b"\n")
    if status != 0:
        reason = head.decode(errors="replace") or f"exit status {os.waitstatus_to_exitcode(status)}"
        raise RuntimeError(f"espeak-ng could not speak {text!r} as {voice.espeak_voice}: {reason}")
    return _utterance(text, voice, json.loads(head), pcm)


def _utterance(text: str, voice: Voice, events: dict[str, list[list[int | str]]], pcm: bytes) -> Utterance:
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768.0
    words = _words(text, {int(position): int(sample) for sample, position in events["words"]}, len(samples))
    phonemes = tuple((int(start) / SAMPLE_RATE_HZ, str(symbol)) for start, symbol in events["phonemes"])
    return Utterance(text, voice, samples, words, phonemes)


def _words(text: str, starts: dict[int, int], n_samples: int) -> tuple[Word, ...]:
    """Words with their times, from the start sample of some of them by position in the text.

    espeak joins short words to their neighbour ("on the") and reports one start for both: their letters share the time.
    """
    found = list(_WORD.finditer(text))
    letters = np.concatenate([[0], np.cumsum([len(match.group()) for match in found])])
    known = [(letters[i], starts[match.start()]) for i, match in enumerate(found) if match.start() in starts]
    known = [(0, 0), *[pair for pair in known if pair[0] > 0], (letters[-1], n_samples)]
    bounds = np.interp(letters, [letter for letter, _ in known], [sample for _, sample in known]) / SAMPLE_RATE_HZ
    return tuple(
        Word(match.group(), round(float(start), 4), round(float(end), 4))
        for match, start, end in zip(found, bounds, bounds[1:], strict=False)
    )


def _run_child(writer: int, text: str, voice: Voice, seed: int) -> None:
    """The forked process: speak, write a line of JSON and the PCM, leave without running the parent's clean-up."""
    status = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(TIMEOUT_S)
        with os.fdopen(writer, "wb") as pipe:
            try:
                head, pcm = _synthesise(text, voice, seed)
                pipe.write(json.dumps(head).encode() + b"\n" + pcm)
                status = 0
            except Exception as error:
                pipe.write(f"{type(error).__name__}: {error}".replace("\n", " ").encode())
    finally:
        os._exit(status)


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def _synthesise(text: str, voice: Voice, seed: int) -> tuple[dict[str, list[list[int | str]]], bytes]:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = str(Path(espeakng_loader.get_data_path())).encode()
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data, _PHONEME_EVENTS | _PHONEMES_AS_IPA | _DONT_EXIT)
    if rate != SAMPLE_RATE_HZ:
        raise RuntimeError(f"espeak-ng did not start (sample rate {rate})")
    # An unknown voice silently leaves the old one in place: the return code is the only sign.
    if library.espeak_SetVoiceByName(voice.espeak_voice.encode()) != 0:
        raise RuntimeError(f"no such voice: {voice.espeak_voice}")
    library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
    library.espeak_SetParameter(_RATE, voice.words_per_minute, 0)
    library.espeak_SetParameter(_PITCH, voice.pitch, 0)

    pieces: list[bytes] = []
    words: list[list[int | str]] = []
    phonemes: list[list[int | str]] = []

    def receive(samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]") -> int:
        if samples and count:
            pieces.append(ctypes.string_at(samples, 2 * count))
        position = 0
        while events[position].type != _EVENT_END_OF_LIST:
            event = events[position]
            if event.type == _EVENT_WORD:
                words.append([event.sample, event.text_position - 1])
            elif event.type == _EVENT_PHONEME:
                phonemes.append([event.sample, event.id.string.decode(errors="replace")])
            position += 1
        return 0

    callback = _Callback(receive)
    library.espeak_SetSynthCallback(callback)
    encoded = text.encode()
    if library.espeak_Synth(encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, _UTF8, None, None) != 0:
        raise RuntimeError("synthesis failed")
    return {"words": words, "phonemes": phonemes}, b"".join(pieces)


def openness(symbol: str) -> float:
    """How far a mouth opens for a phoneme, 0 to 1."""
    if not symbol or symbol[0] in _CLOSED:
        return 0.0
    return next((_OPENNESS[letter] for letter in symbol if letter in _OPENNESS), _CONSONANT_OPENNESS)


def mouth_opening(utterance: Utterance, times_T: NDArray[np.float64]) -> NDArray[np.float32]:
    """The mouth at each time (seconds from the utterance's start), 0 to 1: phoneme openness times loudness."""
    starts = np.array([start for start, _ in utterance.phonemes])
    open_P = np.array([openness(symbol) for _, symbol in utterance.phonemes])
    index_T = np.clip(np.searchsorted(starts, times_T, side="right") - 1, 0, len(starts) - 1)
    window = SAMPLE_RATE_HZ // 30
    power_L = np.convolve(utterance.samples_L**2, np.full(window, 1.0 / window), mode="same")
    loudness_L = np.sqrt(np.maximum(power_L, 0.0))
    loudness_L /= max(float(np.quantile(loudness_L, 0.95)), 1e-6)
    sample_T = np.clip((times_T * SAMPLE_RATE_HZ).astype(np.int64), 0, len(loudness_L) - 1)
    speaking_T = (times_T >= 0) & (times_T < utterance.duration_s)
    return np.where(speaking_T, open_P[index_T] * np.minimum(loudness_L[sample_T], 1.0), 0.0).astype(np.float32)
