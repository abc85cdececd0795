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


def test_masking_per_sample():
    q, k, v = qkv()
    out = layout(mask_modality=torch.tensor([True, False])).attend(q, k, v)
    torch.testing.assert_close(out[0], layout(mask_modality=True).attend(q, k, v)[0])
    torch.testing.assert_close(out[1], layout().attend(q, k, v)[1])


@pytest.mark.parametrize("masked", [False, True, torch.tensor([True, True])])
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
