"""The layout of `imagebind_huge.pth`, written down here once more, and files of that layout with small networks."""

from collections.abc import Callable
from pathlib import Path

import torch

from nava.evaluation.backends.imagebind import CHECKPOINT, ImageBindAvbench, ImageBindOfficial
from nava.evaluation.backends.imagebind_network import ImageBindNetwork, ImageBindSize, TowerSize
from nava.runtime.hashing import sha256_path

Tensors = dict[str, torch.Tensor]
SMALL = ImageBindSize(picture=TowerSize(16, 2, 2), sound=TowerSize(12, 2, 3), joint=8)
# A few of the tensors that belong to none of the two towers.
OTHERS = (
    "modality_preprocessors.text.token_embedding.weight",
    "modality_preprocessors.text.mask",
    "modality_preprocessors.depth.depth_stem.proj.weight",
    "modality_preprocessors.imu.imu_stem.proj.weight",
    "modality_trunks.thermal.blocks.0.attn.bias_k",
    "modality_trunks.text.blocks.23.mlp.fc1.weight",
    "modality_heads.text.proj.1.weight",
    "modality_heads.imu.3.weight",
    "modality_postprocessors.depth.1.log_logit_scale",
)


class SmallOfficial(ImageBindOfficial):
    @staticmethod
    def build() -> ImageBindNetwork:
        return ImageBindNetwork(SMALL)


class SmallAvbench(ImageBindAvbench):
    @staticmethod
    def build() -> ImageBindNetwork:
        return ImageBindNetwork(SMALL)


def imagebind_shapes(
    picture: tuple[int, int] = (1280, 32), sound: tuple[int, int] = (768, 12), joint: int = 1024
) -> dict[str, tuple[int, ...]]:
    """Tensors of the towers for picture and sound; each is of a width and a number of layers."""
    wide, deep = picture
    shapes: dict[str, tuple[int, ...]] = {
        "modality_preprocessors.vision.rgbt_stem.proj.1.weight": (wide, 3, 2, 14, 14),
        "modality_preprocessors.vision.cls_token": (1, 1, wide),
        "modality_preprocessors.vision.pos_embedding_helper.pos_embed": (1, 257, wide),
        "modality_trunks.vision.pre_transformer_layer.0.weight": (wide,),
        "modality_trunks.vision.pre_transformer_layer.0.bias": (wide,),
    }
    shapes |= _layers("modality_trunks.vision", wide, deep) | _head("modality_heads.vision", wide, joint)
    wide, deep = sound
    shapes |= {
        "modality_preprocessors.audio.rgbt_stem.proj.weight": (wide, 1, 16, 16),
        "modality_preprocessors.audio.rgbt_stem.norm_layer.weight": (wide,),
        "modality_preprocessors.audio.rgbt_stem.norm_layer.bias": (wide,),
        "modality_preprocessors.audio.cls_token": (1, 1, wide),
        "modality_preprocessors.audio.pos_embedding_helper.pos_embed": (1, 229, wide),
        "modality_postprocessors.audio.1.log_logit_scale": (),
    }
    for layer in range(deep):
        for name in ("bias_k", "bias_v"):
            shapes[f"modality_trunks.audio.blocks.{layer}.attn.{name}"] = (1, 1, wide)
    return shapes | _layers("modality_trunks.audio", wide, deep) | _head("modality_heads.audio", wide, joint)


def _layers(trunk: str, width: int, layers: int) -> dict[str, tuple[int, ...]]:
    one: dict[str, tuple[int, ...]] = {
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        "attn.out_proj.weight": (width, width),
        "attn.out_proj.bias": (width,),
        "mlp.fc1.weight": (4 * width, width),
        "mlp.fc1.bias": (4 * width,),
        "mlp.fc2.weight": (width, 4 * width),
        "mlp.fc2.bias": (width,),
    }
    one |= {f"{norm}.{part}": (width,) for norm in ("norm_1", "norm_2") for part in ("weight", "bias")}
    return {f"{trunk}.blocks.{layer}.{name}": shape for layer in range(layers) for name, shape in one.items()}


def _head(head: str, width: int, joint: int) -> dict[str, tuple[int, ...]]:
    return {f"{head}.0.weight": (width,), f"{head}.0.bias": (width,), f"{head}.2.weight": (joint, width)}


def small_tensors(seed: int = 0) -> Tensors:
    """Random weights of the two small towers."""
    generator = torch.Generator().manual_seed(seed)
    shapes = imagebind_shapes((16, 2), (12, 2), 8)
    tensors = {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}
    # The first token attends to few of the others, so that much of the input is seen in what comes out.
    for name in tensors:
        if name.endswith(("in_proj_weight", "out_proj.weight")):
            tensors[name] *= 3
    tensors["modality_postprocessors.audio.1.log_logit_scale"] = torch.tensor(3.0)
    return tensors


def write_imagebind(folder: Path, change: Callable[[Tensors], object] | None = None) -> dict[str, str]:
    """Settings of a backend whose file is written here, with a few tensors of other towers; `change` may change it."""
    tensors = small_tensors() | {name: torch.zeros(2, 3) for name in OTHERS}
    if change:
        change(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, folder / CHECKPOINT.file)
    return {"weights": str(folder), "sha256": sha256_path(folder)}
