"""The metadata of an LTX audio file as arguments of diffusers' classes; what they cannot do is refused by name.

The safetensors header holds a JSON text under ``config``: ``audio_vae`` describes mel analysis and autoencoder,
``vocoder`` the vocoder; in LTX-2.3 the latter has a part ``vocoder`` and a part ``bwe`` that extends the bandwidth.
A value that the metadata does not state is the one that the original reader assumes.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nava.latents.mel import MelAnalysis
from nava.runtime.errors import InputError

# One latent is this many mel frames and this many mel bins; fixed in the original and in diffusers.
FRAMES_PER_LATENT = 4
LEVELS = 3
STEREO = 2
DEFAULT_RATES = (6, 5, 2, 2, 2)


@dataclass(frozen=True)
class LtxArchitecture:
    """What the metadata of a file describes.

    Attributes:
        autoencoder: arguments of ``AutoencoderKLLTX2Audio``.
        vocoder: arguments of ``LTX2VocoderWithBWE``, or of ``LTX2Vocoder`` without bandwidth extension.
        extends_bandwidth: which of the two.
        analysis: the mel analysis of the encoder's input.
        latent_bins: mel bins of a latent.
        output_sample_rate_hz: of the vocoder.
    """

    autoencoder: dict[str, Any]
    vocoder: dict[str, Any]
    extends_bandwidth: bool
    analysis: MelAnalysis
    latent_bins: int
    output_sample_rate_hz: int


def architecture_of(metadata: Mapping[str, str] | None, file: str) -> LtxArchitecture:
    """Read the architecture from the metadata of a safetensors header.

    Args:
        metadata: of the header.
        file: for messages.

    Raises:
        InputError: there is no usable description, or it asks for something that is not supported.
    """
    text = (metadata or {}).get("config")
    if not text:
        raise InputError(f"{file} has no 'config' in its metadata; take the file as Lightricks published it")
    try:
        config = json.loads(text)
        autoencoder = _part(config, "audio_vae", file)
        vocoder = _part(config, "vocoder", file)
        return _architecture(autoencoder, vocoder, file)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"the metadata of {file} is not a description of an audio autoencoder: {error}") from error


def _architecture(config: dict[str, Any], vocoder: dict[str, Any], file: str) -> LtxArchitecture:
    parameters = _inner(_inner(config, "model"), "params")
    network = _inner(parameters, "ddconfig")
    preprocessing = _inner(config, "preprocessing")
    stft, mel = _inner(preprocessing, "stft"), _inner(preprocessing, "mel")
    rate_hz, hop = int(parameters.get("sampling_rate", 16_000)), int(stft.get("hop_length", 160))
    bins = network.get("mel_bins") or mel.get("n_mel_channels") or _inner(config, "variables").get("mel_bins")
    if not bins:
        raise InputError(f"the metadata of {file} does not say how many mel bins the autoencoder has")
    analysis = MelAnalysis(rate_hz, int(stft.get("filter_length", 1024)), hop, int(bins))
    autoencoder = _autoencoder(network, analysis, file)
    arguments, extends, output_rate = _vocoder(vocoder, analysis, file)
    return LtxArchitecture(autoencoder, arguments, extends, analysis, int(bins) // FRAMES_PER_LATENT, output_rate)


def _autoencoder(network: dict[str, Any], analysis: MelAnalysis, file: str) -> dict[str, Any]:
    _require(network, "attn_type", ("vanilla",), file, default="vanilla")
    _require(network, "resamp_with_conv", (True,), file, default=True)
    _require(network, "causality_axis", ("height",), file, default="height")
    _require(network, "norm_type", ("pixel",), file, default="pixel")
    _require(network, "in_channels", (STEREO,), file, default=STEREO)
    _require(network, "out_ch", (STEREO,), file, default=STEREO)
    multiples = tuple(network.get("ch_mult", (1, 2, 4)))
    latents, base = int(network.get("z_channels", 8)), int(network.get("ch", 128))
    if len(multiples) != LEVELS:
        raise InputError(f"{file} asks for {len(multiples)} levels (ch_mult); {LEVELS} are supported")
    if analysis.mel_bins % FRAMES_PER_LATENT or latents * analysis.mel_bins // FRAMES_PER_LATENT != base:
        raise InputError(
            f"{file} describes latents of {latents} channels x {analysis.mel_bins} / {FRAMES_PER_LATENT} mel bins, "
            f"but statistics of {base} channels"
        )
    return {
        "base_channels": base,
        "output_channels": STEREO,
        "ch_mult": multiples,
        "num_res_blocks": int(network.get("num_res_blocks", 2)),
        "attn_resolutions": tuple(network.get("attn_resolutions", (8, 16, 32))) or None,
        "in_channels": STEREO,
        "resolution": int(network.get("resolution", 256)),
        "latent_channels": latents,
        "norm_type": "pixel",
        "causality_axis": "height",
        "mid_block_add_attention": bool(network.get("mid_block_add_attention", True)),
        "sample_rate": analysis.sample_rate_hz,
        "mel_hop_length": analysis.hop_samples,
        "mel_bins": analysis.mel_bins,
        "double_z": bool(network.get("double_z", True)),
    }


def _vocoder(config: dict[str, Any], analysis: MelAnalysis, file: str) -> tuple[dict[str, Any], bool, int]:
    """Arguments, whether the bandwidth is extended, and the output rate."""
    if "bwe" not in config:
        # LTX-2.0: a HiFi-GAN whose layers are named at the top.
        _require(config, "resblock", ("1",), file, default="1")
        _require(config, "stereo", (True,), file, default=True)
        factor = _factor(config)
        rate_hz = int(config.get("output_sampling_rate", 24_000))
        _require_rate(factor * analysis.sample_rate_hz, rate_hz * analysis.hop_samples, "vocoder", file)
        arguments = _generator(config, STEREO * analysis.mel_bins, "leaky_relu", file)
        return arguments | {"output_sampling_rate": rate_hz}, False, rate_hz
    main, extension = _inner(config, "vocoder"), _inner(config, "bwe")
    for part in (main, extension):
        _require(part, "resblock", ("AMP1",), file)
        _require(part, "stereo", (True,), file)
        _require(part, "activation", ("snakebeta",), file)
    missing = [
        name
        for name in ("input_sampling_rate", "output_sampling_rate", "hop_length", "n_fft", "num_mels")
        if name not in extension
    ]
    if missing:
        raise InputError(f"the metadata of {file} lacks {', '.join(missing)} of the bandwidth extension")
    low_hz, high_hz = int(extension["input_sampling_rate"]), int(extension["output_sampling_rate"])
    hop = int(extension["hop_length"])
    if high_hz % low_hz:
        raise InputError(f"{file} extends {low_hz} Hz to {high_hz} Hz; only whole multiples are supported")
    _require_rate(_factor(main) * analysis.sample_rate_hz, low_hz * analysis.hop_samples, "vocoder", file)
    _require_rate(_factor(extension) * low_hz, high_hz * hop, "bandwidth extension", file)
    inputs = _generator(extension, STEREO * int(extension["num_mels"]), "snakebeta", file, residual=True)
    arguments = _generator(main, STEREO * analysis.mel_bins, "snakebeta", file)
    arguments |= {f"bwe_{name}": value for name, value in inputs.items()}
    arguments |= {
        "filter_length": int(extension["n_fft"]),
        "window_length": int(extension["n_fft"]),
        "hop_length": hop,
        "num_mel_channels": int(extension["num_mels"]),
        "input_sampling_rate": low_hz,
        "output_sampling_rate": high_hz,
    }
    return arguments, True, high_hz


def _generator(
    config: dict[str, Any], in_channels: int, activation: str, file: str, residual: bool = False
) -> dict[str, Any]:
    """Arguments of one generator; one that gives a residual is not limited to [-1, 1]."""
    limit = "tanh" if config.get("use_tanh_at_final", True) else "clamp"
    rates = [int(rate) for rate in config.get("upsample_rates", DEFAULT_RATES)]
    kernels = [int(size) for size in config.get("upsample_kernel_sizes", [16, 15, 8, 4, 4])]
    blocks = [int(size) for size in config.get("resblock_kernel_sizes", [3, 7, 11])]
    dilations = [list(sizes) for sizes in config.get("resblock_dilation_sizes", [[1, 3, 5]] * 3)]
    whole = all(size >= rate and (size - rate) % 2 == 0 for size, rate in zip(kernels, rates))
    if len(kernels) != len(rates) or len(blocks) != len(dilations) or not whole:
        raise InputError(
            f"the metadata of {file} contradicts itself: the vocoder's sizes and rates do not fit together"
        )
    return {
        "in_channels": in_channels,
        "hidden_channels": int(config.get("upsample_initial_channel", 1024)),
        "out_channels": STEREO,
        "upsample_kernel_sizes": kernels,
        "upsample_factors": rates,
        "resnet_kernel_sizes": blocks,
        "resnet_dilations": dilations,
        "act_fn": activation,
        "antialias": activation == "snakebeta",
        "final_act_fn": None if residual else limit,
        "final_bias": bool(config.get("use_bias_at_final", True)),
    }


def _factor(config: dict[str, Any]) -> int:
    return math.prod(int(rate) for rate in config.get("upsample_rates", DEFAULT_RATES))


def _require_rate(given: int, wanted: int, what: str, file: str) -> None:
    if given != wanted:
        raise InputError(f"the metadata of {file} contradicts itself: the {what}'s rates do not give its sample rate")


def _require(config: dict[str, Any], name: str, supported: tuple[Any, ...], file: str, default: Any = None) -> None:
    value = config.get(name, default)
    if value not in supported:
        raise InputError(
            f"{file} asks for {name} {value!r}, which is not supported; only {' or '.join(map(repr, supported))} is"
        )


def _part(config: dict[str, Any], name: str, file: str) -> dict[str, Any]:
    if not isinstance(config.get(name), dict):
        raise InputError(f"the metadata of {file} does not describe its {name}")
    return dict(config[name])


def _inner(config: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(config.get(name) or {})
