"""DINO backends over models of two layers, and their folders as transformers writes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from nava.evaluation.backends.dino_identity import DinoV2Cls, DinoV3Cls, DinoV3TokenMinus2
from nava.evaluation.extraction import unit
from nava.evaluation.extraction.extractor import ENTRIES, ExtractorEntry
from nava.runtime.hashing import sha256_path

SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


class TinyTokenMinus2(DinoV3TokenMinus2):
    config: ClassVar[Mapping[str, Any]] = {"model_type": "dinov3_vit", "hidden_size": 32}


class TinyCls(DinoV3Cls):
    config: ClassVar[Mapping[str, Any]] = {"model_type": "dinov3_vit", "hidden_size": 32}


class TinyV2(DinoV2Cls):
    config: ClassVar[Mapping[str, Any]] = {"model_type": "dinov2", "hidden_size": 32}


TINY = {"dinov3_vitl16_token_minus_2": TinyTokenMinus2, "dinov3_vitl16_cls": TinyCls}
ENTRIES_OF_TINY = {name: ExtractorEntry(name, f"{__name__}:{kind.__name__}") for name, kind in TINY.items()}


def extract_tiny(wanted: unit.ExtractionUnit) -> list[unit.Extracted]:
    """In a worker process, where the tiny models stand for the large ones."""
    ENTRIES.update(ENTRIES_OF_TINY)
    return unit.extract(wanted)


def dinov3_folder(folder: Path) -> dict[str, str]:
    """Settings of a backend with random weights."""
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    torch.manual_seed(0)
    config = DINOv3ViTConfig(**SIZES, patch_size=16, num_register_tokens=4, initializer_range=0.4)
    DINOv3ViTModel(config).save_pretrained(folder)
    return {"weights": str(folder), "sha256": sha256_path(folder)}


def dinov2_folder(folder: Path) -> dict[str, str]:
    """The same of the older model."""
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    sizes = {name: value for name, value in SIZES.items() if name != "intermediate_size"}
    Dinov2Model(Dinov2Config(**sizes, patch_size=14, image_size=224)).save_pretrained(folder)
    return {"weights": str(folder), "sha256": sha256_path(folder)}
