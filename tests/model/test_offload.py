import pytest
import torch
from torch import nn

from nava.config.model import ModelConfig
from nava.model.architecture import build_model
from nava.model.backbone import NavaTransformer
from nava.model.compilation import compile_model
from nava.model.fp8 import FP8, quantise_
from nava.model.offload import blocks_in_order, offload_blocks

SETTINGS = {"dim": 32, "ffn_dim": 48, "num_heads": 2, "num_hal_layers": 2, "num_ufl_layers": 3, "text_len": 6}
SETTINGS |= {"num_final_hal_layers": 1, "text_dim": 7, "video_channels": 3, "audio_channels": 5}
SETTINGS |= {"audio_stem_hidden": 16, "zero_init_heads": False}
BLOCKS = 6  # two alignment, three fusion, one final alignment layer


def model(**changes):
    built = NavaTransformer(ModelConfig(**(SETTINGS | changes)), seed=5)
    with torch.no_grad():
        built.head.head.weight.normal_(std=0.2, generator=torch.Generator().manual_seed(6))
    return built.eval()


def inputs():
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 3, 2, 4, 4), (2, 9, 5))
    video, audio = (torch.randn(shape, generator=generator) for shape in shapes)
    return video, audio, torch.tensor([300.0, 900.0]), torch.randn(2, 6, 7, generator=generator)


def same(got, want):
    return all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


def tensors(module):
    return [*module.parameters(), *module.buffers()]


def addresses(buffer):
    return range(buffer.data_ptr(), buffer.data_ptr() + buffer.numel())


def test_blocks_come_in_the_order_in_which_they_run():
    built, order = model(), []
    blocks = blocks_in_order(built)
    for index, block in enumerate(blocks):
        block.register_forward_pre_hook(lambda *_, index=index: order.append(index))
    built(*inputs())
    assert order == list(range(BLOCKS))
    assert len(blocks) == BLOCKS


@pytest.mark.parametrize("group_size", [1, 2, 4, 100])
@torch.no_grad()
def test_result_is_the_same_bit_for_bit(group_size):
    built = model()
    want = built(*inputs())
    with offload_blocks(built, "cpu", group_size) as offload:
        # Three passes: every buffer is used again, for another group.
        for _ in range(3):
            assert same(built(*inputs()), want)
        groups = -(-BLOCKS // group_size)
        # Two buffers hold two groups for good; more groups take turns, and the first of the next pass is there already.
        assert offload.copies == (groups if groups <= 2 else 3 * groups + 1)
    assert same(built(*inputs()), want)


@pytest.mark.parametrize("architecture", ["dual_tower", "trimodal"])
@torch.no_grad()
def test_other_architectures_are_offloaded_alike(architecture):
    built = build_model(ModelConfig(**(SETTINGS | {"architecture": architecture, "num_tower_layers": 3}))).eval()
    for flags in (False, [True, False]):
        want = built(*inputs(), mask_modality=flags)
        with offload_blocks(built, "cpu") as offload:
            assert same(built(*inputs(), mask_modality=flags), want)
            assert offload.copies >= 4


@torch.no_grad()
def test_result_in_inference_mode_and_with_prepared_context():
    built = model()
    video, audio, time, text = inputs()
    want = built(video, audio, time, text)
    with offload_blocks(built, "cpu"), torch.inference_mode():
        assert same(built(video, audio, time, text), want)
        context = built.prepare(text)
        assert same(built(video, audio, time, context), built(video, audio, time, text))


@torch.no_grad()
def test_quantised_weights_travel_too():
    built = model()
    quantise_(built)
    want = built(*inputs())
    with offload_blocks(built, "cpu", 2) as offload:
        assert same(built(*inputs()), want)
        layer = built.single_blocks[0].ffn[0]
        built.single_blocks[0](*_block_arguments(built))
        assert layer.weight.dtype == FP8
        assert layer.weight.data_ptr() in _device_addresses(offload)
        assert layer.weight_scale.data_ptr() in _device_addresses(offload)


def _device_addresses(offload):
    return [address for slot in offload._slots for address in addresses(slot.buffer)]


def _block_arguments(built):
    """What a fusion layer takes, for one token; recorded from a pass."""
    seen = {}
    hook = built.single_blocks[0].register_forward_pre_hook(lambda _, given: seen.setdefault("arguments", given))
    built(*inputs())
    hook.remove()
    return seen["arguments"]


@torch.no_grad()
def test_every_part_computes_with_tensors_in_a_device_buffer():
    built = model()
    offload = offload_blocks(built, "cpu")
    inside = [addresses(slot.buffer) for slot in offload._slots]
    used = []

    def check(module, arguments):
        for tensor in tensors(module):
            used.append(any(tensor.data_ptr() in buffer for buffer in inside))

    for block in blocks_in_order(built):
        for part in block.modules():
            if not list(part.children()):
                part.register_forward_pre_hook(check)
    built(*inputs())
    built.prepare(inputs()[3])
    assert len(used) > 100
    assert all(used)


@torch.no_grad()
def test_device_holds_two_groups_and_no_more():
    built = model()
    sizes = [sum(t.numel() * t.element_size() for t in tensors(block)) for block in blocks_in_order(built)]
    for group_size in (1, 2):
        offload = offload_blocks(built, "cpu", group_size)
        built(*inputs())
        groups = [sum(sizes[i : i + group_size]) for i in range(0, BLOCKS, group_size)]
        assert 2 * max(groups) <= offload.device_bytes < 2 * max(groups) * 1.3  # alignment of small tensors
        assert sum(sizes) <= offload.host_bytes < sum(sizes) * 1.3
        on_device = {slot.group for slot in offload._slots}
        assert len(on_device) == 2
        offload.remove()


@torch.no_grad()
def test_next_group_is_on_its_way_while_one_computes():
    built = model()
    offload, seen = offload_blocks(built, "cpu"), []
    for index, block in enumerate(blocks_in_order(built)):
        block.register_forward_hook(lambda *_, index=index: seen.append((index, {s.group for s in offload._slots})))
    built(*inputs())
    assert seen == [(index, {index, (index + 1) % BLOCKS}) for index in range(BLOCKS)]


@torch.no_grad()
def test_state_dict_keeps_its_values():
    built = model()
    before = {name: value.clone() for name, value in built.state_dict().items()}
    offload = offload_blocks(built, "cpu", 2)
    built(*inputs())
    assert all(torch.equal(value, before[name]) for name, value in built.state_dict().items())
    offload.remove()
    offload.remove()
    assert all(torch.equal(value, before[name]) for name, value in built.state_dict().items())
    assert all(isinstance(p, nn.Parameter) for p in built.parameters())


@torch.no_grad()
def test_a_pass_that_fails_half_way_does_no_harm():
    built = model()
    want = built(*inputs())
    with offload_blocks(built, "cpu"):
        fault = built.single_blocks[1].register_forward_pre_hook(_fail)
        with pytest.raises(ZeroDivisionError):
            built(*inputs())
        fault.remove()
        assert same(built(*inputs()), want)


def _fail(*_):
    raise ZeroDivisionError


def test_training_is_refused():
    built = model()
    with offload_blocks(built, "cpu"), pytest.raises(RuntimeError, match="for inference"):
        built(*inputs())
    built(*inputs())[1].sum().backward()
    assert built.single_blocks[0].ffn[0].weight.grad is not None


def test_bad_arguments():
    with pytest.raises(ValueError, match="group_size is 0"):
        offload_blocks(model(), "cpu", 0)
    with pytest.raises(ValueError, match="no module list"):
        offload_blocks(nn.Linear(2, 2), "cpu")
    with pytest.raises(ValueError, match="compiled blocks cannot be offloaded"):
        offload_blocks(compile_model(model(), backend="eager"), "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.no_grad()
def test_result_on_an_accelerator():
    built = model().cuda()
    given = [x.cuda() for x in inputs()]
    want = built(*given)
    with offload_blocks(built, "cuda", 2):
        for _ in range(5):
            assert same(built(*given), want)
