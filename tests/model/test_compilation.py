import shutil

import pytest
import torch

from nava.config.model import ModelConfig
from nava.model.backbone import NavaTransformer
from nava.model.compilation import compile_model

SETTINGS = {"dim": 24, "ffn_dim": 48, "num_heads": 2, "audio_stem_hidden": 16, "text_len": 6, "text_dim": 7}
CONDITIONS = [{}, {"mask_modality": True, "first_frame_clean": True}]


def build(**changes):
    model = NavaTransformer(ModelConfig(**(SETTINGS | changes), video_channels=3, audio_channels=5)).eval()
    for head in (model.head.head, model.head_audio.head):
        torch.nn.init.normal_(head.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    return model


def inputs():
    generator = torch.Generator().manual_seed(0)
    shapes = ((1, 3, 2, 4, 4), (1, 7, 5))
    video, audio = (torch.randn(shape, generator=generator) for shape in shapes)
    return video, audio, torch.tensor([400.0]), torch.randn(1, 6, 7, generator=generator)


def assert_same(model, conditions, backend):
    eager = [model(*inputs(), **condition) for condition in conditions]
    names = list(model.state_dict())
    compile_model(model, backend=backend)
    assert list(model.state_dict()) == names
    for condition, expected in zip(conditions, eager):
        for out, reference in zip(model(*inputs(), **condition), expected):
            torch.testing.assert_close(out, reference, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_every_kind_of_block_is_one_graph():
    assert_same(build(num_hal_layers=1, num_ufl_layers=1), CONDITIONS, "eager")


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex operators")
@torch.no_grad()
def test_inductor_computes_the_same():
    assert_same(build(num_hal_layers=0, num_ufl_layers=1), [{}], "inductor")


def test_only_blocks_are_compiled():
    model = compile_model(build(num_hal_layers=1, num_ufl_layers=2), backend="eager")
    compiled = [name for name, module in model.named_modules() if module._compiled_call_impl is not None]
    assert compiled == ["double_blocks.0", "single_blocks.0", "single_blocks.1"]


@torch.no_grad()
def test_more_forms_of_a_block_than_pytorch_allows_by_itself_are_compiled():
    torch._dynamo.reset()
    model = compile_model(build(num_hal_layers=1, num_ufl_layers=1), backend="eager")
    video, audio, time, text = inputs()
    for length in range(1, 8):
        for condition in CONDITIONS:
            model(video, audio[:, :length], time, text, **condition)
        model(None, audio[:, :length], time, text)
    with torch.enable_grad():
        for condition in CONDITIONS:
            model(video, audio, time, text, **condition)
    assert torch._dynamo.config.recompile_limit > 8
