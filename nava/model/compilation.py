"""torch.compile for the transformer's blocks."""

import torch
from torch import nn

# Forms a block may be compiled for: modalities, masks, clean frames, with and without gradients, and shapes until they
# count as dynamic. PyTorch's own limit is 8, and where a stage passes it a block that must be one graph raises.
_FORMS = 64


def compile_model(model: nn.Module, backend: str = "inductor") -> nn.Module:
    """Compile every block of a transformer in place and return it; names in the state dict stay.

    Blocks are compiled one by one (regional compilation): equal blocks share one compilation, and what surrounds them,
    a small part of the time, stays eager. A block is compiled when it first runs, and again for other shapes.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _FORMS)
    blocks = [block for module in model.children() if type(module) is nn.ModuleList for block in module]
    for block in blocks:
        block.compile(backend=backend, fullgraph=True)
    return model
