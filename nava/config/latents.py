"""Settings of the video and audio codecs; the defaults are those of the ``demo`` recipe."""

from dataclasses import dataclass, field

from nava.config.checks import require, require_at_least, require_one_of

LATENT_PX = 16


@dataclass
class WanVideoConfig:
    """How the autoencoder of Wan 2.2 runs. The release decodes tiles of 22 x 40 latents every 14 x 26 when it tiles."""

    dtype: str = "bfloat16"
    # Decode overlapping tiles one by one and blend them: less memory, other pixels where tiles meet.
    tiling: bool = False
    tile_height_px: int = 352
    tile_width_px: int = 640
    tile_stride_height_px: int = 224
    tile_stride_width_px: int = 416

    def check(self, prefix: str) -> None:
        """Refuse a precision that is not there, and tiles that do not overlap or are no whole latents."""
        require_one_of(self, prefix, "dtype", ("float32", "bfloat16"))
        for side in ("height", "width"):
            tile, stride = getattr(self, f"tile_{side}_px"), getattr(self, f"tile_stride_{side}_px")
            whole = tile > 0 and tile % LATENT_PX == 0
            require(whole, f"{prefix}.tile_{side}_px", tile, f"a multiple of {LATENT_PX}")
            whole = 0 < stride <= tile and stride % LATENT_PX == 0
            require(whole, f"{prefix}.tile_stride_{side}_px", stride, f"a multiple of {LATENT_PX} up to {tile}")


@dataclass
class LtxAudioConfig:
    """How sound is decoded: ``corrected`` keeps the vocoder's own rate, ``release`` brings it down to 16 kHz."""

    mode: str = "corrected"

    def check(self, prefix: str) -> None:
        """Refuse a mode that is not there."""
        require_one_of(self, prefix, "mode", ("release", "corrected"))


@dataclass
class VideoCodecConfig:
    """Which codec makes video latents, and how.

    ``block_pca`` and ``block_dct`` are linear transforms of space-time blocks: one is fitted on the corpus, the other
    needs no fit. ``wan_video`` is the released autoencoder; it needs ``weights``, and of the fields below only ``wan``.

    The first frame is a latent frame of its own; every further latent frame holds ``temporal_stride`` frames.
    """

    type: str = "block_pca"
    # Where published weights are: a file, a folder, a hub mirror or a bucket address.
    weights: str = ""
    # Where files of a bucket are kept on this machine.
    weights_cache: str = field(default="", metadata={"identity": False})
    wan: WanVideoConfig = field(default_factory=WanVideoConfig)
    channels: int = 48
    temporal_stride: int = 4
    spatial_stride: int = 16
    # Channel c is divided by sd_c ** whitening. At 1 the noise of the faint channels becomes visible grain.
    whitening: float = 0.4
    fit_clips: int = 256
    fit_blocks: int = 10_000
    subspace_iterations: int = 6
    subspace_oversampling: int = 32


@dataclass
class AudioCodecConfig:
    """Which codec makes audio latents, and how.

    ``mel_pca`` is a PCA of groups of log-mel frames, decoded by NNLS and fast Griffin-Lim. ``ltx_audio`` is the
    released autoencoder with its vocoder; it needs ``weights``, and of the fields below only ``ltx``.
    """

    type: str = "mel_pca"
    weights: str = ""
    weights_cache: str = field(default="", metadata={"identity": False})
    ltx: LtxAudioConfig = field(default_factory=LtxAudioConfig)
    channels: int = 64
    sample_rate_hz: int = 16_000
    window_samples: int = 1024
    hop_samples: int = 160
    mel_bins: int = 64
    frames_per_latent: int = 4
    # Amplitudes below the floor are silence: a lower floor would make the latents carry recording noise.
    mel_floor: float = 3e-3
    gate_ratio: float = 1.3
    whitening: float = 0.2
    latent_gain: float = 1.5
    fit_clips: int = 256
    nnls_iterations: int = 60
    griffin_lim_iterations: int = 16
    griffin_lim_momentum: float = 0.99
    griffin_lim_seed: int = 0


@dataclass
class LatentsConfig:
    """Both codecs of a run."""

    video: VideoCodecConfig = field(default_factory=VideoCodecConfig)
    audio: AudioCodecConfig = field(default_factory=AudioCodecConfig)

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_one_of(self.video, "latents.video", "type", ("block_pca", "block_dct", "wan_video"))
        require_one_of(self.audio, "latents.audio", "type", ("mel_pca", "ltx_audio"))
        video = ("channels", "temporal_stride", "spatial_stride", "fit_clips", "fit_blocks")
        require_at_least(self.video, "latents.video", video, 1)
        audio = ("channels", "sample_rate_hz", "window_samples", "hop_samples", "mel_bins", "frames_per_latent")
        require_at_least(self.audio, "latents.audio", (*audio, "fit_clips"), 1)
        for name, codec, embedded in (
            ("video", self.video, ("block_pca", "block_dct")),
            ("audio", self.audio, ("mel_pca",)),
        ):
            given = bool(codec.weights) or codec.type in embedded
            require(given, f"latents.{name}.weights", codec.weights, f"where the weights of {codec.type} are")
        self.video.wan.check("latents.video.wan")
        self.audio.ltx.check("latents.audio.ltx")
