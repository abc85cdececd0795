"""How kept clips are put into words: by rules, or by models behind endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nava.config.checks import require, require_at_least, require_one_of, require_positive, require_shares

PROVIDERS = ("openai", "gemini")
CAPTIONERS = ("rules", "endpoints")
FUSIONS = ("concatenation", "rewriting")
VISUAL_TAGGERS = ("rules", "endpoint")
_NOT_IDENTITY = {"identity": False}


@dataclass
class EndpointConfig:
    """A model behind an HTTP API. What decides its answers is the provider, the model and what it is shown."""

    provider: str = "openai"  # any OpenAI-compatible server, or `gemini`
    model: str = ""
    # What the model sees of a picture: the clip as a `video` part, or `frames` of it as images.
    picture_input: str = "video"
    frames: int = 8
    audio_part: str = "input_audio"  # of the OpenAI API, or `audio_url` of vLLM
    max_output_tokens: int = 2048
    base_url: str = field(default="", metadata=_NOT_IDENTITY)  # empty: Google's, for gemini
    # Name of the environment variable with the key; empty for a server that wants none.
    api_key_variable: str = field(default="", metadata=_NOT_IDENTITY)
    timeout_s: float = field(default=120.0, metadata=_NOT_IDENTITY)
    max_attempts: int = field(default=5, metadata=_NOT_IDENTITY)
    # Of one worker; 0 for no limit.
    requests_per_minute: float = field(default=0.0, metadata=_NOT_IDENTITY)
    tokens_per_minute: float = field(default=0.0, metadata=_NOT_IDENTITY)
    max_media_mb: float = field(default=20.0, metadata=_NOT_IDENTITY)
    # USD per million tokens; 0 for a server of one's own.
    input_price_usd: float = field(default=0.0, metadata=_NOT_IDENTITY)
    output_price_usd: float = field(default=0.0, metadata=_NOT_IDENTITY)

    def check(self, name: str) -> None:
        """Refuse values that no run could use; `name` is the section's."""
        require_one_of(self, name, "provider", PROVIDERS)
        require_one_of(self, name, "picture_input", ("video", "frames"))
        require_one_of(self, name, "audio_part", ("input_audio", "audio_url"))
        require_at_least(self, name, ("frames", "max_output_tokens", "max_attempts"), 1)
        require_positive(self, name, ("timeout_s", "max_media_mb"))
        limits = ("requests_per_minute", "tokens_per_minute", "input_price_usd", "output_price_usd")
        require_at_least(self, name, limits, 0)

    def check_used(self, name: str) -> None:
        """What an endpoint that is used must have beside that."""
        require(bool(self.model), f"{name}.model", self.model, "the model's name at the server")
        has_address = bool(self.base_url) or self.provider == "gemini"
        require(has_address, f"{name}.base_url", self.base_url, "the address of the API, e.g. http://host:8000/v1")


def _qwen_vl() -> EndpointConfig:
    return EndpointConfig(model="Qwen/Qwen3-VL-235B-A22B-Instruct")


def qwen_omni() -> EndpointConfig:
    """The paper's model for sound, wherever it is served."""
    return EndpointConfig(model="Qwen/Qwen3-Omni-30B-A3B-Instruct")


def _gemini_flash() -> EndpointConfig:
    return EndpointConfig("gemini", "gemini-3-flash-preview", api_key_variable="GEMINI_API_KEY")


def _gemini_pro() -> EndpointConfig:
    return EndpointConfig("gemini", "gemini-3-pro-preview", max_output_tokens=8192, api_key_variable="GEMINI_API_KEY")


@dataclass
class GroundingConfig:
    """The tier of clips that a stronger model describes, with who speaks when. Both kinds off: no such tier."""

    multi_speaker: bool = False  # clips with two speakers or more
    high_quality: bool = False  # clips with pictures that reach both of:
    min_sharpness: float = 12.0  # standard deviation of the Laplacian, luma steps (0-255)
    min_source_height: int = 720  # pixels
    # Words in common with the speech recognition, where there is one: twice those over all words of both.
    min_agreement: float = 0.8
    endpoint: EndpointConfig = field(default_factory=_gemini_pro)

    @property
    def is_used(self) -> bool:
        """Whether any clip can be of the tier."""
        return self.multi_speaker or self.high_quality


@dataclass
class AnnotationConfig:
    """Captions, visual tags and prompts. The defaults need no model and no network."""

    captioner: str = "rules"
    # How the parts about picture and sound become one: put side by side, or rewritten by a model.
    fusion: str = "concatenation"
    visual_tagger: str = "rules"
    picture: EndpointConfig = field(default_factory=_qwen_vl)
    sound: EndpointConfig = field(default_factory=qwen_omni)
    rewriter: EndpointConfig = field(default_factory=_gemini_flash)
    tagger: EndpointConfig = field(default_factory=_qwen_vl)
    grounding: GroundingConfig = field(default_factory=GroundingConfig)
    # From here on: also for the endpoint of `speech.audio_tags`.
    # Clips of one source that are asked about at the same time, in each worker.
    max_in_flight: int = field(default=8, metadata=_NOT_IDENTITY)
    # Where answers are kept and their cost is counted; a run that finds an answer here does not pay for it again.
    cache_dir: str = field(default="", metadata=_NOT_IDENTITY)
    max_cost_usd: float = field(default=0.0, metadata=_NOT_IDENTITY)  # 0: no limit

    def used_endpoints(self) -> dict[str, EndpointConfig]:
        """The endpoints that the chosen backends ask, by setting."""
        used: dict[str, EndpointConfig] = {}
        if self.captioner == "endpoints":
            used |= {"annotation.picture": self.picture, "annotation.sound": self.sound}
            if self.fusion == "rewriting":
                used["annotation.rewriter"] = self.rewriter
            if self.grounding.is_used:
                used["annotation.grounding.endpoint"] = self.grounding.endpoint
        if self.visual_tagger == "endpoint":
            used["annotation.tagger"] = self.tagger
        return used

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_one_of(self, "annotation", "captioner", CAPTIONERS)
        require_one_of(self, "annotation", "fusion", FUSIONS)
        require_one_of(self, "annotation", "visual_tagger", VISUAL_TAGGERS)
        require_at_least(self, "annotation", ("max_in_flight",), 1)
        require_at_least(self, "annotation", ("max_cost_usd",), 0)
        require_shares(self.grounding, "annotation.grounding", ("min_agreement",))
        for name in ("picture", "sound", "rewriter", "tagger"):
            getattr(self, name).check(f"annotation.{name}")
        self.grounding.endpoint.check("annotation.grounding.endpoint")
        tiered = self.grounding.is_used and self.captioner != "endpoints"
        require(not tiered, "annotation.captioner", self.captioner, "endpoints where annotation.grounding is used")
        used = self.used_endpoints()
        for name, endpoint in used.items():
            endpoint.check_used(name)
        self.check_paid(used)

    def check_paid(self, used: Mapping[str, EndpointConfig]) -> None:
        """What endpoints in use, of any section, need of this one: where answers are kept, prices under a budget."""
        require(not used or bool(self.cache_dir), "annotation.cache_dir", self.cache_dir, "a folder for paid answers")
        for name, endpoint in used.items():
            free = endpoint.provider == "gemini" and not (endpoint.input_price_usd and endpoint.output_price_usd)
            allowed = "above 0 where annotation.max_cost_usd is set; see the provider's price list"
            require(not (self.max_cost_usd and free), f"{name}.input_price_usd", endpoint.input_price_usd, allowed)
