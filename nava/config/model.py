"""The shape of the transformer and how it is initialised."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from nava.config.checks import require, require_at_least, require_one_of

# The architectures, and the settings that number their layers.
_LAYERS = {
    "align_then_fuse": ("num_hal_layers", "num_ufl_layers", "num_final_hal_layers"),
    "dual_tower": ("num_tower_layers",),
    "trimodal": ("num_trimodal_layers",),
}
_ALL_LAYERS = tuple(name for names in _LAYERS.values() for name in names)
ARCHITECTURES = tuple(_LAYERS)


@dataclass
class ModelConfig:
    """Architecture and sizes of a transformer; the defaults are the tiny model of the demo.

    `align_then_fuse` is NAVA: its first blocks are Hierarchical Alignment Layers (attention weights per modality), the
    next ones Unified Fusion Layers (one weight set for all tokens). `dual_tower` and `trimodal` are the paradigms that
    the paper compares it with. Each architecture reads its own numbers of layers; all else is common to the three.
    `release_config` gives the sizes of the published 6.3B model.
    """

    architecture: str = "align_then_fuse"
    dim: int = 96
    ffn_dim: int = 288
    freq_dim: int = 256
    num_heads: int = 4
    num_hal_layers: int = 2
    num_ufl_layers: int = 2
    num_final_hal_layers: int = 0
    # Blocks of each of the two towers of `dual_tower`.
    num_tower_layers: int = 2
    # Blocks of `trimodal`.
    num_trimodal_layers: int = 7
    video_channels: int = 48
    audio_channels: int = 64
    patch_size: tuple[int, int, int] = (1, 2, 2)
    text_len: int = 32
    text_dim: int = 64
    # Width inside the audio stem's gated convolution; None takes the release's rule, 8/3 dim rounded up to 256.
    audio_stem_hidden: int | None = 96
    # Width of the speaker vectors that may replace context rows; 0 builds a model without timbre conditioning.
    speaker_dim: int = 0
    # Separate norm3 and feed-forward network per modality in the alignment layers (an ablation; the release shares).
    split_norm_ffn: bool = False
    eps: float = 1e-6
    # Video latents per second over audio latents per second, (24/4)/25: puts audio positions on the video time axis.
    audio_rope_scale: float = 0.24
    # Start both output heads at zero (the release zeroes the video head only).
    zero_init_heads: bool = True
    # Bias given to the temporal pairs of q and k so that tokens of equal time find each other; 0 leaves it out.
    temporal_bias: float = 7.0

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.dim // self.num_heads

    @property
    def stem_hidden(self) -> int:
        """Width inside the audio stem's gated convolution."""
        if self.audio_stem_hidden is not None:
            return self.audio_stem_hidden
        return -(-int(8 * self.dim / 3) // 256) * 256

    def layers(self) -> dict[str, int]:
        """The numbers of layers that the architecture has, by setting."""
        return {name: getattr(self, name) for name in _LAYERS[self.architecture]}

    def check(self) -> None:
        """Refuse values that no model could have. InputError names the setting and what it may be."""
        require_one_of(self, "model", "architecture", ARCHITECTURES)
        sizes = ("dim", "ffn_dim", "num_heads", "video_channels", "audio_channels", "text_len", "text_dim")
        require_at_least(self, "model", sizes, 1)
        require_at_least(self, "model", (*_ALL_LAYERS, "speaker_dim"), 0)
        layers = _LAYERS[self.architecture]
        require(any(getattr(self, name) for name in layers), f"model.{layers[0]}", 0, "at least 1: there is no block")
        heads = 2 * self.num_heads
        require(self.dim % heads == 0, "model.dim", self.dim, f"a multiple of 2 x model.num_heads = {heads}")


def release_config() -> ModelConfig:
    """Sizes of the published 6.3B model: 10 alignment and 20 fusion layers, 6,296,995,520 parameters."""
    return ModelConfig(
        dim=3072,
        ffn_dim=14336,
        num_heads=24,
        num_hal_layers=10,
        num_ufl_layers=20,
        num_tower_layers=14,
        num_trimodal_layers=45,
        audio_channels=128,
        text_len=512,
        text_dim=4096,
        audio_stem_hidden=None,
        speaker_dim=192,
        zero_init_heads=False,
        temporal_bias=0.0,
    )


def released_split(num_hal_layers: int, num_ufl_layers: int, num_final_hal_layers: int = 0) -> ModelConfig:
    """The released sizes with another share of alignment and fusion layers (the paper's ablation)."""
    return replace(
        release_config(),
        num_hal_layers=num_hal_layers,
        num_ufl_layers=num_ufl_layers,
        num_final_hal_layers=num_final_hal_layers,
    )


def without_layers(config: ModelConfig) -> ModelConfig:
    """The same model without a block of any architecture: stems, embeddings and heads."""
    bare = replace(config)
    for name in _ALL_LAYERS:
        setattr(bare, name, 0)
    return bare


# Sizes by name, for commands that make or check a model.
MODELS: dict[str, Callable[[], ModelConfig]] = {
    "tiny": ModelConfig,
    "nava_6b": release_config,
    "nava_30hal": lambda: released_split(30, 0),
    "nava_30ufl": lambda: released_split(0, 30),
    "nava_20hal_10ufl": lambda: released_split(20, 10),
    "nava_5hal_20ufl_5hal": lambda: released_split(5, 20, 5),
    # The other paradigms at the released widths, with as many layers as make the released number of parameters.
    "dual_tower_6b": lambda: replace(release_config(), architecture="dual_tower"),
    "trimodal_6b": lambda: replace(release_config(), architecture="trimodal"),
    "dual_tower_tiny": lambda: ModelConfig(architecture="dual_tower"),
    "trimodal_tiny": lambda: ModelConfig(architecture="trimodal"),
}
