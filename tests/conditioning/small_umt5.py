"""A small umT5 in the original checkpoint's layout, its tokenizer, and its mathematics written out once more."""

import math
from pathlib import Path

import torch
from torch import Tensor

VOCABULARY, WIDTH, HEADS, HEAD_WIDTH, FEED_FORWARD, LAYERS, BUCKETS = 220, 24, 3, 8, 40, 3, 32
SENTENCES = (
    "a woman in a red coat sits at the table and looks up",
    "two birds sat on the wire over the river at noon",
    "she says good morning and then asks about the coffee",
    "the camera moves slowly from left to right",
    "rain fell on the tin roof while the old man played the piano",
)


def released_state(seed: int = 0) -> dict[str, Tensor]:
    """Random float32 tensors under the names of `models_t5_umt5-xxl-enc-bf16.pth`."""
    generator = torch.Generator().manual_seed(seed)
    attention = HEADS * HEAD_WIDTH

    def random(*shape: int, scale: float = 0.3) -> Tensor:
        return torch.randn(*shape, generator=generator) * scale

    state = {"token_embedding.weight": random(VOCABULARY, WIDTH, scale=1.0)}
    for layer in range(LAYERS):
        block = f"blocks.{layer}."
        state[block + "norm1.weight"] = 1 + random(WIDTH)
        for name in "qkv":
            state[f"{block}attn.{name}.weight"] = random(attention, WIDTH)
        state[block + "attn.o.weight"] = random(WIDTH, attention)
        state[block + "norm2.weight"] = 1 + random(WIDTH)
        state[block + "ffn.gate.0.weight"] = random(FEED_FORWARD, WIDTH)
        state[block + "ffn.fc1.weight"] = random(FEED_FORWARD, WIDTH)
        state[block + "ffn.fc2.weight"] = random(WIDTH, FEED_FORWARD)
        state[block + "pos_embedding.embedding.weight"] = random(BUCKETS, HEADS, scale=1.0)
    state["norm.weight"] = 1 + random(WIDTH)
    return state


def write_checkpoint(folder: Path, state: dict[str, Tensor] | None = None) -> Path:
    """The published file's name in `folder`."""
    path = folder / "models_t5_umt5-xxl-enc-bf16.pth"
    torch.save(released_state() if state is None else state, path)
    return path


def write_tokenizer(folder: Path) -> Path:
    """A Unigram tokenizer with umT5's special tokens where the published one lies; it ends no text by itself.

    Its pieces are letters and every other word, so that a word takes one token or several.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    special = ["<pad>", "</s>", "<unk>", *(f"<extra_id_{number}>" for number in range(3))]
    words = sorted(set(" ".join(SENTENCES).split()))[::2]
    letters = "abcdefghijklmnopqrstuvwxyzSE<>.,!?"
    pieces = [*((token, 0.0) for token in special), ("▁", -3.0)]
    pieces += [("▁" + word, -4.0) for word in words] + [(letter, -5.0) for letter in letters]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=special.index("<unk>")))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(special)
    path = folder / "google" / "umt5-xxl" / "tokenizer.json"
    path.parent.mkdir(parents=True)
    tokenizer.save(str(path))
    return path


def reference_encoding(state: dict[str, Tensor], ids: list[int]) -> Tensor:
    """umT5's encoder [N, D], written from its definition: no scale on the products, a position bias in every block."""
    x_ND = state["token_embedding.weight"][ids]
    for layer in range(LAYERS):
        w = {name.split(".", 2)[2]: value for name, value in state.items() if name.startswith(f"blocks.{layer}.")}
        y_ND = rms(x_ND, w["norm1.weight"])
        q, k, v = ((y_ND @ w[f"attn.{name}.weight"].T).view(-1, HEADS, HEAD_WIDTH).transpose(0, 1) for name in "qkv")
        bias_HNN = w["pos_embedding.embedding.weight"][buckets(len(ids))].permute(2, 0, 1)
        attended_HNC = torch.softmax(q @ k.transpose(1, 2) + bias_HNN, dim=-1) @ v
        x_ND = x_ND + attended_HNC.transpose(0, 1).flatten(1) @ w["attn.o.weight"].T
        y_ND = rms(x_ND, w["norm2.weight"])
        gate = gelu(y_ND @ w["ffn.gate.0.weight"].T)
        x_ND = x_ND + (gate * (y_ND @ w["ffn.fc1.weight"].T)) @ w["ffn.fc2.weight"].T
    return rms(x_ND, state["norm.weight"])


def rms(x_ND: Tensor, weight_D: Tensor) -> Tensor:
    return x_ND / (x_ND.pow(2).mean(dim=-1, keepdim=True) + 1e-6).sqrt() * weight_D


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def buckets(length: int) -> Tensor:
    """The bucket of each pair [query, key]: 16 per direction, 8 exact, then logarithmic up to distance 128."""
    table = torch.zeros(length, length, dtype=torch.long)
    for query in range(length):
        for key in range(length):
            distance = abs(key - query)
            number = distance if distance < 8 else min(15, 8 + int(math.log(distance / 8) / math.log(16) * 8 + 1e-6))
            table[query, key] = number + (16 if key > query else 0)
    return table
