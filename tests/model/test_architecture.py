"""What every architecture must do: the properties that training, sampling and evaluation rest on."""

import pytest
import torch
from torch.nn.functional import pad

from nava.config.model import ARCHITECTURES, MODELS, ModelConfig
from nava.model.architecture import build_model
from nava.model.backbone import NavaTransformer
from nava.model.offload import blocks_in_order
from nava.runtime.errors import InputError

RELEASED_PARAMETERS = 6_296_995_520
SETTINGS = {"dim": 24, "ffn_dim": 48, "num_heads": 2, "num_hal_layers": 1, "num_ufl_layers": 1}
SETTINGS |= {"num_tower_layers": 2, "num_trimodal_layers": 3, "text_len": 6, "text_dim": 7, "freq_dim": 16}
SETTINGS |= {"video_channels": 3, "audio_channels": 5, "audio_stem_hidden": 16, "speaker_dim": 10}
SETTINGS |= {"temporal_bias": 1.0}


def config(architecture, **changes):
    return ModelConfig(**(SETTINGS | {"architecture": architecture} | changes))


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request):
    """A small model whose zero-initialised heads are drawn too, so that its outputs say something."""
    built = build_model(config(request.param), seed=3)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for head in (built.head.head, built.head_audio.head):
            head.weight.normal_(std=0.2, generator=generator)
    return built.eval()


def inputs(batch=2, frames=3, height=4, width=4, length=9, rows=6):
    generator = torch.Generator().manual_seed(0)
    return {
        "video_BCTHW": torch.randn(batch, 3, frames, height, width, generator=generator),
        "audio_BLC": torch.randn(batch, length, 5, generator=generator),
        "timestep_B": torch.rand(batch, generator=generator) * 1000,
        "text_BND": torch.randn(batch, rows, 7, generator=generator),
    }


def close(first, second):
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def differ(first, second):
    assert not torch.allclose(first, second, atol=1e-3)


def parameters(name):
    return sum(p.numel() for p in build_model(MODELS[name](), device="meta").parameters())


@pytest.mark.parametrize(
    ("name", "count"), [("nava_6b", 6_296_995_520), ("dual_tower_6b", 6_271_807_168), ("trimodal_6b", 6_296_519_360)]
)
def test_architectures_of_the_released_size_class(name, count):
    assert parameters(name) == count
    assert abs(count / RELEASED_PARAMETERS - 1) < 0.05


@pytest.mark.parametrize("name", ["dual_tower_tiny", "trimodal_tiny"])
def test_tiny_architectures_are_of_one_size(name):
    assert abs(parameters(name) / parameters("tiny") - 1) < 0.05


def test_the_configuration_names_the_class():
    assert type(build_model(ModelConfig(), device="meta")) is NavaTransformer
    names = {type(build_model(config(name), device="meta")).__name__ for name in ARCHITECTURES}
    assert names == {"NavaTransformer", "DualTower", "Trimodal"}


def test_what_describes_no_model_is_refused():
    with pytest.raises(InputError, match="'tower'; it must be align_then_fuse or dual_tower or trimodal"):
        build_model(ModelConfig(architecture="tower"))


def test_values_come_from_the_seed_alone(model):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = build_model(model.config, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    again, other = (build_model(model.config, seed=seed).state_dict() for seed in (3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    names = [name for name in first if name.endswith("ffn.0.weight")]
    assert names
    assert not any(torch.equal(first[name], other[name]) for name in names)
    assert not any(value.isnan().any() for value in first.values())


def test_every_weight_matrix_of_a_block_is_drawn(model):
    fresh = build_model(model.config, seed=3)
    for block in blocks_in_order(fresh):
        for name, parameter in block.named_parameters():
            if parameter.dim() == 2:
                # Xavier's bound, reached nearly and never passed.
                bound = (6 / sum(parameter.shape)) ** 0.5
                assert 0.9 * bound < parameter.abs().max() <= bound, name


def test_a_model_has_the_blocks_of_its_architecture_only(model):
    counts = {"align_then_fuse": 2, "dual_tower": 2, "trimodal": 3}
    assert len(blocks_in_order(model)) == counts[model.config.architecture]


@torch.no_grad()
def test_shapes_of_every_combination(model):
    x = inputs(height=5, width=3)
    video, audio = model(**x)
    assert video.shape == x["video_BCTHW"].shape
    assert audio.shape == x["audio_BLC"].shape
    assert model(**(x | {"audio_BLC": None}))[1] is None
    assert model(**(x | {"video_BCTHW": None}))[0] is None
    with pytest.raises(ValueError, match="give video latents, audio latents, or both"):
        model(**(x | {"video_BCTHW": None, "audio_BLC": None}))


@pytest.mark.parametrize("first_frame", [False, True])
@torch.no_grad()
def test_masking_is_the_single_modality_pass_of_each_stream(model, first_frame):
    x = inputs() | {"first_frame_clean": first_frame}
    video, audio = model(**x, mask_modality=True)
    close(video, model(**(x | {"audio_BLC": None}))[0])
    close(audio, model(**(x | {"video_BCTHW": None}))[1])
    joint_video, joint_audio = model(**x)
    differ(joint_video, video)
    differ(joint_audio, audio)


@pytest.mark.parametrize("flags", [[False, True, False], [True, False, True], [True] * 3, [False] * 3])
@pytest.mark.parametrize("padded", [False, True])
@torch.no_grad()
def test_masking_per_sample(model, flags, padded):
    x = inputs(batch=3)
    if padded:
        x |= {"audio_length_B": torch.tensor([9, 4, 6])}
    mixed = model(**x, mask_modality=torch.tensor(flags))
    joint, masked = model(**x), model(**x, mask_modality=True)
    for sample, apart in enumerate(flags):
        for out, *choices in zip(mixed, joint, masked):
            length = x["audio_length_B"][sample] if padded and out.dim() == 3 else None
            close(out[sample][:length], choices[apart][sample][:length])
    with pytest.raises(ValueError, match="2 modality mask flags for a batch of 3"):
        model(**x, mask_modality=flags[:2])


@torch.no_grad()
def test_masked_streams_do_not_notice_each_other(model):
    x = inputs()
    changed = x | {"audio_BLC": x["audio_BLC"] + 1}
    assert torch.equal(model(**x, mask_modality=True)[0], model(**changed, mask_modality=True)[0])
    differ(model(**x)[0], model(**changed)[0])
    changed = x | {"video_BCTHW": x["video_BCTHW"] + 1}
    assert torch.equal(model(**x, mask_modality=True)[1], model(**changed, mask_modality=True)[1])
    differ(model(**x)[1], model(**changed)[1])


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("first_frame", [False, True])
@torch.no_grad()
def test_padded_batch_equals_each_sample_alone(model, masked, first_frame):
    settings = {"mask_modality": masked, "first_frame_clean": first_frame}
    sizes = [{"frames": 3, "height": 4, "width": 6, "length": 9}, {"frames": 2, "height": 6, "width": 4, "length": 14}]
    alone = [inputs(batch=1, **size) for size in sizes]
    video = [pad(x["video_BCTHW"], _padding(x["video_BCTHW"].shape[-3:], (3, 6, 6)), value=7.0) for x in alone]
    audio = [pad(x["audio_BLC"], (0, 0, 0, 14 - x["audio_BLC"].shape[1]), value=7.0) for x in alone]
    together = model(
        torch.cat(video),
        torch.cat(audio),
        torch.cat([x["timestep_B"] for x in alone]),
        torch.cat([x["text_BND"] for x in alone]),
        video_size_B3=torch.tensor([list(size.values())[:3] for size in sizes]),
        audio_length_B=torch.tensor([size["length"] for size in sizes]),
        **settings,
    )
    for i, (x, size) in enumerate(zip(alone, sizes)):
        # The sample's patches lie at other places of the padded grid: only its own corner is compared.
        video_out, audio_out = model(**x, **settings)
        close(together[0][i, :, : size["frames"], : size["height"], : size["width"]], video_out[0])
        close(together[1][i, : size["length"]], audio_out[0])


def _padding(shape, largest):
    return [amount for have, want in zip(reversed(shape), reversed(largest)) for amount in (0, want - have)]


@torch.no_grad()
def test_clean_first_frame_has_time_zero(model):
    x = inputs()
    # With every time 0, the clean frame is nothing special.
    still = x | {"timestep_B": torch.zeros(2)}
    close(model(**still, first_frame_clean=True)[0], model(**still)[0])
    # Masked apart, only the video notices the condition.
    plain, conditioned = model(**x, mask_modality=True), model(**x, mask_modality=True, first_frame_clean=True)
    differ(plain[0], conditioned[0])
    close(plain[1], conditioned[1])


@torch.no_grad()
def test_text_and_time_reach_both_modalities(model):
    x = inputs()
    base = model(**x)
    for changed in (x | {"text_BND": x["text_BND"] + 1}, x | {"timestep_B": x["timestep_B"] / 2}):
        for out, before in zip(model(**changed), base):
            differ(out, before)


@torch.no_grad()
def test_missing_text_rows_are_zero_rows_and_are_attended(model):
    x = inputs(rows=4)
    zeros = x | {"text_BND": pad(x["text_BND"], (0, 0, 0, 2))}
    close(model(**x)[0], model(**zeros)[0])
    differ(model(**x)[0], model(**(x | {"text_BND": pad(x["text_BND"], (0, 0, 0, 2), value=3.0)}))[0])
    with pytest.raises(ValueError, match="takes up to 6 rows of 7"):
        model(**(x | {"text_BND": torch.zeros(2, 7, 7)}))


@pytest.mark.parametrize("masked", [False, True, [True, False]])
@torch.no_grad()
def test_prepared_context_gives_the_same(model, masked):
    x = inputs()
    voices = {"speaker_SE": torch.ones(2, 10), "speaker_slot_S": torch.tensor([2, 6 + 1])}
    context = model.prepare(x["text_BND"], **voices)
    want = model(**x, **voices, mask_modality=masked)
    for out, expected in zip(model(**(x | {"text_BND": context}), mask_modality=masked), want):
        close(out, expected)
    with pytest.raises(ValueError, match="give them to prepare"):
        model(**(x | {"text_BND": context}), **voices)


@torch.no_grad()
def test_one_prepared_sample_serves_a_batch(model):
    x = inputs() | {"text_BND": inputs(batch=1)["text_BND"].expand(2, -1, -1)}
    context = model.prepare(x["text_BND"][:1])
    for out, expected in zip(model(**(x | {"text_BND": context})), model(**x)):
        close(out, expected)


@torch.no_grad()
def test_timbre_replaces_context_rows(model):
    x = inputs()
    speakers, slots = torch.randn(2, 10, generator=torch.Generator().manual_seed(1)), torch.tensor([2, 6 + 1])
    inserted = model(**x, speaker_SE=speakers, speaker_slot_S=slots)
    changed = x["text_BND"].clone()
    changed[0, 2], changed[1, 1] = 5.0, -5.0
    close(inserted[0], model(**(x | {"text_BND": changed}), speaker_SE=speakers, speaker_slot_S=slots)[0])
    differ(inserted[1], model(**x)[1])


def test_every_parameter_learns_from_a_joint_batch(model):
    model.zero_grad(set_to_none=True)
    speakers = torch.stack([torch.linspace(-1, 1, 10), torch.zeros(10)])
    # One sample masked and one not, as training may have it.
    outputs = model(**inputs(), speaker_SE=speakers, speaker_slot_S=torch.tensor([0, 7]), mask_modality=[True, False])
    sum(out.square().mean() for out in outputs).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_an_optimizer_lowers_the_error(model):
    learner = build_model(model.config, seed=3)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=3e-3)
    x, errors = inputs(), []
    for _ in range(25):
        video, audio = learner(x["video_BCTHW"], x["audio_BLC"], x["timestep_B"], x["text_BND"], mask_modality=False)
        error = (video - x["video_BCTHW"]).square().mean() + (audio - x["audio_BLC"]).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.6 * errors[0]


def test_bf16_weights_are_close(model):
    x = inputs()
    low = build_model(model.config, seed=3)
    low.load_state_dict(model.state_dict())
    low.bfloat16().eval()
    with torch.no_grad():
        for out, full in zip(low(**x), model(**x)):
            assert (out.float() - full).norm() < 0.05 * full.norm()
