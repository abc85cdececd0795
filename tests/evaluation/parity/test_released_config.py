from dataclasses import asdict

import pytest

from nava.config.model import ModelConfig, release_config
from nava.evaluation.parity.released_config import model_config
from nava.runtime.errors import InputError
from tests.evaluation.parity.own_set import CONFIG, RELEASED, SPEAKER


def test_every_size_is_taken_over():
    assert model_config(RELEASED, SPEAKER) == CONFIG


def test_the_released_model_itself():
    released = RELEASED | {"dim": 3072, "ffn_dim": 14336, "freq_dim": 256, "num_heads": 24, "num_layers": 30}
    released |= {"num_double_layers": 10, "num_single_layers": 20, "vid_in_dim": 48, "vid_out_dim": 48}
    released |= {"audio_in_dim": 128, "audio_out_dim": 128, "text_len": 512, "text_dim": 4096, "eps": 1e-6}
    released |= {"temporal_rope_scaling_factor": 0.24}
    built = model_config(released, 192)
    other_architectures = ("num_tower_layers", "num_trimodal_layers")
    assert own_settings(built, other_architectures) == own_settings(release_config(), other_architectures)


def own_settings(config: ModelConfig, without: tuple[str, ...]) -> dict[str, object]:
    return {name: value for name, value in asdict(config).items() if name not in without}


def test_variants():
    assert model_config(RELEASED | {"no_split_norm_ffn": False}, SPEAKER).split_norm_ffn
    assert model_config(RELEASED | {"add_spk_emb": False}, None).speaker_dim == 0
    changed = RELEASED | {"num_double_layers": 0, "num_double_final_layers": 1}
    config = model_config(changed, SPEAKER)
    assert (config.num_hal_layers, config.num_ufl_layers, config.num_final_hal_layers) == (0, 2, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qk_norm": False}, "qk_norm is False"),
        ({"window_size": [4, 4]}, "window_size"),
        ({"audio_out_dim": 3}, "audio_out_dim is 3"),
        ({"num_layers": 4}, "num_layers is 4, but the parts add up to 3"),
        ({"cross_gate": True}, "'cross_gate' is unknown"),
        ({"speakers": 3}, "'speakers' is unknown"),
    ],
)
def test_settings_of_another_model_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        model_config(RELEASED | change, SPEAKER)


def test_a_setting_that_is_missing_is_named():
    with pytest.raises(InputError, match="lack 'num_heads'"):
        model_config({name: value for name, value in RELEASED.items() if name != "num_heads"}, SPEAKER)


def test_speakers_without_weights_for_them():
    with pytest.raises(InputError, match="add_spk_emb"):
        model_config(RELEASED, None)
