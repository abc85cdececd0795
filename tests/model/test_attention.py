import pytest
import torch

from nava.model.attention import Attention, RMSNorm, TokenLayout, attention
from nava.model.rope import audio_rotations

VIDEO, AUDIO = 5, 3


def qkv(seed=0, batch=2):
    return torch.randn(3, batch, VIDEO + AUDIO, 2, 6, generator=torch.Generator().manual_seed(seed))


def layout(**settings):
    rotations = audio_rotations(6, VIDEO + AUDIO, 1.0)
    return TokenLayout(num_video=VIDEO, num_audio=AUDIO, rotations=rotations, **settings)


def test_rms_norm_by_the_formula():
    norm = RMSNorm(8, eps=1e-6)
    norm.weight.data = torch.arange(8.0)
    x = torch.randn(3, 8)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * torch.arange(8.0)
    torch.testing.assert_close(norm(x), expected)
    assert norm(x.bfloat16()).dtype == torch.bfloat16


def test_attention_by_the_formula():
    q, k, v = qkv()
    scores = torch.einsum("blhd,bmhd->bhlm", q, k) / 6**0.5
    torch.testing.assert_close(attention(q, k, v), torch.einsum("bhlm,bmhd->blhd", scores.softmax(-1), v))


def test_masked_modalities_attend_to_themselves():
    q, k, v = qkv()
    out = layout(mask_modality=True).attend(q, k, v)
    torch.testing.assert_close(out[:, :VIDEO], attention(q[:, :VIDEO], k[:, :VIDEO], v[:, :VIDEO]))
    torch.testing.assert_close(out[:, VIDEO:], attention(q[:, VIDEO:], k[:, VIDEO:], v[:, VIDEO:]))


@pytest.mark.parametrize("flags", [[True, False], [False, True], [True, True], [False, False]])
def test_masking_per_sample(flags):
    q, k, v = qkv()
    out = layout(mask_modality=flags).attend(q, k, v)
    for i, apart in enumerate(flags):
        torch.testing.assert_close(out[i], layout(mask_modality=apart).attend(q, k, v)[i])


def test_alternating_flags_keep_the_samples_in_order():
    q, k, v = qkv(batch=4)
    out = layout(mask_modality=[True, False, False, True]).attend(q, k, v)
    masked, joint = layout(mask_modality=True).attend(q, k, v), layout().attend(q, k, v)
    torch.testing.assert_close(out, torch.stack([masked[0], joint[1], joint[2], masked[3]]))


def test_one_flag_for_each_sample():
    with pytest.raises(ValueError, match="3 modality mask flags for a batch of 2"):
        layout(mask_modality=[True, False, True]).attend(*qkv())


@pytest.mark.parametrize("masked", [False, True, [True, True], [False, True]])
def test_padding_is_not_seen(masked):
    q, k, v = qkv()
    valid = torch.ones(2, VIDEO + AUDIO, dtype=torch.bool)
    valid[1, [3, 4, 7]] = False
    before = layout(valid=valid, mask_modality=masked).attend(q, k, v)
    k[1, [3, 4, 7]], v[1, [3, 4, 7]] = 100.0, 100.0
    after = layout(valid=valid, mask_modality=masked).attend(q, k, v)
    torch.testing.assert_close(before, after)
    assert torch.isfinite(before).all()


def test_single_modality_ignores_masking():
    q, k, v = (x[:, :VIDEO] for x in qkv())
    alone = TokenLayout(num_video=VIDEO, num_audio=0, rotations=audio_rotations(6, VIDEO, 1.0), mask_modality=True)
    torch.testing.assert_close(alone.attend(q, k, v), attention(q, k, v))


def test_names_of_the_two_streams():
    names = set(dict(Attention(12, 2, 1e-6, ("video", "audio")).named_parameters()))
    single = {f"{m}.{p}" for m in "qkvo" for p in ("weight", "bias")} | {"norm_q.weight", "norm_k.weight"}
    assert names == single | {name.replace(".", "_audio.") for name in single}
    assert set(dict(Attention(12, 2, 1e-6).named_parameters())) == single


def test_normalises_before_the_split_into_heads():
    layer = Attention(12, 2, 1e-6)
    layer.q.weight.data[:6] *= 100
    q, _, _ = layer.project(torch.randn(1, 4, 12))
    # Over the whole width the loud head stays louder; normalising each head would level them.
    assert q[:, :, 0].norm() > 10 * q[:, :, 1].norm()


def test_cross_attention_ignores_the_order_of_the_context():
    layer = Attention(12, 2, 1e-6)
    x, context = torch.randn(2, 4, 12), torch.randn(2, 7, 12)
    torch.testing.assert_close(layer.cross(x, context), layer.cross(x, context.flip(1)))


def test_cross_attention_takes_keys_and_values_made_before():
    layer = Attention(12, 2, 1e-6, ("video", "audio"))
    x, context = torch.randn(2, 4, 12), torch.randn(2, 7, 12)
    prepared = {stream: layer.key_values(context, stream) for stream in ("video", "audio")}
    for stream in prepared:
        torch.testing.assert_close(layer.cross(x, prepared, stream), layer.cross(x, context, stream))
    assert not torch.allclose(layer.cross(x, context, "video"), layer.cross(x, context, "audio"))


def test_rms_norm_sums_in_float32():
    norm = RMSNorm(4096, eps=1e-6)
    x = torch.linspace(0.5, 1.5, 4096).bfloat16()[None]
    expected = x.float() / x.float().square().mean(-1, keepdim=True).sqrt()
    # Half a step of bfloat16; a sum in bfloat16 would stall long before 4,096 terms.
    torch.testing.assert_close(norm(x).float(), expected, rtol=2**-8, atol=0)
