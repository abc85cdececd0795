"""Files in the layout of the published ones, written down here once more: names and shapes, and weights of our own."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from nava.runtime.hashing import sha256_path

# Convolutions of both streams lie at the same places: each is followed by norm and ReLU, some by a pooling.
PLACES = (0, 4, 8, 11, 14, 18)
SOUND_SHAPES = [(64, 1, 3, 3), (192, 64, 3, 3), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3), (512, 256, 5, 4)]
PICTURE_SHAPES = [
    (96, 3, 5, 7, 7),
    (256, 96, 1, 5, 5),
    (256, 256, 1, 3, 3),
    (256, 256, 1, 3, 3),
    (256, 256, 1, 3, 3),
    (512, 256, 1, 6, 6),
]


def syncnet_shapes() -> dict[str, tuple[int, ...]]:
    """Tensors of `syncnet_v2.model`, which does not count batches."""
    shapes: dict[str, tuple[int, ...]] = {}
    for stream, layers in (("netcnnaud", SOUND_SHAPES), ("netcnnlip", PICTURE_SHAPES)):
        for place, shape in zip(PLACES, layers, strict=True):
            shapes |= {f"{stream}.{place}.weight": shape, f"{stream}.{place}.bias": shape[:1]}
            shapes |= _norm(f"{stream}.{place + 1}", shape[0])
    for head in ("netfcaud", "netfclip"):
        shapes |= {f"{head}.0.weight": (512, 512), f"{head}.0.bias": (512,)}
        shapes |= _norm(f"{head}.1", 512)
        shapes |= {f"{head}.3.weight": (1024, 512), f"{head}.3.bias": (1024,)}
    return shapes


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}


def syncnet_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights of a size that keeps values in range."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in syncnet_shapes().items():
        if name.endswith(("running_var", "1.weight", "5.weight", "9.weight")) and len(shape) == 1:
            state[name] = torch.rand(shape, generator=generator) + 0.5
        else:
            spread = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1
            state[name] = torch.randn(shape, generator=generator) * spread
    return state


VGG_PLACES = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128), 12: (256, 256), 14: (256, 256),
              17: (512, 256), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512),
              31: (1024, 512)}  # fmt: skip


def s3fd_shapes() -> dict[str, tuple[int, ...]]:
    """Tensors of `sfd_face.pth`."""
    shapes: dict[str, tuple[int, ...]] = {f"vgg.{place}.weight": (*width, 3, 3) for place, width in VGG_PLACES.items()}
    shapes["vgg.33.weight"] = (1024, 1024, 1, 1)
    kernels = ((256, 1024, 1), (512, 256, 3), (128, 512, 1), (256, 128, 3))
    shapes |= {f"extras.{place}.weight": (out, width, side, side) for place, (out, width, side) in enumerate(kernels)}
    for level, width in enumerate((256, 512, 512, 1024, 512, 256)):
        shapes[f"loc.{level}.weight"] = (4, width, 3, 3)
        shapes[f"conf.{level}.weight"] = (2 if level else 4, width, 3, 3)
    shapes |= {name.replace("weight", "bias"): shape[:1] for name, shape in shapes.items()}
    return shapes | {"L2Norm3_3.weight": (256,), "L2Norm4_3.weight": (512,), "L2Norm5_3.weight": (512,)}


def one_face_state(centre: float, side: float, score: float = 0.99) -> dict[str, torch.Tensor]:
    """A detector that sees one face in pictures of which one place of the coarsest map is left.

    Args:
        centre: of the face, x and y alike, in pixels of the scaled picture.
        side: of the face, in these pixels.
        score: of the face.
    """
    state = {name: torch.zeros(shape) for name, shape in s3fd_shapes().items()}
    for level in range(6):
        state[f"conf.{level}.bias"][-1] = -20.0
    # There, boxes of 512 pixels lie around 64; a tenth of their size is one step of the centre.
    state["conf.5.bias"][-1] = math.log(score / (1 - score))
    move, grow = (centre - 64) / 51.2, math.log(side / 512) / 0.2
    state["loc.5.bias"] = torch.tensor([move, move, grow, grow])
    return state


def weights_folder(folder: Path, states: Mapping[str, dict[str, torch.Tensor]]) -> dict[str, str]:
    """The settings of a backend whose files are written here, in PyTorch's old format as published."""
    folder.mkdir(parents=True)
    for name, state in states.items():
        torch.save(state, folder / name, _use_new_zipfile_serialization=False)
    return {"weights": str(folder), "sha256": sha256_path(folder)}
