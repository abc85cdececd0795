"""A small Synchformer with random weights in a file of the published layout, and the layout written down once more."""

import torch

from nava.evaluation.backends.synchformer import CHECKPOINT, Synchformer
from nava.evaluation.backends.synchformer_layers import SynchformerSize
from nava.evaluation.backends.synchformer_network import SynchformerNetwork

SIZE = SynchformerSize(width=16, heads=2, layers=1, sync_heads=2, sync_layers=1)


class SmallSynchformer(Synchformer):
    """Pictures of the published size, vectors of a small one."""

    @staticmethod
    def build():
        return SynchformerNetwork(SIZE)


def published_shapes(width=768, layers=12, sync_layers=3, places=196):
    """Names and shapes of `synchformer_state_dict.pth` as v-iashin/Synchformer's modules make them."""
    D = width

    def linear(name, outputs=D, inputs=D):
        return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}

    def norm(*names):
        return {f"{name}.{part}": (D,) for name in names for part in ("weight", "bias")}

    def summary(name):
        return {
            f"{name}.cls_token": (1, 1, D),
            f"{name}.self_attn.in_proj_weight": (3 * D, D),
            f"{name}.self_attn.in_proj_bias": (3 * D,),
            **linear(f"{name}.self_attn.out_proj"),
            **linear(f"{name}.linear1", 4 * D, D),
            **linear(f"{name}.linear2", D, 4 * D),
            **norm(f"{name}.norm1", f"{name}.norm2"),
        }

    v, a, t = "vfeat_extractor", "afeat_extractor.ast", "transformer"
    shapes = {
        f"{v}.cls_token": (1, 1, D),
        f"{v}.pos_embed": (1, 1 + places, D),
        f"{v}.temp_embed": (1, 8, D),
        f"{v}.patch_embed.proj.weight": (D, 3, 16, 16),
        f"{v}.patch_embed.proj.bias": (D,),
        f"{v}.patch_embed_3d.proj.weight": (D, 3, 2, 16, 16),
        f"{v}.patch_embed_3d.proj.bias": (D,),
        **norm(f"{v}.norm"),
        **summary(f"{v}.spatial_attn_agg"),
        f"{a}.embeddings.cls_token": (1, 1, D),
        f"{a}.embeddings.distillation_token": (1, 1, D),
        f"{a}.embeddings.position_embeddings": (1, 74, D),
        f"{a}.embeddings.patch_embeddings.projection.weight": (D, 1, 16, 16),
        f"{a}.embeddings.patch_embeddings.projection.bias": (D,),
        **norm(f"{a}.layernorm"),
        **summary("afeat_extractor.freq_attn_agg"),
        **linear("vproj"),
        **linear("aproj"),
        f"{t}.OFF_tok": (1, 1, D),
        f"{t}.MOD_tok": (1, 1, D),
        f"{t}.pos_emb_cfg.pos_emb": (1, 198, D),
        **norm(f"{t}.vis_in_lnorm", f"{t}.aud_in_lnorm", f"{t}.ln_f"),
        **linear(f"{t}.off_head", 21),
    }
    for layer in range(layers):
        block, heard = f"{v}.blocks.{layer}", f"{a}.encoder.layer.{layer}"
        for attention in ("attn", "timeattn"):
            shapes |= linear(f"{block}.{attention}.qkv", 3 * D) | linear(f"{block}.{attention}.proj")
        shapes |= linear(f"{block}.mlp.fc1", 4 * D) | linear(f"{block}.mlp.fc2", D, 4 * D)
        shapes |= norm(*(f"{block}.norm{number}" for number in (1, 2, 3)))
        for part in ("query", "key", "value"):
            shapes |= linear(f"{heard}.attention.attention.{part}")
        shapes |= linear(f"{heard}.attention.output.dense")
        shapes |= linear(f"{heard}.intermediate.dense", 4 * D) | linear(f"{heard}.output.dense", D, 4 * D)
        shapes |= norm(f"{heard}.layernorm_before", f"{heard}.layernorm_after")
    for layer in range(sync_layers):
        block = f"{t}.blocks.{layer}"
        for part in ("key", "query", "value", "proj"):
            shapes |= linear(f"{block}.attn.{part}")
        shapes |= linear(f"{block}.mlp.0", 4 * D) | linear(f"{block}.mlp.2", D, 4 * D)
        shapes |= norm(f"{block}.ln1", f"{block}.ln2")
    return shapes


def random_tensors(shapes, seed=0):
    """Weights that keep values in range; norms are not the identity, so that each of them counts."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        drawn = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            tensors[name] = drawn * 0.3 + (1.0 if name.endswith("weight") else 0.0)
        else:
            tensors[name] = drawn / max(1, drawn[0].numel()) ** 0.5 if len(shape) != 3 else drawn * 0.5
    return tensors


def write_synchformer(folder, change=None, name=CHECKPOINT.file, **beside):
    """The file of av-benchmark, or with `beside` a checkpoint that has its tensors under `model`."""
    tensors = random_tensors(published_shapes(SIZE.width, SIZE.layers, SIZE.sync_layers))
    if change:
        change(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"model": tensors, **beside} if beside else tensors, folder / name)
    return folder
