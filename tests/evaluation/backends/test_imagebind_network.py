"""ImageBind's towers: the published layout, and values against slow definitions over the names of its file."""

import math

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from nava.evaluation.backends.imagebind import ImageBind
from nava.evaluation.backends.imagebind_network import (
    Attention,
    Block,
    ImageBindNetwork,
    ImageBindSize,
    TowerSize,
    without_other_towers,
)
from tests.evaluation.backends.imagebind_checkpoint import OTHERS, SMALL, Tensors, imagebind_shapes, small_tensors


@pytest.fixture(scope="module")
def published() -> ImageBindNetwork:
    with torch.device("meta"):
        return ImageBind.build()


@pytest.fixture(scope="module")
def network() -> ImageBindNetwork:
    small = ImageBindNetwork(SMALL)
    small.load_state_dict(small_tensors())
    return small.eval()


def test_names_and_shapes_are_the_published_ones(published: ImageBindNetwork) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in published.state_dict().items()}
    assert all(tensor.is_meta for tensor in published.state_dict().values()), "nothing of that size is allocated"
    assert shapes == imagebind_shapes()
    assert len(shapes) == (5 + 32 * 12 + 3) + (5 + 12 * 14 + 3 + 1)


@pytest.mark.parametrize(
    ("tower", "width", "layers", "before", "in_a_layer"),
    [
        # Patches of 2 x 14 x 14 in colour, 16 x 16 of them and one more token, a norm before the layers.
        ("vision", 1280, 32, 3 * 2 * 14**2 + 1 + 257 + 2, 0),
        # Patches of 16 x 16 with a norm, 12 x 19 of them and one more; a key and a value in each layer.
        ("audio", 768, 12, 16**2 + 2 + 1 + 229, 2),
    ],
)
def test_a_tower_has_as_many_parameters_as_published(
    published: ImageBindNetwork, tower: str, width: int, layers: int, before: int, in_a_layer: int
) -> None:
    layer = 12 * width**2 + (3 + 1 + 4 + 1 + 4 + in_a_layer) * width
    expected = before * width + layers * layer + 2 * width + 1024 * width
    found = sum(tensor.numel() for name, tensor in published.named_parameters() if name.split(".")[1] == tower)
    assert found == expected == {"vision": 632_829_440, "audio": 86_235_648}[tower]


def test_heads_which_no_shape_tells_are_the_published_ones() -> None:
    size = ImageBindSize()
    assert (size.picture.heads, size.picture.width // size.picture.heads) == (16, 80)
    assert (size.sound.heads, size.sound.width // size.sound.heads) == (12, 64)


def test_both_published_towers_end_in_the_same_space(published: ImageBindNetwork) -> None:
    with torch.device("meta"):
        assert published.picture(torch.zeros(2, 3, 2, 224, 224)).shape == (2, 1024)
        assert published.sound(torch.zeros(3, 1, 128, 204)).shape == (3, 1024)
        with pytest.raises(RuntimeError):
            published.sound(torch.zeros(3, 1, 128, 220))


@pytest.mark.parametrize("extra_token", [False, True])
@pytest.mark.parametrize("heads", [2, 4])
def test_attention_is_pytorchs_of_the_same_tensors(extra_token: bool, heads: int) -> None:
    ours = Attention(TowerSize(32, 1, heads), extra_token)
    theirs = torch.nn.MultiheadAttention(32, heads, add_bias_kv=extra_token, batch_first=True).eval()
    generator = torch.Generator().manual_seed(heads)
    state = {name: torch.randn(value.shape, generator=generator) * 0.3 for name, value in ours.state_dict().items()}
    ours.load_state_dict(state)
    theirs.load_state_dict(state, strict=True)
    hidden_BND = torch.randn(3, 7, 32, generator=generator)
    expected_BND = theirs(hidden_BND, hidden_BND, hidden_BND, need_weights=True)[0]
    with torch.no_grad():
        torch.testing.assert_close(ours(hidden_BND), expected_BND, rtol=1e-4, atol=1e-5)
        if extra_token:
            state["bias_k"] += 0.5
            ours.load_state_dict(state)
            assert (ours(hidden_BND) - expected_BND).abs().max() > 1e-2


@pytest.mark.parametrize("extra_token", [False, True])
def test_a_block_is_attention_and_two_linear_maps_each_after_a_norm_and_added(extra_token: bool) -> None:
    block = Block(TowerSize(12, 1, 3), extra_token)
    generator = torch.Generator().manual_seed(1)
    t = {name: torch.randn(value.shape, generator=generator) * 0.5 for name, value in block.state_dict().items()}
    block.load_state_dict(t)
    x_ND = torch.randn(5, 12, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(block(x_ND[None])[0], layer_by_the_book(t, x_ND, 3), rtol=1e-4, atol=1e-4)


def layer_by_the_book(t: Tensors, x: torch.Tensor, heads: int, extra_token: bool = True) -> torch.Tensor:
    """Head by head, token by token."""
    width = x.shape[1]
    seen = F.layer_norm(x, (width,), t["norm_1.weight"], t["norm_1.bias"], eps=1e-6)
    q, k, v = (
        seen @ t["attn.in_proj_weight"][part].T + t["attn.in_proj_bias"][part]
        for part in (slice(0, width), slice(width, 2 * width), slice(2 * width, 3 * width))
    )
    if extra_token and "attn.bias_k" in t:
        k, v = torch.cat([k, t["attn.bias_k"][0]]), torch.cat([v, t["attn.bias_v"][0]])
    rows = []
    for token in range(len(x)):
        found = []
        for head in range(heads):
            part = slice(head * width // heads, (head + 1) * width // heads)
            weight = torch.exp(k[:, part] @ q[token, part] / (width / heads) ** 0.5)
            found.append((weight / weight.sum()) @ v[:, part])
        rows.append(torch.cat(found))
    x = x + torch.stack(rows) @ t["attn.out_proj.weight"].T + t["attn.out_proj.bias"]
    seen = F.layer_norm(x, (width,), t["norm_2.weight"], t["norm_2.bias"], eps=1e-6)
    inner = seen @ t["mlp.fc1.weight"].T + t["mlp.fc1.bias"]
    inner = inner * (1 + torch.erf(inner / 2**0.5)) / 2
    return x + inner @ t["mlp.fc2.weight"].T + t["mlp.fc2.bias"]


def of(tensors: Tensors, start: str) -> Tensors:
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def by_the_book(tensors: Tensors, tower: str, patches: list[torch.Tensor], mistake: str = "") -> torch.Tensor:
    """A tower over its patches, in the order of rows; `mistake` leaves one thing out."""
    before = of(tensors, f"modality_preprocessors.{tower}.")
    stem = before["rgbt_stem.proj.1.weight" if tower == "vision" else "rgbt_stem.proj.weight"]
    tokens = torch.stack([(stem * patch).flatten(1).sum(1) for patch in patches])
    width = tokens.shape[1]
    if tower == "audio" and mistake != "norm of patches":
        weight, bias = before["rgbt_stem.norm_layer.weight"], before["rgbt_stem.norm_layer.bias"]
        tokens = F.layer_norm(tokens, (width,), weight, bias, eps=1e-5)
    x = torch.cat([before["cls_token"][0], tokens])
    if mistake != "positions":
        x = x + before["pos_embedding_helper.pos_embed"][0]
    trunk = of(tensors, f"modality_trunks.{tower}.")
    if tower == "vision" and mistake != "first norm":
        weight, bias = trunk["pre_transformer_layer.0.weight"], trunk["pre_transformer_layer.0.bias"]
        x = F.layer_norm(x, (width,), weight, bias, eps=1e-6)
    for layer in range(2):
        heads = 2 if tower == "vision" else 3
        x = layer_by_the_book(of(trunk, f"blocks.{layer}."), x, heads, mistake != "learnt key and value")
    head = of(tensors, f"modality_heads.{tower}.")
    token = x.mean(dim=0) if mistake == "first token" else x[0]
    embedding = F.layer_norm(token, (width,), head["0.weight"], head["0.bias"], eps=1e-6) @ head["2.weight"].T
    length = 1.0 if tower == "vision" or mistake == "scale" else min(math.exp(3), 100)
    return embedding if mistake == "unit length" else embedding / embedding.norm() * length


def picture_patches(picture_CTHW: torch.Tensor) -> list[torch.Tensor]:
    corners = [(row, column) for row in range(0, 224, 14) for column in range(0, 224, 14)]
    return [picture_CTHW[:, :, row : row + 14, column : column + 14] for row, column in corners]


def sound_patches(mel_1MT: torch.Tensor) -> list[torch.Tensor]:
    corners = [(row, column) for row in range(0, 113, 10) for column in range(0, 189, 10)]
    return [mel_1MT[:, row : row + 16, column : column + 16] for row, column in corners]


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("mistake", ["", "positions", "first norm", "first token", "unit length"])
def test_the_tower_for_pictures_is_the_definition(network: ImageBindNetwork, mistake: str) -> None:
    picture_BCTHW = drawn(2, 3, 2, 224, 224)
    with torch.no_grad():
        found_BD = network.picture(picture_BCTHW)
    expected_BD = torch.stack(
        [by_the_book(small_tensors(), "vision", picture_patches(p), mistake) for p in picture_BCTHW]
    )
    error = (found_BD - expected_BD).abs().max().item()
    assert error > 1e-2 if mistake else error < 1e-4


@pytest.mark.parametrize(
    "mistake", ["", "norm of patches", "positions", "learnt key and value", "first token", "scale"]
)
def test_the_tower_for_sounds_is_the_definition(network: ImageBindNetwork, mistake: str) -> None:
    mel_B1MT = drawn(2, 1, 128, 204)
    with torch.no_grad():
        found_BD = network.sound(mel_B1MT)
    expected_BD = torch.stack([by_the_book(small_tensors(), "audio", sound_patches(mel), mistake) for mel in mel_B1MT])
    error = (found_BD - expected_BD).abs().max().item()
    assert error > 1e-2 if mistake else error < 2e-3


def test_the_factor_of_the_loss_is_bounded_as_published() -> None:
    network = ImageBindNetwork(SMALL)
    network.load_state_dict(small_tensors() | {"modality_postprocessors.audio.1.log_logit_scale": torch.tensor(9.0)})
    with torch.no_grad():
        assert network.sound(drawn(1, 1, 128, 204)).norm().item() == pytest.approx(100, rel=1e-5)


def test_only_towers_that_are_known_are_left_aside() -> None:
    kept = (
        *imagebind_shapes(),
        "modality_trunks.smell.blocks.0.norm_1.weight",
        "text.weight",
        "modality_trunks.texts.x",
    )
    tensors = dict.fromkeys((*OTHERS, *kept), torch.zeros(1))
    assert set(without_other_towers(tensors)) == set(kept)
