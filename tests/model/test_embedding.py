import math

import torch
from torch.nn.functional import conv3d, silu

from nava.model.embedding import AudioStem, SpeakerEmbedding, patchify, sinusoid, unpatchify


def test_patches_times_weights_are_the_strided_convolution():
    video, weight = torch.randn(2, 3, 4, 4, 6), torch.randn(5, 3, 1, 2, 2)
    tokens = patchify(video, (1, 2, 2)) @ weight.flatten(1).T
    convolved = conv3d(video, weight, stride=(1, 2, 2))
    torch.testing.assert_close(tokens, convolved.flatten(2).transpose(1, 2))


def test_unpatchify_places_every_channel():
    grid, patch = (3, 2, 4), (1, 2, 2)
    video = torch.randn(2, 5, 3, 4, 8)
    cut = patchify(video, patch).unflatten(-1, (5, 4)).transpose(-1, -2).flatten(-2)  # stored as (patch, channels)
    torch.testing.assert_close(unpatchify(cut, grid, patch), video, rtol=0, atol=0)


def test_sinusoid_has_cosines_first():
    out = sinusoid(torch.tensor([0.0, 250.0]), 8)
    assert out.dtype == torch.float64
    frequencies = [10000 ** (-i / 4) for i in range(4)]
    expected = [math.cos(250 * f) for f in frequencies] + [math.sin(250 * f) for f in frequencies]
    torch.testing.assert_close(out[1], torch.tensor(expected, dtype=torch.float64))
    assert out[0].tolist() == [1.0] * 4 + [0.0] * 4


def test_audio_stem_by_the_formula():
    stem = AudioStem(4, 6, 10)
    x = torch.randn(1, 9, 4)
    first, gated = stem[0], stem[2]
    h = silu(torch.conv1d(x.transpose(1, 2), first.weight, first.bias, padding=3))
    left, right = (torch.conv1d(h, w.weight, padding=3) for w in (gated.w1, gated.w3))
    expected = torch.conv1d(silu(left) * right, gated.w2.weight, padding=3).transpose(1, 2)
    torch.testing.assert_close(stem(x), expected)
    assert set(stem.state_dict()) == {"0.weight", "0.bias", "2.w1.weight", "2.w2.weight", "2.w3.weight"}


@torch.no_grad()
def test_audio_padding_never_reaches_the_tokens():
    stem = AudioStem(4, 6, 10)
    x = torch.randn(2, 12, 4)
    valid = torch.arange(12) < torch.tensor([12, 7])[:, None]
    out = stem(x, valid)
    torch.testing.assert_close(out[0], stem(x[:1])[0])
    torch.testing.assert_close(out[1, :7], stem(x[1:, :7])[0])


@torch.no_grad()
def test_unknown_speaker_is_the_learned_row():
    embedding = SpeakerEmbedding(10, 6)
    torch.nn.init.normal_(embedding.null_token)
    rows = embedding(torch.cat([torch.randn(1, 10), torch.zeros(1, 10)]))
    torch.testing.assert_close(rows[1], embedding.null_token[0])
    torch.testing.assert_close(rows[0].mean(), torch.tensor(0.0), atol=1e-5, rtol=0)  # normalised; the null row is not
