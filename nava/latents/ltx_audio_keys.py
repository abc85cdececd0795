"""Tensor names of the original LTX audio file and those of diffusers' autoencoder and vocoder.

The file holds ``audio_vae.`` and ``vocoder.``; a whole LTX checkpoint holds other models too, which are passed over.
"""

import re

AUTOENCODER = "audio_vae."
VOCODER = "vocoder."
_STATISTICS = "per_channel_statistics."
# Of the statistics only two are used; files of other LTX models hold these as well.
_UNUSED = tuple(
    f"{AUTOENCODER}{_STATISTICS}{name}" for name in ("channel", "mean-of-stds", "mean-of-stds_over_std-of-means")
)
_GENERATOR_MODULES = {
    "conv_pre": "conv_in",
    "conv_post": "conv_out",
    "act_post": "act_out",
    "ups": "upsamplers",
    "resblocks": "resnets",
}
_GENERATOR_NAME = re.compile(r"((?:vocoder|bwe_generator)\.)?(conv_pre|conv_post|act_post|ups|resblocks)\.(.+)")


def is_read(original: str) -> bool:
    """Whether a tensor belongs to the autoencoder or to the vocoder."""
    return original.startswith((AUTOENCODER, VOCODER)) and original not in _UNUSED


def diffusers_name(original: str) -> str | None:
    """The name of an original tensor in diffusers, with ``audio_vae.`` or ``vocoder.`` before it.

    Returns:
        None if the file has no such tensor.
    """
    if original.startswith(AUTOENCODER):
        name = original.removeprefix(AUTOENCODER)
        statistics = {f"{_STATISTICS}mean-of-means": "latents_mean", f"{_STATISTICS}std-of-means": "latents_std"}
        if name.startswith(_STATISTICS):
            return f"{AUTOENCODER}{statistics[name]}" if name in statistics else None
        # Both name the layers of encoder and decoder alike.
        return original if name.startswith(("encoder.", "decoder.")) else None
    if not original.startswith(VOCODER):
        return None
    name = original.removeprefix(VOCODER)
    if name.startswith("mel_stft."):
        return original
    if not (found := _GENERATOR_NAME.fullmatch(name)):
        return None
    generator, module, rest = found.groups()
    rest = rest.replace("downsample.lowpass.", "downsample.")
    return f"{VOCODER}{generator or ''}{_GENERATOR_MODULES[module]}.{rest}"
