"""Synchformer's network: layout and size as published, and each part against a slow definition over the file's names.

A definition is also tried with one thing wrong at a time: a test that such a network would pass shows nothing.
"""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from nava.evaluation.backends.synchformer import Synchformer
from nava.evaluation.backends.synchformer_layers import SynchformerSize
from nava.evaluation.backends.synchformer_network import SynchformerNetwork
from tests.evaluation.backends.small_synchformer import published_shapes, random_tensors

# 48 pixels make 9 places.
SIZE = SynchformerSize(width=8, heads=2, layers=2, sync_heads=4, sync_layers=2, side=48)
PLACES, STEPS, BANDS, HEARD = 9, 8, 12, 6
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(published_shapes(SIZE.width, SIZE.layers, SIZE.sync_layers, PLACES))


@pytest.fixture(scope="module")
def network(tensors):
    network = SynchformerNetwork(SIZE)
    network.load_state_dict(tensors, strict=True)
    return network.eval().requires_grad_(False)


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_names_and_shapes_are_those_of_the_published_modules():
    with torch.device("meta"):
        found = {name: tuple(tensor.shape) for name, tensor in Synchformer.build().state_dict().items()}
    assert found == published_shapes()
    wrong = published_shapes(layers=11)
    assert found != wrong


def test_the_number_of_parameters_is_that_of_the_published_file():
    with torch.device("meta"):
        parameters = sum(tensor.numel() for tensor in Synchformer.build().parameters())
    attention, perceptron, norm = 4 * (768 * 768 + 768), 8 * 768 * 768 + 5 * 768, 2 * 768
    layer = attention + perceptron + 2 * norm
    seen = (3 * 256 + 1 + 6 * 256 + 1 + 1 + 197 + 8) * 768 + 12 * (layer + attention + norm) + norm + layer + 768
    heard = (256 + 1 + 2 + 74) * 768 + 12 * layer + norm + layer + 768
    between = 2 * (768 * 768 + 768) + (2 + 198) * 768 + 3 * norm + 3 * layer + 21 * 769
    assert parameters == seen + heard + between == 237_460_245
    # synchformer_state_dict.pth has 950,058,171 bytes: float32, names and a table of contents.
    assert 0 < 950_058_171 - 4 * parameters < 513 * 512


def affine(t, name, x):
    return x @ t[f"{name}.weight"].flatten(1).T + t[f"{name}.bias"]


def normed(t, name, x, epsilon):
    return F.layer_norm(x, (x.shape[-1],), t[f"{name}.weight"], t[f"{name}.bias"], epsilon)


def mixed(q, k, v, heads, allowed=None):
    """Attention head by head over [N, D]; `allowed` [N, N] says who may look at whom."""
    each = q.shape[-1] // heads
    found = []
    for head in range(heads):
        part = slice(head * each, head * each + each)
        weight = q[:, part] @ k[:, part].T / each**0.5
        if allowed is not None:
            weight = weight.masked_fill(~allowed, -torch.inf)
        found.append(torch.softmax(weight, dim=1) @ v[:, part])
    return torch.cat(found, dim=1)


def who_looks_at_whom(over_time, places=PLACES, wrong=""):
    """Divided attention as a mask of full attention: the same place, or the same step, and always the first token."""
    token = torch.arange(STEPS * places)
    step, place = token // places, token % places
    same = place[:, None] == place if over_time else step[:, None] == step
    allowed = torch.ones(1 + len(token), 1 + len(token), dtype=torch.bool)
    allowed[1:, 1:] = same
    if wrong == "patches do not see the first token":
        allowed[1:, 0] = False
    if wrong == "the first token sees itself alone":
        allowed[0, 1:] = False
    return allowed


def block_by_the_book(t, name, x, heads=2, wrong=""):
    def attention(x, part, norm, over_time):
        q, k, v = affine(t, f"{name}.{part}.qkv", normed(t, f"{name}.{norm}", x, 1e-6)).chunk(3, dim=1)
        return x + affine(t, f"{name}.{part}.proj", mixed(q, k, v, heads, who_looks_at_whom(over_time, wrong=wrong)))

    kinds = [("timeattn", "norm3", True), ("attn", "norm1", False)]
    if wrong == "space before time":
        kinds.reverse()
    if wrong == "time and space exchanged":
        kinds = [("timeattn", "norm3", False), ("attn", "norm1", True)]
    if wrong == "norms exchanged":
        kinds = [("timeattn", "norm1", True), ("attn", "norm3", False)]
    for kind in kinds:
        x = attention(x, *kind)
    inner = F.gelu(affine(t, f"{name}.mlp.fc1", normed(t, f"{name}.norm2", x, 1e-6)))
    return x + affine(t, f"{name}.mlp.fc2", inner)


def summary_by_the_book(t, name, x, heads=2, wrong=""):
    x = torch.cat([t[f"{name}.cls_token"][0], x])
    y = x if wrong == "norms last" else normed(t, f"{name}.norm1", x, 1e-6)
    q, k, v = (y @ t[f"{name}.self_attn.in_proj_weight"].T + t[f"{name}.self_attn.in_proj_bias"]).chunk(3, dim=1)
    x = x + affine(t, f"{name}.self_attn.out_proj", mixed(q, k, v, heads))
    x = x + affine(t, f"{name}.linear2", F.gelu(affine(t, f"{name}.linear1", normed(t, f"{name}.norm2", x, 1e-6))))
    return x[1:].mean(dim=0) if wrong == "the mean of the others" else x[0]


def seen_by_the_book(t, frames_CTHW, wrong=""):
    v = "vfeat_extractor"
    tokens = [t[f"{v}.cls_token"][0, 0] + t[f"{v}.pos_embed"][0, 0]]
    for step in range(STEPS):
        for place in range(PLACES):
            row, column = divmod(place, 3)
            if wrong == "columns first":
                row, column = column, row
            tube = frames_CTHW[
                :, 2 * step : 2 * step + 2, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16
            ].flatten()
            place_embedding, time_embedding = t[f"{v}.pos_embed"][0, 1 + place], t[f"{v}.temp_embed"][0, step]
            tokens.append(affine(t, f"{v}.patch_embed_3d.proj", tube) + place_embedding + time_embedding)
    x = torch.stack(tokens)
    for layer in range(SIZE.layers):
        x = block_by_the_book(t, f"{v}.blocks.{layer}", x)
    if wrong != "no last norm":
        x = normed(t, f"{v}.norm", x, 1e-6)
    steps = x[1:].view(STEPS, PLACES, -1)
    return torch.stack([summary_by_the_book(t, f"{v}.spatial_attn_agg", step) for step in steps])


def heard_by_the_book(t, mel_MT, wrong=""):
    a = "afeat_extractor.ast"
    first = ["cls_token", "distillation_token"]
    if wrong == "the first tokens exchanged":
        first.reverse()
    tokens = [t[f"{a}.embeddings.{name}"][0, 0] for name in first]
    for band in range(BANDS):
        for step in range(HEARD):
            patch = mel_MT[10 * band : 10 * band + 16, 10 * step : 10 * step + 16]
            patch = patch.T if wrong == "patches lie on their side" else patch
            tokens.append(affine(t, f"{a}.embeddings.patch_embeddings.projection", patch.flatten()))
    x = torch.stack(tokens) + t[f"{a}.embeddings.position_embeddings"][0]
    for layer in range(SIZE.layers):
        name = f"{a}.encoder.layer.{layer}"
        y = normed(t, f"{name}.layernorm_before", x, 1e-12)
        q, k, v = (affine(t, f"{name}.attention.attention.{part}", y) for part in ("query", "key", "value"))
        x = x + affine(t, f"{name}.attention.output.dense", mixed(q, k, v, 2))
        y = normed(t, f"{name}.layernorm_after", x, 1e-12)
        x = x + affine(t, f"{name}.output.dense", F.gelu(affine(t, f"{name}.intermediate.dense", y)))
    grid = normed(t, f"{a}.layernorm", x, 1e-12)[2:].view(BANDS, HEARD, -1)
    if wrong == "bands over time":
        grid = grid.reshape(HEARD, BANDS, -1).transpose(0, 1)
    return torch.stack(
        [summary_by_the_book(t, "afeat_extractor.freq_attn_agg", grid[:, step]) for step in range(HEARD)]
    )


def logits_by_the_book(t, seen_STD, heard_STD, wrong=""):
    seen = normed(t, "transformer.vis_in_lnorm", affine(t, "vproj", seen_STD).reshape(14 * STEPS, -1), 1e-5)
    heard = normed(t, "transformer.aud_in_lnorm", affine(t, "aproj", heard_STD).reshape(14 * HEARD, -1), 1e-5)
    off, mod = t["transformer.OFF_tok"][0], t["transformer.MOD_tok"][0]
    order = [off, seen, mod, heard]
    if wrong == "sound first":
        order = [off, heard, mod, seen]
    if wrong == "tokens exchanged":
        order = [mod, seen, off, heard]
    x = torch.cat(order) + t["transformer.pos_emb_cfg.pos_emb"][0]
    for layer in range(SIZE.sync_layers):
        name = f"transformer.blocks.{layer}"
        y = normed(t, f"{name}.ln1", x, 1e-5)
        q, k, v = (affine(t, f"{name}.attn.{part}", y) for part in ("query", "key", "value"))
        x = x + affine(t, f"{name}.attn.proj", mixed(q, k, v, 4))
        x = x + affine(t, f"{name}.mlp.2", F.gelu(affine(t, f"{name}.mlp.0", normed(t, f"{name}.ln2", x, 1e-5))))
    x = x.mean(dim=0) if wrong == "the mean of all tokens" else x[0]
    return affine(t, "transformer.off_head", normed(t, "transformer.ln_f", x, 1e-5))


def test_a_block_divides_attention_as_masks_do(network, tensors):
    hidden_BND = drawn(2, 1 + STEPS * PLACES, SIZE.width)
    found_BND = network.vfeat_extractor.blocks[1](hidden_BND, STEPS)
    for hidden_ND, found_ND in zip(hidden_BND, found_BND, strict=True):
        expected_ND = block_by_the_book(tensors, "vfeat_extractor.blocks.1", hidden_ND)
        torch.testing.assert_close(found_ND, expected_ND, **TOLERANCE)


@pytest.mark.parametrize(
    "wrong",
    [
        "patches do not see the first token",
        "the first token sees itself alone",
        "space before time",
        "time and space exchanged",
        "norms exchanged",
    ],
)
def test_wrong_blocks_are_told_apart(network, tensors, wrong):
    hidden_ND = drawn(1 + STEPS * PLACES, SIZE.width)
    found_ND = network.vfeat_extractor.blocks[1](hidden_ND[None], STEPS)[0]
    wrong_ND = block_by_the_book(tensors, "vfeat_extractor.blocks.1", hidden_ND, wrong=wrong)
    assert (found_ND - wrong_ND).abs().max() > 0.01


def test_what_is_seen_is_one_vector_for_two_frames(network, tensors):
    frames_SCTHW = drawn(2, 3, 16, SIZE.side, SIZE.side)
    found_STD = network.see(frames_SCTHW)
    assert found_STD.shape == (2, STEPS, SIZE.width)
    for frames_CTHW, found_TD in zip(frames_SCTHW, found_STD, strict=True):
        torch.testing.assert_close(found_TD, seen_by_the_book(tensors, frames_CTHW), **TOLERANCE)
    for wrong in ("columns first", "no last norm"):
        assert (found_STD[1] - seen_by_the_book(tensors, frames_SCTHW[1], wrong)).abs().max() > 0.01, wrong


def test_what_is_heard_is_one_vector_for_a_tenth_of_a_second(network, tensors):
    mel_SMT = drawn(2, 128, 66)
    found_STD = network.hear(mel_SMT)
    assert found_STD.shape == (2, HEARD, SIZE.width)
    for mel_MT, found_TD in zip(mel_SMT, found_STD, strict=True):
        torch.testing.assert_close(found_TD, heard_by_the_book(tensors, mel_MT), **TOLERANCE)
    for wrong in ("the first tokens exchanged", "patches lie on their side", "bands over time"):
        assert (found_STD[1] - heard_by_the_book(tensors, mel_SMT[1], wrong)).abs().max() > 0.01, wrong


def test_the_spectrogram_transformer_is_transformers_own(network, tensors):
    """Of which the published code is a copy; names have changed since."""
    from transformers import ASTConfig, ASTModel

    sizes = {"hidden_size": SIZE.width, "num_hidden_layers": SIZE.layers, "num_attention_heads": SIZE.heads}
    theirs = ASTModel(ASTConfig(**sizes, intermediate_size=4 * SIZE.width, max_length=66)).eval()
    today = {
        "encoder.layer.": "layers.",
        "attention.attention.query": "attention.q_proj",
        "attention.attention.key": "attention.k_proj",
        "attention.attention.value": "attention.v_proj",
        "attention.output.dense": "attention.o_proj",
        "intermediate.dense": "mlp.fc1",
        "output.dense": "mlp.fc2",
    }
    state = {}
    for name, tensor in tensors.items():
        if name.startswith("afeat_extractor.ast."):
            name = name.removeprefix("afeat_extractor.ast.")
            for then, now in today.items():
                name = name.replace(then, now)
            state[name] = tensor
    theirs.load_state_dict(state, strict=True)
    mel_SMT = drawn(2, 128, 66, seed=2)
    with torch.no_grad():
        expected_SND = theirs(mel_SMT.transpose(1, 2)).last_hidden_state
    torch.testing.assert_close(network.afeat_extractor.ast(mel_SMT), expected_SND, **TOLERANCE)


def test_a_set_of_tokens_is_summed_up_by_its_own_token(network, tensors):
    name, tokens_BND = "afeat_extractor.freq_attn_agg", drawn(3, 5, SIZE.width)
    found_BD = network.afeat_extractor.freq_attn_agg(tokens_BND)
    expected_BD = torch.stack([summary_by_the_book(tensors, name, tokens_ND) for tokens_ND in tokens_BND])
    torch.testing.assert_close(found_BD, expected_BD, **TOLERANCE)
    for wrong in ("norms last", "the mean of the others"):
        assert (found_BD[0] - summary_by_the_book(tensors, name, tokens_BND[0], wrong=wrong)).abs().max() > 0.01, wrong


def test_it_is_torchs_own_encoder_layer_with_a_token_before(network, tensors):
    """The published code derives it from that class."""
    name, tokens_BND = "vfeat_extractor.spatial_attn_agg.", drawn(3, 5, SIZE.width, seed=1)
    layer = torch.nn.TransformerEncoderLayer(
        SIZE.width, SIZE.heads, 4 * SIZE.width, 0.0, torch.nn.GELU(), 1e-6, batch_first=True, norm_first=True
    )
    layer.load_state_dict(
        {key.removeprefix(name): value for key, value in tensors.items() if key.startswith(name) and "cls" not in key}
    )
    with torch.no_grad():
        whole_BND = layer(torch.cat([tensors[f"{name}cls_token"].expand(3, -1, -1), tokens_BND], dim=1))
    torch.testing.assert_close(network.vfeat_extractor.spatial_attn_agg(tokens_BND), whole_BND[:, 0], **TOLERANCE)


def test_offsets_are_read_from_the_first_token_of_both_streams(network, tensors):
    seen_STD, heard_STD = drawn(14, STEPS, SIZE.width), drawn(14, HEARD, SIZE.width, seed=1)
    found_K = network.offset_logits(seen_STD, heard_STD)
    assert found_K.shape == (21,)
    torch.testing.assert_close(found_K, logits_by_the_book(tensors, seen_STD, heard_STD), **TOLERANCE)
    for wrong in ("sound first", "tokens exchanged", "the mean of all tokens"):
        wrong_K = logits_by_the_book(tensors, seen_STD, heard_STD, wrong)
        assert (found_K - wrong_K).abs().max() > 0.01, wrong


def test_heads_of_the_streams_and_of_the_comparison_are_their_own():
    with torch.device("meta"):
        network = Synchformer.build()
    assert network.vfeat_extractor.blocks[0].attn._heads == 12
    assert network.afeat_extractor.ast.encoder["layer"][0].attention["attention"]._heads == 12
    assert network.vfeat_extractor.spatial_attn_agg._heads == network.afeat_extractor.freq_attn_agg._heads == 12
    assert [block.attn._heads for block in network.transformer.blocks] == [8, 8, 8]
