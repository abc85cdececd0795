"""Settings of the video and audio codecs; the defaults are those of the ``demo`` recipe."""

from dataclasses import dataclass, field

from nava.config.checks import require_at_least, require_one_of


@dataclass
class VideoCodecConfig:
    """A linear transform of space-time blocks: ``block_pca`` is fitted on the corpus, ``block_dct`` needs no fit.

    The first frame is a latent frame of its own; every further latent frame holds ``temporal_stride`` frames.
    """

    type: str = "block_pca"
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
    """PCA of groups of log-mel frames (``mel_pca``), decoded by NNLS and fast Griffin-Lim."""

    type: str = "mel_pca"
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
        require_one_of(self.video, "latents.video", "type", ("block_pca", "block_dct"))
        require_one_of(self.audio, "latents.audio", "type", ("mel_pca",))
        video = ("channels", "temporal_stride", "spatial_stride", "fit_clips", "fit_blocks")
        require_at_least(self.video, "latents.video", video, 1)
        audio = ("channels", "sample_rate_hz", "window_samples", "hop_samples", "mel_bins", "frames_per_latent")
        require_at_least(self.audio, "latents.audio", (*audio, "fit_clips"), 1)
