"""The released code's own inputs and outputs at a small size (nava-dit goldens) against this model."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn.functional import pad

from nava.config.model import ModelConfig
from nava.model.backbone import NavaTransformer

safetensors = pytest.importorskip("safetensors.torch")

GOLDENS = Path(__file__).parents[3] / "shared" / "goldens" / "nava-dit"
pytestmark = pytest.mark.skipif(not GOLDENS.is_dir(), reason="the released model's golden files are not here")

TINY = {"dim": 64, "ffn_dim": 160, "freq_dim": 32, "num_heads": 4, "num_hal_layers": 2, "num_ufl_layers": 2}
TINY |= {"video_channels": 12, "audio_channels": 16, "text_len": 20, "text_dim": 24, "audio_stem_hidden": None}
TINY |= {"speaker_dim": 192, "zero_init_heads": False, "temporal_bias": 0.0}
CASES = {
    "a_joint_t2av": {},
    "a2_joint_diffctx": {},
    "b_joint_ti2av": {},
    "c_audio_only_t2a": {},
    "c2_audio_only_spk": {},
    "d_video_only_t2v": {},
    "d2_video_only_ti2v": {},
    "e_joint_timbre": {},
    "e2_joint_timbre_null": {},
    "e3_joint_timbre_nopos": {},
    "e4_joint_timbre_more_spk_than_pos": {},
    "f_joint_masked": {},
    "f2_joint_masked_i2v": {},
    "g_batch2": {},
    "g2_batch2_timbre_i2v": {},
    "g3_batch2_masked": {},
    "g4_batch2_audio_only": {},
    "v1_split_ffn": {"split_norm_ffn": True},
    "v2_double_final": {"num_hal_layers": 1, "num_ufl_layers": 1, "num_final_hal_layers": 1, "speaker_dim": 0},
    "v3_all_hal": {"num_hal_layers": 3, "num_ufl_layers": 0},
    "v4_all_ufl": {"num_hal_layers": 0, "num_ufl_layers": 3},
}


def load_model(case):
    own = GOLDENS / f"{case}_weights.safetensors"
    model = NavaTransformer(ModelConfig(**(TINY | CASES[case])))
    model.load_state_dict(safetensors.load_file(own if own.exists() else GOLDENS / "weights.safetensors"), strict=True)
    return model.eval()


def samples(tensors, prefix):
    return [tensors[f"{prefix}.{i}"] for i in range(2) if f"{prefix}.{i}" in tensors]


def stack_padded(parts):
    """Zero-pad the trailing axes to the largest and stack; also the sizes of all but the first axis."""
    sizes = torch.tensor([part.shape for part in parts])
    largest = sizes.amax(0).tolist()
    padding = [[x for size, full in zip(reversed(p.shape), reversed(largest)) for x in (0, full - size)] for p in parts]
    return torch.stack([pad(part, amount) for part, amount in zip(parts, padding)]), sizes


def model_inputs(tensors, meta):
    arguments = {"video_BCTHW": None, "audio_BLC": None, "timestep_B": tensors["in.t"]}
    if video := samples(tensors, "in.vid"):
        arguments["video_BCTHW"], sizes = stack_padded(video)
        arguments["video_size_B3"] = sizes[:, 1:] if len(video) > 1 else None
    if audio := samples(tensors, "in.audio"):
        arguments["audio_BLC"], sizes = stack_padded(audio)
        arguments["audio_length_B"] = sizes[:, 0] if len(audio) > 1 else None
    speakers = tensors.get("in.spk_embed")
    text = samples(tensors, "in.ctx_vid") if video and speakers is None else samples(tensors, "in.ctx_audio")
    arguments["text_BND"] = torch.stack([pad(rows, (0, 0, 0, TINY["text_len"] - len(rows))) for rows in text])
    if speakers is not None and meta["spk_pos"]:
        slots = [sample * TINY["text_len"] + row for sample, rows in enumerate(meta["spk_pos"]) for row in rows]
        arguments |= {"speaker_SE": speakers, "speaker_slot_S": torch.tensor(slots)}
    return arguments | {"mask_modality": meta["masking_modality"], "first_frame_clean": meta["first_frame_is_clean"]}


def assert_close(actual, expected, tolerance=1e-5):
    assert (actual.float() - expected.float()).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_forward_equals_the_released_code(case):
    tensors = safetensors.load_file(GOLDENS / f"{case}.safetensors")
    meta = json.loads((GOLDENS / "manifest.json").read_text())["files"][f"{case}.safetensors"]["meta"]
    video, audio = load_model(case)(**model_inputs(tensors, meta))
    for i, expected in enumerate(samples(tensors, "out.vid")):
        _, frames, height, width = expected.shape
        assert_close(video[i, :, :frames, :height, :width], expected)
    for i, expected in enumerate(samples(tensors, "out.audio")):
        assert_close(audio[i, : len(expected)], expected)


@pytest.mark.parametrize("case", ["a_joint_t2av", "b_joint_ti2av", "e_joint_timbre", "f2_joint_masked_i2v", "g_batch2"])
@torch.no_grad()
def test_prepared_context_equals_the_released_code(case):
    tensors = safetensors.load_file(GOLDENS / f"{case}.safetensors")
    meta = json.loads((GOLDENS / "manifest.json").read_text())["files"][f"{case}.safetensors"]["meta"]
    model, arguments = load_model(case), model_inputs(tensors, meta)
    speakers, slots = arguments.pop("speaker_SE", None), arguments.pop("speaker_slot_S", None)
    arguments["text_BND"] = model.prepare(arguments["text_BND"], speakers, slots)
    video, audio = model(**arguments)
    _, frames, height, width = tensors["out.vid.0"].shape
    assert_close(video[0, :, :frames, :height, :width], tensors["out.vid.0"])
    assert_close(audio[0, : len(tensors["out.audio.0"])], tensors["out.audio.0"])


@pytest.mark.parametrize("policy", ["autocast", "weights in bf16"])
@torch.no_grad()
def test_bf16_is_as_close_as_the_released_policy(policy):
    tensors = safetensors.load_file(GOLDENS / "a_joint_t2av.safetensors")
    expected = safetensors.load_file(GOLDENS / "z_bf16_joint.safetensors")
    model = load_model("a_joint_t2av")
    arguments = model_inputs(tensors, {"spk_pos": None, "masking_modality": False, "first_frame_is_clean": False})
    if policy == "autocast":
        with torch.autocast("cpu", dtype=torch.bfloat16):
            video, audio = model(**arguments)
    else:
        video, audio = model.bfloat16()(**arguments)
        assert video.dtype == audio.dtype == torch.bfloat16
    for name, actual in (("out.vid.0", video[0]), ("out.audio.0", audio[0])):
        assert_close(actual, expected[name], tolerance=3e-2)
        assert_close(actual, tensors[name], tolerance=3e-2)


def test_rotations_equal_the_released_code():
    from nava.model.rope import audio_rotations, video_rotations

    tensors = safetensors.load_file(GOLDENS / "h_rope.safetensors")
    for name, rotations in {
        "vid.3x2x3": video_rotations(16, (3, 2, 3)),
        "aud.14": audio_rotations(16, 14, 0.24),
        "real128.vid.3x22x40": video_rotations(128, (3, 22, 40)),
        "real128.aud.152": audio_rotations(128, 152, 0.24),
    }.items():
        torch.testing.assert_close(rotations.real, tensors[f"{name}.cos"].float(), atol=1e-6, rtol=0)
        torch.testing.assert_close(rotations.imag, tensors[f"{name}.sin"].float(), atol=1e-6, rtol=0)
