"""The stages of curation that listen: speech (voice activity, turns, words), then audio tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nava.artifacts.clip_manifest import ClipRow, Reason
from nava.artifacts.source_manifest import Source
from nava.config.annotation import AnnotationConfig
from nava.config.speech import AudioTagConfig, SpeechConfig
from nava.data.annotation.asking_stage import AskingStage
from nava.data.annotation.clients import check_endpoints
from nava.data.annotation.endpoint import EndpointError
from nava.data.clip_media import read_wav
from nava.data.curation.stage import Clip, ClipStage, Resources, SourceTask, Stage
from nava.data.speech.audio_tags import AudioTagger, build_tagger, tag_list
from nava.data.speech.recognition import (
    SIDECAR,
    Recogniser,
    Recording,
    build_recogniser,
    name_speakers,
    spans_of,
    utterances_of,
)
from nava.data.speech.singing import tell_speech
from nava.data.speech.speaker_turns import SpeakerTurns, Turn
from nava.data.speech.transcript import Utterance, parse_transcript
from nava.data.speech.voice_activity import SAMPLE_RATE_HZ, SpeechSegment, VoiceActivity

SUNG_S = "sung_s"  # key of `Clip.work`: for how long a voice is heard that sings


@dataclass
class SpeechStage(ClipStage):
    """Who speaks when, and what.

    Stretches in which a voice sings are not speech. Words come from the source's transcript where it has one, else from
    the recogniser; a transcript's named voices count as the speakers, else the turns do.

    Attributes:
        config: section `speech`.
    """

    config: SpeechConfig

    name: ClassVar[str] = "speech"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("audio_path", "duration_s", "t0_us", "t1_us")
    adds: ClassVar[tuple[str, ...]] = ("speech_ratio", "speakers", "speech", "asr_backend")
    resources: ClassVar[Resources] = Resources(cores=1.0, memory_mb=1500)

    _activity: VoiceActivity | None = field(default=None, init=False, repr=False, compare=False)
    _turns: SpeakerTurns | None = field(default=None, init=False, repr=False, compare=False)
    _recogniser: Recogniser | None = field(default=None, init=False, repr=False, compare=False)

    def setup(self) -> None:
        """Load voice activity, voice encoder and recogniser. PyTorch is loaded here and not by whoever plans stages."""
        from nava.data.speech.voice_encoder import build_voice_encoder

        self._activity = VoiceActivity(self.config.voice_activity)
        self._turns = SpeakerTurns(build_voice_encoder(self.config.speakers), self.config.speakers)
        self._recogniser = build_recogniser(self.config.recognition)

    def score(self, task: SourceTask, clip: Clip) -> ClipRow:
        """See `ClipStage.score`. A clip that the recogniser fails on is closed as failed."""
        assert self._activity is not None, "setup comes first"
        assert self._turns is not None, "setup comes first"
        recording = _recording(task, clip)
        voices = tell_speech(recording.samples_N, self._activity.segments(recording.samples_N))
        turns = self._turns.find(recording.samples_N, voices.spoken)
        clip.work[SUNG_S] = voices.sung_s
        columns: ClipRow = {"speech_ratio": _ratio(voices.spoken, len(recording.samples_N) / SAMPLE_RATE_HZ)}
        try:
            backend, spans, named = self._words(task.source, clip.row, recording, turns)
        except EndpointError as error:
            clip.close(Reason.SPEECH_FAILED, str(error), self.name)
            return columns
        heard = {span["speaker"] for span in spans} if named else {turn.speaker for turn in turns}
        return columns | {"speakers": len(heard), "speech": spans, "asr_backend": backend}

    def _words(
        self, source: Source, row: ClipRow, recording: Recording, turns: list[Turn]
    ) -> tuple[str, list[dict[str, Any]], bool]:
        """Where the words come from, their spans, and whether it was they that said who speaks."""
        assert self._recogniser is not None, "setup comes first"
        if self.config.recognition.transcripts and source.transcript is not None:
            t0_s = row["t0_us"] / 1e6
            utterances = parse_transcript(source.transcript)
            on_source = [Turn(turn.speaker, turn.t0_s + t0_s, turn.t1_s + t0_s) for turn in turns]
            spans = spans_of(name_speakers(utterances, on_source), t0_s, t0_s + row["duration_s"])
            return SIDECAR, spans, _all_named(utterances, t0_s, t0_s + row["duration_s"])
        words = self._recogniser.words(recording) if turns else []
        return self._recogniser.backend, spans_of(utterances_of(words, turns), 0.0, row["duration_s"]), False


@dataclass
class AudioTagStage(AskingStage):
    """What kind of sound a clip has; `single_speaker` exactly where `speakers` is 1.

    Attributes:
        config: section `speech.audio_tags`.
        annotation: section `annotation`: what a tagger behind an endpoint shares with the captioners.
    """

    config: AudioTagConfig
    annotation: AnnotationConfig

    name: ClassVar[str] = "audio_tags"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("audio_path", "speakers")
    adds: ClassVar[tuple[str, ...]] = ("audio_tags", "audio_tag_backend")
    resources: ClassVar[Resources] = Resources(cores=1.0, memory_mb=1000)
    failure: ClassVar[Reason] = Reason.SPEECH_FAILED

    _tagger: AudioTagger | None = field(default=None, init=False, repr=False, compare=False)

    def setup(self) -> None:
        """Load the tagger, or make its client."""
        self._tagger = build_tagger(self.config, self.annotation)
        if self.config.backend == "endpoint":
            self.in_flight = self.annotation.max_in_flight

    def score(self, task: SourceTask, clip: Clip) -> ClipRow:
        """See `AskingStage.score`."""
        assert self._tagger is not None, "setup comes first"
        speakers = clip.row["speakers"]
        kinds = self._tagger.kinds(_recording(task, clip), speakers, clip.work.get(SUNG_S, 0.0))
        return {"audio_tags": tag_list(kinds, speakers), "audio_tag_backend": self._tagger.backend}


def speech_stages(config: SpeechConfig, annotation: AnnotationConfig) -> list[Stage]:
    """The stages that listen, in order.

    Raises:
        InputError: an endpoint that is used has no key, or its client library is not installed.
    """
    check_endpoints(config.used_endpoints())
    return [SpeechStage(config), AudioTagStage(config.audio_tags, annotation)]


def _recording(task: SourceTask, clip: Clip) -> Recording:
    path = task.folder / clip.row["audio_path"]
    return Recording(read_wav(path, SAMPLE_RATE_HZ), path)


def _ratio(segments: Sequence[SpeechSegment], seconds: float) -> float:
    return sum(segment.duration_s for segment in segments) / seconds if seconds else 0.0


def _all_named(utterances: list[Utterance], t0_s: float, t1_s: float) -> bool:
    """Whether the transcript has words in a span, all of them of named speakers."""
    inside = [utterance for utterance in utterances if utterance.between(t0_s, t1_s)]
    return bool(inside) and all(utterance.speaker for utterance in inside)
