"""The original names of the umT5 encoder's tensors: every one mapped once, every fault named."""

from pathlib import Path

import pytest
import torch

from nava.conditioning.umt5_keys import Umt5Sizes, read_sizes, transformers_names
from nava.runtime.errors import InputError
from tests.conditioning import small_umt5
from tests.conditioning.small_umt5 import released_state

PATH = Path("encoder.pth")


def test_every_tensor_has_one_name_and_no_two_share_one() -> None:
    names = transformers_names(small_umt5.LAYERS)
    assert set(names) == set(released_state())
    assert len(set(names.values())) == len(names)


def test_the_published_encoder_has_242_tensors() -> None:
    names = transformers_names(24)
    assert len(names) == 24 * 10 + 2
    assert names["blocks.23.ffn.gate.0.weight"] == "encoder.block.23.layer.1.DenseReluDense.wi_0.weight"


def test_the_names_are_those_of_transformers_at_the_published_sizes() -> None:
    """On the meta device: 5.68 billion parameters, none allocated."""
    from transformers import UMT5Config, UMT5EncoderModel

    with torch.device("meta"):
        model = UMT5EncoderModel(
            UMT5Config(vocab_size=256_384, d_model=4096, d_kv=64, d_ff=10_240, num_layers=24, num_heads=64)
        )
    assert set(model.state_dict()) - set(transformers_names(24).values()) == {"encoder.embed_tokens.weight"}
    assert sum(parameter.numel() for parameter in model.parameters()) == 5_680_910_336


def test_sizes_come_from_the_shapes() -> None:
    assert read_sizes(released_state(), PATH) == Umt5Sizes(
        vocabulary=small_umt5.VOCABULARY,
        width=small_umt5.WIDTH,
        head_width=small_umt5.HEAD_WIDTH,
        feed_forward=small_umt5.FEED_FORWARD,
        layers=small_umt5.LAYERS,
        heads=small_umt5.HEADS,
        buckets=small_umt5.BUCKETS,
    )


@pytest.mark.parametrize("name", ["token_embedding.weight", "norm.weight", "blocks.1.attn.o.weight"])
def test_a_missing_tensor_is_named(name: str) -> None:
    state = released_state()
    del state[name]
    with pytest.raises(InputError, match=rf"encoder\.pth is not a umT5 encoder .* it lacks tensor {name}$"):
        read_sizes(state, PATH)


def test_many_missing_tensors_are_counted() -> None:
    state = {name: tensor for name, tensor in released_state().items() if not name.startswith("blocks.1.")}
    with pytest.raises(InputError, match=r"lacks tensors blocks\.1\.norm1\.weight, .* and 7 more$"):
        read_sizes(state, PATH)


def test_an_unknown_tensor_is_named() -> None:
    with pytest.raises(InputError, match=r"has the unknown tensor head\.weight"):
        read_sizes(released_state() | {"head.weight": torch.ones(2)}, PATH)


@pytest.mark.parametrize(
    ("name", "tensor", "found"),
    [
        ("norm.weight", torch.ones(2, 2), r"norm\.weight is torch.float32 \[2, 2\], not 1-d floats"),
        ("blocks.0.attn.q.weight", torch.ones(4), r"attn\.q\.weight is torch.float32 \[4\], not 2-d floats"),
        ("blocks.0.attn.q.weight", torch.ones(24, 24).int(), r"is torch.int32 \[24, 24\], not 2-d floats"),
        ("blocks.0.attn.q.weight", torch.ones(25, 24), "25 rows, which 3 heads cannot share"),
    ],
)
def test_tensors_of_the_wrong_kind(name: str, tensor: torch.Tensor, found: str) -> None:
    with pytest.raises(InputError, match=found):
        read_sizes(released_state() | {name: tensor}, PATH)
