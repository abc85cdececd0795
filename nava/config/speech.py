"""What is heard in clips: voice activity, speaker turns, speech recognition, audio tags."""

from dataclasses import dataclass, field

from nava.config.annotation import EndpointConfig, qwen_omni
from nava.config.checks import require, require_at_least, require_one_of, require_positive, require_shares

VOICE_ENCODERS = ("mel_statistics", "resemblyzer", "redimnet")
RECOGNISERS = ("none", "faster_whisper", "endpoint")
COMPUTE_TYPES = ("int8", "int8_float32", "float32", "int8_float16", "float16", "bfloat16")
DEVICES = ("cpu", "cuda")
TAGGERS = ("rules", "yamnet", "endpoint")


@dataclass
class VoiceActivityConfig:
    """When a voice is heard (Silero VAD)."""

    threshold: float = 0.5  # probability at which speech begins
    release: float = 0.35  # probability below which it ends
    min_speech_s: float = 0.25
    min_silence_s: float = 0.1  # shorter pauses are part of the speech


@dataclass
class SpeakerConfig:
    """Who speaks when.

    Attributes:
        encoder: `mel_statistics` needs no weights and tells voices by pitch and colour; `resemblyzer` and `redimnet`
            were trained on speakers.
        weights: file or folder with the encoder's weights; for `resemblyzer` empty means the installed package's.
        weights_cache: where files of a bucket are kept.
        max_distance: cosine distance up to which windows are one voice; 0 takes the encoder's own.
    """

    encoder: str = "mel_statistics"
    weights: str = ""
    weights_cache: str = field(default="", metadata={"identity": False})
    window_s: float = 0.5
    hop_s: float = 0.125
    max_distance: float = 0.0
    min_speaker_s: float = 0.5  # a voice that is heard for less is no speaker of its own


@dataclass
class RecognitionConfig:
    """Where the words come from: the source's transcript where it has one, else the backend.

    Attributes:
        transcripts: whether transcripts are used.
        backend: for sources without one; `none` leaves them without spans, and says so.
        model: folder of a CTranslate2 Whisper model, or the model's name at the endpoint.
        language: ISO 639-1 code; empty lets the model find out.
        compute_type: number format that faster-whisper computes in.
        device: where it computes.
        base_url: of an OpenAI-compatible API, with `/v1` where the server has it.
        api_key_variable: environment variable with the key; empty for a server without keys.
    """

    transcripts: bool = True
    backend: str = "none"
    model: str = ""
    language: str = ""
    beam_size: int = 5
    compute_type: str = "int8"
    device: str = "cpu"
    base_url: str = field(default="", metadata={"identity": False})
    api_key_variable: str = field(default="", metadata={"identity": False})
    timeout_s: float = field(default=60.0, metadata={"identity": False})
    max_attempts: int = field(default=5, metadata={"identity": False})
    requests_per_minute: float = field(default=0.0, metadata={"identity": False})  # of one worker; 0 for no limit


@dataclass
class AudioTagConfig:
    """What kind of sound a clip has.

    Attributes:
        backend: `rules`, the classifier `yamnet`, or a model behind `endpoint`.
        model: file of YAMNet, TFLite or ONNX.
        sha256: what the file must hash to; empty accepts any.
        class_map: YAMNet's `yamnet_class_map.csv`.
        min_score: of a class of YAMNet, to count.
        silence_dbfs: a clip whose loudness (RMS, dB of full scale) stays below is silent; for the rules.
        endpoint: a model that hears, the paper's unless said; `annotation` has its cache, budget and clips in flight.
    """

    backend: str = "rules"
    model: str = ""
    sha256: str = ""
    class_map: str = ""
    min_score: float = 0.3
    silence_dbfs: float = -55.0
    endpoint: EndpointConfig = field(default_factory=qwen_omni)


@dataclass
class SpeechConfig:
    """What is heard in clips (values of the `demo` recipe)."""

    voice_activity: VoiceActivityConfig = field(default_factory=VoiceActivityConfig)
    speakers: SpeakerConfig = field(default_factory=SpeakerConfig)
    recognition: RecognitionConfig = field(default_factory=RecognitionConfig)
    audio_tags: AudioTagConfig = field(default_factory=AudioTagConfig)

    def used_endpoints(self) -> dict[str, EndpointConfig]:
        """The endpoints that are asked as those of `annotation` are, by setting."""
        return {"speech.audio_tags.endpoint": self.audio_tags.endpoint} if self.audio_tags.backend == "endpoint" else {}

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        activity = self.voice_activity
        require_shares(activity, "speech.voice_activity", ("threshold", "release"))
        allowed = f"at most speech.voice_activity.threshold, {activity.threshold}"
        require(activity.release <= activity.threshold, "speech.voice_activity.release", activity.release, allowed)
        require_at_least(activity, "speech.voice_activity", ("min_speech_s", "min_silence_s"), 0)
        self._check_speakers()
        self._check_recognition()
        self._check_audio_tags()

    def _check_speakers(self) -> None:
        require_one_of(self.speakers, "speech.speakers", "encoder", VOICE_ENCODERS)
        require_positive(self.speakers, "speech.speakers", ("window_s", "hop_s"))
        require_at_least(self.speakers, "speech.speakers", ("max_distance", "min_speaker_s"), 0)
        if self.speakers.encoder == "redimnet":
            require(bool(self.speakers.weights), "speech.speakers.weights", "", "where ReDimNet's weights are")
            # Nobody has measured it for these windows: the user has to.
            distance = self.speakers.max_distance
            require(distance > 0, "speech.speakers.max_distance", distance, "above 0 for redimnet, which has none")

    def _check_recognition(self) -> None:
        recognition, name = self.recognition, "speech.recognition"
        require_one_of(recognition, name, "backend", RECOGNISERS)
        require_one_of(recognition, name, "compute_type", COMPUTE_TYPES)
        require_one_of(recognition, name, "device", DEVICES)
        require_at_least(recognition, name, ("beam_size", "max_attempts"), 1)
        require_positive(recognition, name, ("timeout_s",))
        require_at_least(recognition, name, ("requests_per_minute",), 0)
        if recognition.backend == "faster_whisper":
            require(bool(recognition.model), f"{name}.model", "", "the folder of a CTranslate2 Whisper model")
        if recognition.backend == "endpoint":
            require(bool(recognition.model), f"{name}.model", "", "the model's name at the endpoint")
            url = recognition.base_url
            require(url.startswith(("http://", "https://")), f"{name}.base_url", url, "an http or https address")

    def _check_audio_tags(self) -> None:
        tags, name = self.audio_tags, "speech.audio_tags"
        require_one_of(tags, name, "backend", TAGGERS)
        require_shares(tags, name, ("min_score",))
        require(tags.silence_dbfs < 0, f"{name}.silence_dbfs", tags.silence_dbfs, "below 0")
        if tags.backend == "yamnet":
            require(bool(tags.model), f"{name}.model", "", "the file of YAMNet (yamnet.tflite or an ONNX export)")
            require(bool(tags.class_map), f"{name}.class_map", "", "the file yamnet_class_map.csv")
        tags.endpoint.check(f"{name}.endpoint")
        for used, endpoint in self.used_endpoints().items():
            # The other `model` is a file of YAMNet.
            require(not tags.model, f"{name}.model", tags.model, f"empty: the model asked is {used}.model")
            endpoint.check_used(used)
