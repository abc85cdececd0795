"""MUSIQ: patches and network against slow definitions over the names of its file."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from nava.evaluation.backends.musiq_input import patches
from nava.evaluation.backends.musiq_network import MusiqNetwork
from nava.evaluation.backends.renamed_weights import filled
from tests.evaluation.backends.picture_checkpoints import MUSIQ_SIZE, drawn


def frame(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def tensors():
    return drawn(MusiqNetwork(MUSIQ_SIZE))


@pytest.fixture(scope="module")
def network(tensors, tmp_path_factory):
    source = tmp_path_factory.mktemp("musiq") / "file.pth"
    return filled(lambda: MusiqNetwork(MUSIQ_SIZE), tensors, lambda _network, name: name, source)


def test_three_scales_in_squares_of_32_with_the_picture_in_their_middle():
    seen = patches(frame(100, 150))
    # 149 x 224 and 256 x 384, then the picture itself.
    counts = [5 * 7, 8 * 12, 4 * 5]
    assert [int((seen.scale_N == scale).sum()) for scale in range(3)] == counts
    assert seen.picture_N3PP.shape == (sum(counts), 3, 32, 32)
    own = seen.picture_N3PP[-20:].reshape(4, 5, 3, 32, 32).permute(2, 0, 3, 1, 4).reshape(3, 128, 160)
    expected = np.zeros((3, 128, 160))
    expected[:, 14:114, 5:155] = frame(100, 150).transpose(2, 0, 1) / 127.5 - 1
    np.testing.assert_allclose(own.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 7, 10, 12, 15, 23, 40, 60])
def test_places_are_those_of_nearest_neighbours_in_a_grid_of_ten(count):
    seen = patches(np.zeros((32, 32 * count, 3), np.uint8))
    nearest = F.interpolate(torch.arange(10.0)[None, None], count, mode="nearest")[0, 0].long()
    assert torch.equal(seen.place_N[-count:], nearest)
    seen = patches(np.zeros((32 * count, 64, 3), np.uint8))
    expected = nearest[:, None] * 10 + torch.tensor([0, 5])
    assert torch.equal(seen.place_N[-2 * count :], expected.flatten())


def test_scaling_takes_four_neighbours_without_smoothing():
    """Keys' cubic with a = -0.75, of the four nearest samples; weights that smooth would need sixteen."""
    picture = frame(448, 448, 3)
    (row, column) = (5, 100)  # lies in the patch of row 0, column 3 at scale 0
    cubic = lambda d: 1.25 * d**3 - 2.25 * d**2 + 1 if d <= 1 else -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)  # noqa: E731
    weights = np.array([cubic(abs(offset - 0.5)) for offset in (-1, 0, 1, 2)])
    block = picture[2 * row - 1 : 2 * row + 3, 2 * column - 1 : 2 * column + 3] / 127.5 - 1
    expected = np.einsum("y,x,yxc->c", weights, weights, block)
    np.testing.assert_allclose(patches(picture).picture_N3PP[3, :, 5, 4].numpy(), expected, atol=1e-5)


def standardised(picture, weight, stride=1):
    """Weights to mean 0 and deviation 1; zeros around, what is odd right and below."""
    weight = weight.double()
    flat = weight.flatten(1)
    spread = ((flat - flat.mean(1, keepdim=True)) ** 2).sum(1) / (flat.shape[1] - 1)
    weight = (weight - flat.mean(1)[:, None, None, None]) / (spread.sqrt() + 1e-5)[:, None, None, None]
    kernel, side = weight.shape[-1], picture.shape[-1]
    out = -(-side // stride)
    total = (out - 1) * stride + kernel - side
    grown = torch.zeros(*picture.shape[:2], side + total, side + total).double()
    grown[:, :, total // 2 : total // 2 + side, total // 2 : total // 2 + side] = picture
    found = torch.zeros(len(picture), len(weight), out, out).double()
    for row in range(out):
        for column in range(out):
            piece = grown[:, :, row * stride : row * stride + kernel, column * stride : column * stride + kernel]
            found[:, :, row, column] = torch.einsum("ncyx,ocyx->no", piece, weight)
    return found


def by_the_book(t, seen, masked=0):
    """As published: with `masked` patches at the end that nobody may look at."""
    t = {name: tensor.double() for name, tensor in t.items()}
    norm = lambda x, name, eps: F.group_norm(x, 32, t[f"{name}.weight"], t[f"{name}.bias"], eps)  # noqa: E731
    x = norm(standardised(seen.picture_N3PP.double(), t["conv_root.weight"], 2), "gn_root", 1e-6).relu()
    x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2)
    inner = norm(standardised(x, t["block1.conv1.weight"]), "block1.gn1", 1e-4).relu()
    inner = norm(standardised(inner, t["block1.conv2.weight"]), "block1.gn2", 1e-4).relu()
    inner = norm(standardised(inner, t["block1.conv3.weight"]), "block1.gn3", 1e-4)
    x = (inner + norm(standardised(x, t["block1.conv_proj.weight"]), "block1.gn_proj", 1e-4)).relu()
    linear = lambda x, name: x @ t[f"{name}.weight"].T + t[f"{name}.bias"]  # noqa: E731
    x = linear(torch.stack([cell for row in x.unbind(2) for cell in row.unbind(2)], 1).flatten(1), "embedding")
    encoder = "transformer_encoder."
    x = x + t[f"{encoder}posembed_input.position_emb"][0][seen.place_N]
    x = x + t[f"{encoder}scaleembed_input.scale_emb"][seen.scale_N]
    x = torch.cat([t[f"{encoder}cls"][0], x, 5 * torch.ones(masked, 16).double()])
    hidden = torch.zeros(len(x), len(x)).double()
    if masked:
        hidden[-masked:] = hidden[:, -masked:] = -1e3
    for layer in range(2):
        p = f"{encoder}transformer.encoderblock_{layer}."
        y = F.layer_norm(x, (16,), t[f"{p}norm1.weight"], t[f"{p}norm1.bias"], 1e-6)
        q, k, v = (linear(y, f"{p}attention.{name}") for name in ("query", "key", "value"))
        heads = []
        for part in (slice(0, 8), slice(8, 16)):
            products = (q[:, part] @ k[:, part].T / 8**0.5).where(hidden == 0, hidden)
            heads.append(torch.softmax(products, 1) @ v[:, part])
        x = x + linear(torch.cat(heads, 1), f"{p}attention.out")
        y = F.layer_norm(x, (16,), t[f"{p}norm2.weight"], t[f"{p}norm2.bias"], 1e-6)
        x = x + linear(F.gelu(linear(y, f"{p}mlp.fc1")), f"{p}mlp.fc2")
    x = F.layer_norm(x, (16,), t[f"{encoder}encoder_norm.weight"], t[f"{encoder}encoder_norm.bias"], 1e-6)
    return float(linear(x[0], "head"))


def test_the_score_is_what_the_published_structure_gives(network, tensors):
    seen = patches(frame(40, 70))
    found = float(network(seen))
    assert found == pytest.approx(by_the_book(tensors, seen), abs=1e-4)
    assert found == pytest.approx(by_the_book(tensors, seen, masked=6), abs=1e-4), "masked patches change nothing"


@pytest.mark.parametrize("change", ["channels first", "places", "scales"])
def test_a_wrong_variant_has_another_score(network, tensors, change):
    seen = patches(frame(40, 70))
    right, wrong = float(network(seen)), dict(tensors)
    if change == "channels first":
        wrong["embedding.weight"] = tensors["embedding.weight"].unflatten(1, (128, 64)).transpose(1, 2).flatten(1)
    elif change == "places":
        seen.place_N[:] = 0
    else:
        seen.scale_N[:] = 0
    assert abs(by_the_book(wrong, seen) - right) > 1e-3


def test_scale_and_offset_of_convolution_weights_do_not_matter(tensors, tmp_path):
    seen = patches(frame(40, 70))
    stretched = {name: 3 * tensor + 1 if tensor.ndim == 4 else tensor for name, tensor in tensors.items()}
    scores = [
        float(filled(lambda: MusiqNetwork(MUSIQ_SIZE), those, lambda _network, name: name, tmp_path)(seen))
        for those in (tensors, stretched)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_the_published_layout():
    with torch.device("meta"):
        names = {name: tuple(tensor.shape) for name, tensor in MusiqNetwork().state_dict().items()}
    assert len(names) == 3 + 4 * 3 + 2 + 3 + 2 + 14 * 16 + 2
    shapes = {
        "conv_root.weight": (64, 3, 7, 7),
        "block1.conv_proj.weight": (256, 64, 1, 1),
        "block1.gn_proj.bias": (256,),
        "embedding.weight": (384, 16384),
        "transformer_encoder.posembed_input.position_emb": (1, 100, 384),
        "transformer_encoder.scaleembed_input.scale_emb": (3, 384),
        "transformer_encoder.cls": (1, 1, 384),
        "transformer_encoder.transformer.encoderblock_13.attention.out.weight": (384, 384),
        "transformer_encoder.transformer.encoderblock_0.mlp.fc1.weight": (1152, 384),
        "transformer_encoder.encoder_norm.weight": (384,),
        "head.weight": (1, 384),
    }
    assert {name: names.get(name) for name in shapes} == shapes
