"""MANIQA: squares and network against slow definitions over the names of its file."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from nava.evaluation.backends.maniqa_input import crops
from nava.evaluation.backends.maniqa_network import ManiqaNetwork
from nava.evaluation.backends.renamed_weights import filled
from tests.evaluation.backends.picture_checkpoints import MANIQA_SIZE, drawn

PLACES = MANIQA_SIZE.places


def test_twenty_squares_of_the_frame_that_its_number_decides():
    frame = np.random.default_rng(0).integers(0, 256, (230, 300, 3)).astype(np.uint8)
    cut = crops(frame, 3)
    assert (cut.shape, cut.dtype) == ((20, 3, 224, 224), np.float32)
    whole = frame.transpose(2, 0, 1) / 127.5 - 1
    tops, lefts = set(), set()
    for square in cut:
        ((top, left),) = [
            (top, left)
            for top in range(6)
            for left in np.flatnonzero(np.isclose(whole[0, top, : 300 - 224], square[0, 0, 0], atol=1e-6))
            if np.allclose(whole[:, top : top + 224, left : left + 224], square, atol=1e-6)
        ]
        tops.add(top)
        lefts.add(int(left))
    assert tops <= set(range(6))
    assert len(tops) > 2
    assert len(lefts) > 8
    assert np.array_equal(cut, crops(frame, 3))
    assert not np.array_equal(cut, crops(frame, 4))
    assert len({square.tobytes() for square in crops(frame[:224, :224], 0)}) == 1


@pytest.fixture(scope="module")
def tensors():
    return drawn(ManiqaNetwork(MANIQA_SIZE))


@pytest.fixture(scope="module")
def network(tensors, tmp_path_factory):
    source = tmp_path_factory.mktemp("maniqa") / "file.pt"
    return filled(lambda: ManiqaNetwork(MANIQA_SIZE), tensors, lambda _network, name: name, source)


def picture(seed=0):
    return torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(seed))


class ByTheBook:
    """Place by place in float64; `changed` names what is done wrongly."""

    def __init__(self, tensors, changed=""):
        self.t = {name: tensor.double() for name, tensor in tensors.items()}
        self.changed = changed

    def linear(self, x, name):
        return x @ self.t[f"{name}.weight"].T + self.t[f"{name}.bias"]

    def norm(self, x, name, eps):
        return F.layer_norm(x, (x.shape[-1],), self.t[f"{name}.weight"], self.t[f"{name}.bias"], eps)

    def mlp(self, x, name):
        return self.linear(F.gelu(self.linear(x, f"{name}.fc1")), f"{name}.fc2")

    def attention(self, x, name, heads, bias=None):
        q, k, v = self.linear(x, f"{name}.qkv").chunk(3, 1)
        width = x.shape[1] // heads
        out = []
        for head in range(heads):
            part = slice(head * width, head * width + width)
            products = q[:, part] @ k[:, part].T / width**0.5
            out.append(torch.softmax(products + (0 if bias is None else bias[head]), 1) @ v[:, part])
        return self.linear(torch.cat(out, 1), f"{name}.proj")

    def vit(self, seen):
        weight, bias = self.t["vit.patch_embed.proj.weight"], self.t["vit.patch_embed.proj.bias"]
        tokens = [self.t["vit.cls_token"][0, 0]]
        for row in range(PLACES):
            for column in range(PLACES):
                patch = seen[:, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8].double()
                tokens.append((weight * patch).sum((1, 2, 3)) + bias)
        x = torch.stack(tokens) + self.t["vit.pos_embed"][0]
        tapped = []
        for layer in range(3):
            p = f"vit.blocks.{layer}."
            x = x + self.attention(self.norm(x, f"{p}norm1", 1e-6), f"{p}attn", 2)
            x = x + self.mlp(self.norm(x, f"{p}norm2", 1e-6), f"{p}mlp")
            tapped.append(x[1:])
        return torch.cat(tapped[1:], 1)

    def channel_attention(self, x, name):
        """x [N, C]."""
        channels = x.T
        q, k, v = (self.linear(channels, f"{name}.{part}") for part in ("c_q", "c_k", "c_v"))
        attended = torch.softmax(q @ k.T / channels.shape[1] ** 0.5, 1) @ v
        if self.changed != "not mixed":
            attended = attended.T.flatten().view(channels.shape)
        return (channels + attended).T

    def swin_block(self, x, name, shift):
        table = self.t[f"{name}.attn.relative_position_bias_table"]
        y, out = self.norm(x, f"{name}.norm1", 1e-5), torch.zeros_like(x)
        for top in range(0, PLACES, 4):
            for left in range(0, PLACES, 4):
                cells = [((top + a + shift) % PLACES, (left + b + shift) % PLACES) for a in range(4) for b in range(4)]
                index = [row * PLACES + column for row, column in cells]
                bias = torch.zeros(4, 16, 16).double()
                for p, (a, b) in enumerate(cells):
                    for q, (c, d) in enumerate(cells):
                        # Places of one window are near in the picture, or were brought together by the turn.
                        near = abs(a - c) < 4 and abs(b - d) < 4
                        down, right = p // 4 - q // 4, p % 4 - q % 4
                        bias[:, p, q] = table[(down + 3) * 7 + right + 3] + (0 if near or not shift else -100)
                out[index] = self.attention(y[index], f"{name}.attn", 4, bias)
        x = x + out
        return x + self.mlp(self.norm(x, f"{name}.norm2", 1e-5), f"{name}.mlp")

    def swin(self, x, name):
        for stage in range(2):
            p = f"{name}.layers.{stage}."
            y = self.swin_block(x, f"{p}blocks.0", 0)
            y = self.swin_block(y, f"{p}blocks.1", 0 if self.changed == "not shifted" else 2)
            weight, bias = self.t[f"{p}conv.weight"], self.t[f"{p}conv.bias"]
            y = F.conv2d(y.T.reshape(1, -1, PLACES, PLACES), weight, bias, padding=1).relu()
            scale = 0.13 if self.changed == "scale of PIPAL" else 0.8
            x = scale * y[0].flatten(1).T + x
        return x

    def score(self, seen):
        x = self.vit(seen)
        for half in (1, 2):
            for block in range(2):
                x = self.channel_attention(x, f"tablock{half}.{block}")
            weight, bias = self.t[f"conv{half}.weight"], self.t[f"conv{half}.bias"]
            x = self.swin(x @ weight[:, :, 0, 0].T + bias, f"swintransformer{half}")
        score = self.linear(self.linear(x, "fc_score.0").relu(), "fc_score.3").relu()[:, 0]
        weight = torch.sigmoid(self.linear(self.linear(x, "fc_weight.0").relu(), "fc_weight.3"))[:, 0]
        if self.changed == "plain mean":
            return float(score.mean())
        return float((score * weight).sum() / weight.sum())


def test_scores_are_what_the_published_structure_gives(network, tensors):
    seen = torch.stack([picture(0), picture(1)])
    found = network(seen)
    assert found.shape == (2,)
    for score, one in zip(found, seen, strict=True):
        assert float(score) == pytest.approx(ByTheBook(tensors).score(one), rel=1e-4, abs=1e-5)
    assert float(found[0]) != pytest.approx(float(found[1]), rel=1e-3)
    assert float(found[0]) > 0.01, "a score of 0 would show nothing"


@pytest.mark.parametrize("changed", ["not mixed", "not shifted", "scale of PIPAL", "plain mean"])
def test_a_wrong_variant_has_another_score(network, tensors, changed):
    right = float(network(picture()[None])[0])
    assert abs(ByTheBook(tensors, changed).score(picture()) - right) > 1e-4 * abs(right) * 10


def test_the_published_layout():
    with torch.device("meta"):
        names = {name: tuple(tensor.shape) for name, tensor in ManiqaNetwork().state_dict().items()}
    vit, tab = 4 + 12 * 12 + 4, 2 * 6
    stage = 2 + 2 * 14 + 1
    assert len(names) == vit + 2 * (tab + 2 + 2 + 2 * stage) + 2 * 4
    shapes = {
        "vit.pos_embed": (1, 785, 768),
        "vit.patch_embed.proj.weight": (768, 3, 8, 8),
        "vit.blocks.11.attn.qkv.weight": (2304, 768),
        "vit.head.weight": (1000, 768),
        "tablock1.1.c_v.weight": (784, 784),
        "conv1.weight": (768, 3072, 1, 1),
        "swintransformer1.downsample.weight": (768, 768, 3, 3),
        "swintransformer1.layers.1.blocks.1.attn_mask": (49, 16, 16),
        "swintransformer1.layers.0.blocks.0.attn.relative_position_bias_table": (49, 4),
        "swintransformer1.layers.0.blocks.0.attn.relative_position_index": (16, 16),
        "swintransformer2.layers.0.conv.weight": (384, 384, 3, 3),
        "swintransformer2.layers.1.blocks.0.mlp.fc1.weight": (768, 384),
        "conv2.weight": (384, 768, 1, 1),
        "fc_score.3.weight": (1, 384),
        "fc_weight.0.bias": (384,),
    }
    assert {name: names.get(name) for name in shapes} == shapes
    assert "swintransformer1.layers.0.blocks.0.attn_mask" not in names, "windows that are not shifted have no mask"
