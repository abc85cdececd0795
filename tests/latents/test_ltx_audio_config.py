"""What the metadata of an audio file says, and what is refused of it."""

import copy
import inspect
import json
from typing import Any

import pytest

from nava.latents.ltx_audio_config import LtxArchitecture, architecture_of
from nava.latents.mel import MelAnalysis
from nava.runtime.errors import InputError
from tests.latents.original_layouts import (
    LTX_AUTOENCODER,
    LTX_EXTENSION,
    LTX_VOCODER,
    SMALL_LTX_OLD_VOCODER,
    ltx_config,
)

PUBLISHED = ltx_config(LTX_AUTOENCODER, {"vocoder": LTX_VOCODER, "bwe": LTX_EXTENSION})


def read(config: Any) -> LtxArchitecture:
    return architecture_of({"config": json.dumps(config)}, "audio.safetensors")


def changed(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(PUBLISHED)
    *parents, name = path.split(".")
    part: Any = config
    for parent in parents:
        part = part[parent]
    if value is None:
        del part[name]
    else:
        part[name] = value
    return config


def test_the_published_file() -> None:
    architecture = read(PUBLISHED)
    assert architecture.extends_bandwidth
    assert architecture.analysis == MelAnalysis(16_000, 1024, 160, 64)
    assert (architecture.latent_bins, architecture.output_sample_rate_hz) == (16, 48_000)
    assert architecture.autoencoder["base_channels"] == 128
    assert architecture.autoencoder["latent_channels"] == 8
    assert architecture.vocoder["hidden_channels"] == 1536
    # The original clamps the first vocoder's sound and leaves the residual as it is.
    assert architecture.vocoder["final_act_fn"] == "clamp"
    assert architecture.vocoder["bwe_final_act_fn"] is None
    assert architecture.vocoder["final_bias"] is architecture.vocoder["bwe_final_bias"] is False
    assert architecture.vocoder["input_sampling_rate"] == 16_000


def test_the_classes_were_made_for_the_published_file() -> None:
    """Their defaults are its settings, but for one: diffusers does not clamp the first vocoder's sound."""
    from diffusers import AutoencoderKLLTX2Audio
    from diffusers.pipelines.ltx2.vocoder import LTX2VocoderWithBWE

    architecture = read(PUBLISHED)
    differing = {}
    for model, given in (
        (AutoencoderKLLTX2Audio, architecture.autoencoder),
        (LTX2VocoderWithBWE, architecture.vocoder),
    ):
        defaults = {name: item.default for name, item in inspect.signature(model.__init__).parameters.items()}
        differing |= {name: value for name, value in given.items() if value != defaults[name]}
    assert differing == {"final_act_fn": "clamp"}


def test_what_is_not_stated_is_as_the_original_reader_assumes() -> None:
    config = changed("audio_vae.preprocessing", None)
    for name in ("ch", "ch_mult", "z_channels", "num_res_blocks", "norm_type", "causality_axis"):
        del config["audio_vae"]["model"]["params"]["ddconfig"][name]
    assert read(config).autoencoder == read(PUBLISHED).autoencoder
    assert read(config).analysis == read(PUBLISHED).analysis


def test_a_vocoder_without_extension() -> None:
    architecture = read(ltx_config(LTX_AUTOENCODER, SMALL_LTX_OLD_VOCODER))
    assert not architecture.extends_bandwidth
    assert architecture.output_sample_rate_hz == 24_000
    assert architecture.vocoder["act_fn"] == "leaky_relu"
    assert architecture.vocoder["final_act_fn"] == "tanh"


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}, {"config": ""}])
def test_a_file_without_metadata_is_refused(metadata: dict[str, str] | None) -> None:
    with pytest.raises(InputError, match=r"audio\.safetensors has no 'config' in its metadata"):
        architecture_of(metadata, "audio.safetensors")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "is not a description of an audio autoencoder"),
        ("[1]", "is not a description of an audio autoencoder"),
        ("{}", "does not describe its audio_vae"),
        ('{"audio_vae": {}}', "does not describe its vocoder"),
        ('{"audio_vae": {}, "vocoder": {}}', "does not say how many mel bins"),
        ('{"audio_vae": {"model": 3}, "vocoder": {}}', "is not a description of an audio autoencoder"),
    ],
)
def test_a_description_of_something_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        architecture_of({"config": text}, "audio.safetensors")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "vocoder.vocoder.activation",
            "snake",
            "asks for activation 'snake', which is not supported; only 'snakebeta'",
        ),
        ("vocoder.bwe.resblock", "2", "asks for resblock '2'"),
        ("vocoder.vocoder.stereo", False, "asks for stereo False"),
        ("audio_vae.model.params.ddconfig.causality_axis", "width", "asks for causality_axis 'width'"),
        ("audio_vae.model.params.ddconfig.norm_type", "group", "asks for norm_type 'group'"),
        ("audio_vae.model.params.ddconfig.attn_type", "linear", "asks for attn_type 'linear'"),
        ("audio_vae.model.params.ddconfig.ch_mult", [1, 2], "asks for 2 levels"),
        ("audio_vae.model.params.ddconfig.z_channels", 16, "but statistics of 128 channels"),
        ("vocoder.bwe.n_fft", None, "lacks n_fft of the bandwidth extension"),
        ("vocoder.bwe.output_sampling_rate", 44_100, "extends 16000 Hz to 44100 Hz; only whole multiples"),
        ("vocoder.bwe.output_sampling_rate", 32_000, "the bandwidth extension's rates do not give its sample rate"),
        ("vocoder.vocoder.upsample_rates", [5, 2, 2, 2, 2, 1], "the vocoder's rates do not give its sample rate"),
        ("vocoder.vocoder.upsample_kernel_sizes", [11, 4], "sizes and rates do not fit together"),
        ("vocoder.bwe.resblock_dilation_sizes", [[1, 3, 5]], "sizes and rates do not fit together"),
    ],
)
def test_what_is_not_supported_is_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(changed(path, value))
