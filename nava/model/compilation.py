"""torch.compile for the transformer's blocks."""

from torch import nn


def compile_model(model: nn.Module, backend: str = "inductor") -> nn.Module:
    """Compile every block of a transformer in place and return it; names in the state dict stay.

    Blocks are compiled one by one (regional compilation): equal blocks share one compilation, and what surrounds them,
    a small part of the time, stays eager. A block is compiled when it first runs, and again for other shapes.
    """
    blocks = [block for module in model.children() if type(module) is nn.ModuleList for block in module]
    for block in blocks:
        block.compile(backend=backend, fullgraph=True)
    return model
