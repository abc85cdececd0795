"""A model from its configuration: NAVA, or one of the paradigms that the paper compares it with."""

from __future__ import annotations

import torch

from nava.config.model import ModelConfig
from nava.model.backbone import NavaTransformer
from nava.model.dual_tower import DualTower
from nava.model.initialisation import initialise
from nava.model.trimodal import Trimodal

_CLASSES: dict[str, type[NavaTransformer]] = {
    "align_then_fuse": NavaTransformer,
    "dual_tower": DualTower,
    "trimodal": Trimodal,
}


def build_model(config: ModelConfig, seed: int = 0, device: torch.device | str | None = None) -> NavaTransformer:
    """Build the model of `config.architecture`, its values drawn from `seed` alone: the same ones on every device.

    All architectures are called and prepared like a NavaTransformer. The global random state is left alone.

    Args:
        config: architecture and sizes.
        seed: of the initial values.
        device: where the parameters are; on "meta" they have shapes but no values.

    Raises:
        InputError: the configuration describes no model.
    """
    config.check()
    # Shapes first: torch's own initialisation of 6 billion values takes minutes and would be thrown away.
    with torch.device("meta"):
        model = _CLASSES[config.architecture](config, seed)
    device = torch.get_default_device() if device is None else torch.device(device)
    if device.type != "meta":
        model.to_empty(device=device)
        initialise(model, config, seed)
    return model
