"""The released code's model settings as settings of this model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nava.config.model import ModelConfig
from nava.runtime.errors import InputError

_SIZES = {
    "dim": "dim",
    "ffn_dim": "ffn_dim",
    "freq_dim": "freq_dim",
    "num_heads": "num_heads",
    "num_double_layers": "num_hal_layers",
    "num_single_layers": "num_ufl_layers",
    "num_double_final_layers": "num_final_hal_layers",
    "vid_in_dim": "video_channels",
    "audio_in_dim": "audio_channels",
    "text_len": "text_len",
    "text_dim": "text_dim",
    "eps": "eps",
    "temporal_rope_scaling_factor": "audio_rope_scale",
}
# Settings that this model has built in: any other value would be another model.
_BUILT_IN: dict[str, tuple[Any, ...]] = {
    "window_size": ([-1, -1],),
    "qk_norm": (True,),
    "cross_attn_norm": (True,),
    "model_type": ("ti2v", "t2v", "i2v"),
}
_DERIVED = ("patch_size", "num_layers", "vid_out_dim", "audio_out_dim", "add_spk_emb", "no_split_norm_ffn")
# The tensor whose length is the width of the speaker vectors: no setting says it.
SPEAKER_WEIGHT = "speaker_embedding.net.0.weight"


def model_config(released: Mapping[str, Any], speaker_width: int | None) -> ModelConfig:
    """Settings of the model that the released ones describe.

    Args:
        released: settings under their released names (`num_double_layers`, `vid_in_dim`, ...).
        speaker_width: length of the weights' `SPEAKER_WEIGHT`; None if they have none.

    Raises:
        InputError: a setting is missing, unknown, or of a value that this model does not implement.
    """
    _check(released)
    patch = released["patch_size"]
    with_speakers = released.get("add_spk_emb", False)
    if with_speakers and speaker_width is None:
        raise InputError(f"the settings say add_spk_emb, but the weights hold no {SPEAKER_WEIGHT}")
    return ModelConfig(
        **{ours: released[theirs] for theirs, ours in _SIZES.items() if theirs in released},
        patch_size=(patch[0], patch[1], patch[2]),
        speaker_dim=speaker_width if with_speakers and speaker_width else 0,
        split_norm_ffn=not released.get("no_split_norm_ffn", False),
        audio_stem_hidden=None,
        zero_init_heads=False,
        temporal_bias=0.0,
    )


def _check(released: Mapping[str, Any]) -> None:
    optional = {"num_double_final_layers", "temporal_rope_scaling_factor"}
    for name in (*_SIZES, "patch_size"):
        if name not in released and name not in optional:
            raise InputError(f"the model settings lack {name!r}")
    for name, value in released.items():
        if name in _BUILT_IN and (list(value) if isinstance(value, tuple) else value) not in _BUILT_IN[name]:
            raise InputError(f"model setting {name} is {value!r}; this model knows {_BUILT_IN[name]}")
        if name not in _SIZES and name not in _BUILT_IN and name not in _DERIVED:
            raise InputError(f"model setting {name!r} is unknown; is the manifest of another model?")
    for ours, theirs in (("vid_in_dim", "vid_out_dim"), ("audio_in_dim", "audio_out_dim")):
        if released.get(theirs, released[ours]) != released[ours]:
            raise InputError(f"{theirs} is {released[theirs]}, but {ours} is {released[ours]}; they must be equal")
    layers = sum(
        released.get(name, 0) for name in ("num_double_layers", "num_single_layers", "num_double_final_layers")
    )
    if released.get("num_layers", layers) != layers:
        raise InputError(f"num_layers is {released['num_layers']}, but the parts add up to {layers}")
