"""Small judges of pictures with random weights, in files of the published layouts."""

from dataclasses import replace
from pathlib import Path

import torch
from transformers import SiglipConfig, SiglipModel

from nava.evaluation.backends.maniqa_network import ManiqaNetwork, ManiqaSize
from nava.evaluation.backends.musiq_network import MusiqNetwork, MusiqSize
from nava.evaluation.backends.siglip_aesthetics import AestheticHead
from nava.evaluation.backends.verse_bench_pictures import (
    HEAD,
    MANIQA,
    MUSIQ,
    VerseBenchAesthetic,
    VerseBenchVideoQuality,
)
from nava.evaluation.extraction.extractor import ENTRIES
from nava.runtime.hashing import sha256_path
from tests.evaluation.backends.tiny_dino import TinyTokenMinus2, dinov3_folder

MUSIQ_SIZE = MusiqSize(channels=32, width=16, inner=24, heads=2, layers=2)
MANIQA_SIZE = ManiqaSize(side=64, width=16, layers=4, heads=2, classes=3, taps=(1, 2), swin_inner=12)
SIGLIP_WIDTH = 24


class SmallAesthetic(VerseBenchAesthetic):
    @staticmethod
    def build_musiq():
        return MusiqNetwork(MUSIQ_SIZE)

    @staticmethod
    def build_maniqa():
        return ManiqaNetwork(MANIQA_SIZE)


class SmallVideoQuality(SmallAesthetic, VerseBenchVideoQuality):
    dino = TinyTokenMinus2


SMALL = {
    name: replace(ENTRIES[name], place=f"{__name__}:{kind.__name__}")
    for name, kind in (("verse_bench_aesthetic", SmallAesthetic), ("verse_bench_video_quality", SmallVideoQuality))
}


def drawn(network, seed=0):
    """Random tensors by names; norms around 1, and what shifted windows need as it is in the published file."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, tensor in network.state_dict().items():
        value = torch.randn(tensor.shape, generator=generator)
        if name.endswith("relative_position_index"):
            value = position_index(round(tensor.shape[0] ** 0.5))
        elif name.endswith("attn_mask"):
            value = window_mask(MANIQA_SIZE.places, MANIQA_SIZE.window)
        elif tensor.ndim == 1:
            value = (1 if "norm" in name or "gn" in name else 0) * name.endswith("weight") + 0.3 * value
        elif tensor.ndim > 1:
            value = value / tensor[0].numel() ** 0.5
        tensors[name] = value
    return tensors


def position_index(window):
    """For each pair of places of a window: how far down and right the second is from the first, as one number."""
    places = [(row, column) for row in range(window) for column in range(window)]
    span = 2 * window - 1
    return torch.tensor([[(a - c + window - 1) * span + b - d + window - 1 for c, d in places] for a, b in places])


def window_mask(places, window):
    """-100 between places that only lie in one window because the picture was turned by half a window."""
    shift, count = window // 2, places // window
    mask = torch.zeros(count * count, window * window, window * window)
    region = lambda place: (place >= places - window) + (place >= places - shift)  # noqa: E731
    for tile in range(count * count):
        cells = [
            (tile // count * window + row, tile % count * window + column)
            for row in range(window)
            for column in range(window)
        ]
        for p, (a, b) in enumerate(cells):
            for q, (c, d) in enumerate(cells):
                mask[tile, p, q] = 0.0 if (region(a), region(b)) == (region(c), region(d)) else -100.0
    return mask


def write_siglip(folder: Path) -> Path:
    """`siglip-so400m-patch14-384/` with both halves, of which one is asked."""
    half = {"hidden_size": SIGLIP_WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    text = {**half, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    torch.manual_seed(0)
    config = SiglipConfig(text_config=text, vision_config={**half, "image_size": 56, "patch_size": 14})
    SiglipModel(config).save_pretrained(folder)
    return folder


def write_judges(folder: Path, dino: bool = False, change=None) -> dict[str, str]:
    """Settings of a backend. `change` may change the tensors of MANIQA before they are written."""
    folder.mkdir(parents=True, exist_ok=True)
    write_siglip(folder / "siglip-so400m-patch14-384")
    maniqa = drawn(SmallAesthetic.build_maniqa(), 2)
    if change:
        change(maniqa)
    torch.save(drawn(AestheticHead(SIGLIP_WIDTH), 0), folder / HEAD.file)
    torch.save(drawn(SmallAesthetic.build_musiq(), 1), folder / MUSIQ.file)
    torch.save(maniqa, folder / MANIQA.file)
    if dino:
        dinov3_folder(folder / "dinov3-vitl16-pretrain-lvd1689m")
    return {"weights": str(folder), "sha256": sha256_path(folder), "device": "cpu"}
