import pytest
import torch
import torch.distributed
import torch.multiprocessing
from torch.utils._python_dispatch import TorchDispatchMode

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.config.model import ModelConfig
from nava.diffusion.guidance import ClassifierFreeGuider, FactorizedGuider
from nava.generation.sampler import Latents, Speakers, build_guiders, sample_latents
from nava.model.backbone import NavaTransformer
from nava.runtime.errors import InputError

VIDEO, AUDIO = (3, 2, 4, 4), (9, 5)
OFF = GuidanceScales(0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def model():
    settings = {"dim": 24, "ffn_dim": 48, "num_heads": 2, "num_hal_layers": 1, "num_ufl_layers": 1, "speaker_dim": 10}
    config = ModelConfig(**settings, video_channels=3, audio_channels=5, text_len=6, text_dim=7, audio_stem_hidden=16)
    built = NavaTransformer(config)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for head in (built.head.head, built.head_audio.head):
            head.weight.normal_(std=0.2, generator=generator)
    return built.eval()


def text(batch=3):
    return torch.randn(batch, 6, 7, generator=torch.Generator().manual_seed(0))


def config(**changes):
    return GenerationConfig(steps=3, **changes)


class Recorder:
    """A stand-in that predicts the way to fixed data and writes down how it was called."""

    def __init__(self, data=0.0):
        self.data, self.calls = data, []

    def __call__(self, video, audio, timestep_B, text_BND, **conditions):
        self.calls.append({"text": text_BND, "timestep": timestep_B, "video": video, **conditions})
        sigma = 1.0 if len(self.calls) == 1 else timestep_B[0] / 1000
        return tuple(None if x is None else (x - self.data) / sigma for x in (video, audio))


def test_a_sample_does_not_depend_on_its_batch(model):
    together = sample_latents(model, text(), VIDEO, AUDIO, config(), [5, 6, 7])
    for i, seed in enumerate([5, 6, 7]):
        alone = sample_latents(model, text()[i : i + 1], VIDEO, AUDIO, config(), [seed])
        for one, many in zip(alone, together):
            torch.testing.assert_close(one[0], many[i], rtol=1e-4, atol=1e-4)


def test_seeds_decide(model):
    same_text = text(1).expand(3, -1, -1)
    video, audio = sample_latents(model, same_text, VIDEO, AUDIO, config(), [1, 1, 2])
    for latents in (video, audio):
        assert torch.equal(latents[0], latents[1])
        assert not torch.allclose(latents[0], latents[2], atol=0.1)


def test_shapes_and_repeatability(model):
    torch.manual_seed(0)
    first = sample_latents(model, text(), VIDEO, AUDIO, config(), [1, 2, 3])
    torch.manual_seed(1)
    second = sample_latents(model, text(), VIDEO, AUDIO, config(), [1, 2, 3])
    for one, two, shape in zip(first, second, (VIDEO, AUDIO)):
        assert one.shape == (3, *shape)
        assert torch.equal(one, two)
        assert not one.requires_grad


def test_one_modality_alone_starts_from_the_same_noise():
    recorders = [Recorder(), Recorder()]
    sample_latents(recorders[0], text(1), VIDEO, AUDIO, config(video=OFF, audio=OFF), [4])
    sample_latents(recorders[1], text(1), VIDEO, None, config(video=OFF), [4])
    assert torch.equal(recorders[0].calls[0]["video"], recorders[1].calls[0]["video"])


def test_noise_is_standard_normal():
    recorder = Recorder()
    sample_latents(recorder, text(2), (48, 13, 4, 4), None, config(video=OFF), [1, 2])
    noise = recorder.calls[0]["video"]
    assert noise.mean().abs() < 0.02
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    assert (noise[0] * noise[1]).mean().abs() < 0.03


def test_reaches_the_data_that_the_velocity_points_at():
    class Straight(Recorder):
        def __call__(self, video, audio, timestep_B, text_BND, **conditions):
            noise = self.noise = getattr(self, "noise", audio)
            return None, noise - 2.0

    _, audio = sample_latents(Straight(), text(1), None, AUDIO, GenerationConfig(steps=8, audio=OFF), [3])
    torch.testing.assert_close(audio, torch.full((1, *AUDIO), 2.0), atol=2e-3, rtol=0)  # starts at sigma .9999


@pytest.mark.parametrize(
    ("scales", "passes"),
    [((0.0, 0.0), 1), ((1.0, 0.0), 2), ((0.0, 2.0), 2), ((1.0, 2.0), 3)],
)
def test_only_needed_passes_run(scales, passes):
    recorder = Recorder()
    guidance = GuidanceScales(*scales)
    sample_latents(recorder, text(1), VIDEO, AUDIO, config(video=guidance, audio=guidance), [0])
    assert len(recorder.calls) == 3 * passes
    assert sum(call["mask_modality"] for call in recorder.calls) == (3 if scales[1] else 0)
    assert sum(not call["text"].any() for call in recorder.calls) == (3 if scales[0] else 0)


@pytest.mark.parametrize(
    ("settings", "video", "audio", "passes"),
    [
        # Without text guidance the base is all there is: the pass without text, the conditional one, or both.
        ({"guidance_base": "unconditional"}, 0.0, 0.0, ["negative"]),
        ({"guidance_base": "unconditional"}, 1.0, 1.0, ["positive"]),
        ({"guidance_base": "unconditional"}, 0.0, 1.0, ["negative", "positive"]),
        ({"guidance_base": "unconditional"}, 0.0, 2.0, ["negative", "positive"]),
        ({"mode": "release"}, 0.0, 0.0, ["negative"]),
        ({"mode": "release"}, 1.0, 1.0, ["positive"]),
        ({"mode": "release"}, 1.0, 3.0, ["negative", "positive"]),
        ({}, 0.0, 0.0, ["positive"]),
        ({}, 0.0, 1.0, ["negative", "positive"]),
    ],
)
@pytest.mark.parametrize("voiced", [False, True])
def test_a_pass_that_neither_modality_needs_is_not_run(settings, video, audio, passes, voiced):
    recorder, negative = Recorder(), torch.full((1, 6, 7), 3.0)
    scales = {"video": GuidanceScales(video, 0.0, 0.0), "audio": GuidanceScales(audio, 0.0, 0.0)}
    voice = Speakers(torch.ones(1, 10), torch.tensor([2])) if voiced else None
    given = {"negative_text_BND": negative, "speakers": voice}
    sample_latents(recorder, text(1), VIDEO, AUDIO, config(**scales, **settings), [0], **given)
    of_step = ["negative" if torch.equal(call["text"], negative) else "positive" for call in recorder.calls]
    assert [sorted(of_step[i : i + len(passes)]) for i in range(0, len(of_step), len(passes))] == [passes] * 3


@pytest.mark.parametrize(
    ("scales", "present", "video", "audio"),
    [
        # Sound and pictures, without a voice.
        (((3, 4, 0), (2, 5, 6)), (True, True, False), FactorizedGuider(3, 4), FactorizedGuider(2, 5)),
        (((3, 0, 0), (2, 0, 6)), (True, True, False), ClassifierFreeGuider(3), ClassifierFreeGuider(2)),
        # One switch: aligned sound puts the pictures on the conditional pass too.
        (((3, 0, 0), (2, 5, 6)), (True, True, False), FactorizedGuider(3), FactorizedGuider(2, 5)),
        (((3, 4, 0), (2, 0, 0)), (True, True, True), FactorizedGuider(3, 4), FactorizedGuider(2)),
        # With a voice.
        (((3, 4, 7), (2, 5, 6)), (True, True, True), FactorizedGuider(3, 4), FactorizedGuider(2, 5, 6)),
        (((3, 0, 7), (2, 0, 6)), (True, True, True), ClassifierFreeGuider(3), FactorizedGuider(2, 0, 6)),
        (((3, 0, 7), (2, 0, 0)), (True, True, True), ClassifierFreeGuider(3), ClassifierFreeGuider(2)),
        # One modality alone cannot be aligned.
        (((3, 4, 0), (2, 5, 6)), (True, False, False), ClassifierFreeGuider(3), None),
        (((3, 4, 0), (2, 5, 6)), (False, True, False), None, ClassifierFreeGuider(2)),
        (((3, 4, 0), (2, 5, 6)), (False, True, True), None, FactorizedGuider(2, 0, 6)),
    ],
)
@pytest.mark.parametrize("base", ["conditional", "unconditional"])
def test_mode_release_chooses_the_base_of_each_modality(scales, present, video, audio, base):
    video_scales, audio_scales = (GuidanceScales(*values) for values in scales)
    settings = config(mode="release", guidance_base=base, video=video_scales, audio=audio_scales)
    guiders = build_guiders(settings, **dict(zip(("with_video", "with_audio", "with_speakers"), present)))
    assert guiders == {name: guider for name, guider in (("video", video), ("audio", audio)) if guider is not None}


@pytest.mark.parametrize(
    ("base", "guider"), [("conditional", FactorizedGuider(2)), ("unconditional", ClassifierFreeGuider(2))]
)
def test_mode_corrected_has_the_base_it_is_given(base, guider):
    scales = GuidanceScales(2, 5, 6)
    settings = config(guidance_base=base, video=scales, audio=scales)
    assert build_guiders(settings, with_video=False, with_audio=True, with_speakers=False) == {"audio": guider}


def test_alignment_means_nothing_for_one_modality():
    recorder = Recorder()
    sample_latents(recorder, text(1), None, AUDIO, config(), [0])
    assert len(recorder.calls) == 3 * 2
    assert not any(call["mask_modality"] for call in recorder.calls)


def test_negative_text():
    recorder, negative = Recorder(), torch.full((1, 6, 7), 3.0)
    sample_latents(recorder, text(1), VIDEO, AUDIO, config(), [0], negative_text_BND=negative)
    assert sum(torch.equal(call["text"], negative) for call in recorder.calls) == 3


def test_negative_text_of_one_row_serves_every_prompt():
    recorder, negative = Recorder(), torch.full((1, 6, 7), 3.0)
    sample_latents(recorder, text(3), VIDEO, AUDIO, config(), [0, 1, 2], negative_text_BND=negative)
    assert sum(torch.equal(call["text"], negative.expand(3, -1, -1)) for call in recorder.calls) == 3


@pytest.mark.parametrize("mode", ["corrected", "release"])
def test_conditions_of_each_pass_with_timbre(mode):
    guidance, voice = GuidanceScales(1.0, 2.0, 3.0), Speakers(torch.ones(1, 10), torch.tensor([2]))
    recorder, negative = Recorder(), torch.full((1, 6, 7), 3.0)
    settings = config(video=guidance, audio=guidance, mode=mode)
    sample_latents(recorder, text(1), VIDEO, AUDIO, settings, [0], speakers=voice, negative_text_BND=negative)
    assert len(recorder.calls) == 12
    conditional, no_text, apart, no_timbre = recorder.calls[:4]
    assert conditional["speaker_SE"] is voice.vectors
    assert torch.equal(no_text["text"], negative)
    assert no_text["speaker_SE"] is None
    assert [call["mask_modality"] for call in recorder.calls[:4]] == [False, False, True, False]
    assert torch.equal(no_timbre["text"], text(1))
    if mode == "release":
        assert apart["speaker_SE"] is None
        assert no_timbre["speaker_SE"] is None
    else:
        assert apart["speaker_SE"] is voice.vectors
        # The null token: a zero vector at the same slot.
        assert torch.equal(no_timbre["speaker_SE"], torch.zeros(1, 10))
        assert torch.equal(no_timbre["speaker_slot_S"], voice.slots)


def test_corrected_mode_has_zeros_for_no_text_and_release_asks_for_a_prompt():
    recorder = Recorder()
    sample_latents(recorder, text(2), VIDEO, AUDIO, config(), [0, 1])
    assert torch.equal(recorder.calls[1]["text"], torch.zeros(2, 6, 7))
    with pytest.raises(InputError, match="mode release guides away from a negative prompt; give its text features"):
        sample_latents(recorder, text(2), VIDEO, AUDIO, config(mode="release"), [0, 1])
    # The conditional pass alone asks for nothing.
    alone = GuidanceScales(1.0, 0.0, 0.0)
    sample_latents(recorder, text(2), VIDEO, AUDIO, config(mode="release", video=alone, audio=alone), [0, 1])


def test_progress_is_told_after_each_step(model):
    told = []
    steps = config(video=OFF, audio=OFF)
    sample_latents(model, text(1), None, AUDIO, steps, [0], on_step=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_given_noise_replaces_that_of_the_seeds():
    recorder, noise = Recorder(), Latents(torch.full((2, *VIDEO), 3.0), torch.full((2, *AUDIO), 4.0))
    sample_latents(recorder, text(2), VIDEO, AUDIO, config(video=OFF, audio=OFF), [0, 1], initial_noise=noise)
    assert torch.equal(recorder.calls[0]["video"], noise.video)


def test_guidance_moves_the_result(model):
    plain = sample_latents(model, text(), VIDEO, AUDIO, config(video=OFF, audio=OFF), [1, 2, 3])
    aligned = GuidanceScales(0.0, 2.0)
    moved = sample_latents(model, text(), VIDEO, AUDIO, config(video=aligned, audio=OFF), [1, 2, 3])
    assert not torch.allclose(plain[0], moved[0], atol=1e-3)


@pytest.mark.parametrize(("mode", "repinned"), [("corrected", True), ("release", False)])
def test_first_frame_is_a_condition(mode, repinned):
    recorder, frame, negative = Recorder(), torch.full((1, 3, 4, 4), 7.0), torch.zeros(1, 6, 7)
    settings = config(mode=mode)
    video, _ = sample_latents(
        recorder, text(1), VIDEO, AUDIO, settings, [0], first_frame_BCHW=frame, negative_text_BND=negative
    )
    for call in recorder.calls:
        assert call["first_frame_clean"]
        assert (call["video"][:, :, 0] == 7.0).all()
    assert bool((video[:, :, 0] == 7.0).all()) is repinned
    assert not (video[:, :, 1] == 7.0).any()


@pytest.mark.parametrize("settings", [{}, {"mode": "release"}])
@pytest.mark.parametrize("voiced", [False, True])
@pytest.mark.parametrize("framed", [False, True])
def test_batched_passes_give_what_single_ones_give(model, settings, voiced, framed):
    guidance = GuidanceScales(1.0, 2.0, 3.0)
    conditions = {"negative_text_BND": text(3).flip(1)}
    if voiced:
        conditions["speakers"] = Speakers(torch.randn(2, 10), torch.tensor([2, 2 * 6 + 1]))
    if framed:
        conditions["first_frame_BCHW"] = torch.zeros(3, 3, 4, 4)
    results = [
        sample_latents(
            model,
            text(),
            VIDEO,
            AUDIO,
            config(video=guidance, audio=guidance, batch_passes=choice, **settings),
            [1, 2, 3],
            **conditions,
        )
        for choice in ("never", "always")
    ]
    for single, batched in zip(*results):
        torch.testing.assert_close(single, batched, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("choice", "frames", "calls"), [("auto", 2, 1), ("auto", 300, 3), ("never", 2, 3)])
def test_passes_are_batched_while_they_are_small(model, choice, frames, calls):
    counted = []
    hook = model.register_forward_hook(lambda *_: counted.append(1))
    settings = GenerationConfig(steps=1, solver="euler", batch_passes=choice)
    sample_latents(model, text(1), (3, frames, 4, 4), AUDIO, settings, [1])
    hook.remove()
    assert len(counted) == calls


@pytest.mark.parametrize("choice", ["never", "always"])
def test_text_is_prepared_once_per_request(model, monkeypatch, choice):
    prepared = []
    own = model.prepare
    monkeypatch.setattr(model, "prepare", lambda *arguments: prepared.append(arguments[0].shape) or own(*arguments))
    sample_latents(model, text(2), VIDEO, AUDIO, config(batch_passes=choice), [1, 2])
    # Three passes of three steps, but two contexts: the prompts', which two passes share, and one row of zeros.
    assert prepared == [(2, 6, 7), (1, 6, 7)]


class NoWaiting(TorchDispatchMode):
    """Refuses what would make the host wait for an accelerator."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func not in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default), func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("solver", ["unipc", "euler"])
def test_the_loop_never_waits_for_a_value(model, solver):
    mode, frame = NoWaiting(), torch.zeros(1, 3, 4, 4)

    def watched(done, total):
        if done == 1:
            mode.__enter__()
        elif done == total:
            mode.__exit__(None, None, None)

    settings = config(solver=solver, batch_passes="always")
    sample_latents(model, text(1), VIDEO, AUDIO, settings, [1], first_frame_BCHW=frame, on_step=watched)


def test_processes_that_share_the_passes_agree_with_one(model, tmp_path):
    """Two processes over gloo; the first runs two of three passes, the second one."""
    files = [tmp_path / f"{rank}.pt" for rank in range(2)]
    context = torch.multiprocessing.get_context("spawn")
    arguments = [(rank, str(tmp_path / "store"), str(file), model) for rank, file in enumerate(files)]
    processes = [context.Process(target=_share_the_passes, args=a) for a in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    alone = sample_latents(model, text(), VIDEO, AUDIO, config(), [1, 2, 3])
    for rank, file in enumerate(files):
        video, audio, calls = torch.load(file)
        assert calls == 3 * (2 - rank)
        torch.testing.assert_close(video, alone[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(audio, alone[1], rtol=1e-4, atol=1e-4)


def _share_the_passes(rank, store, file, model):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    group, settings = torch.distributed.group.WORLD, config(batch_passes="never")
    video, audio = sample_latents(model, text(), VIDEO, AUDIO, settings, [1, 2, 3], pass_group=group)
    torch.save((video, audio, len(calls)), file)
    torch.distributed.destroy_process_group()


def test_timesteps_are_whole_numbers():
    recorder = Recorder()
    sample_latents(recorder, text(2), None, AUDIO, GenerationConfig(steps=6, shift=5.0, audio=OFF), [0, 1])
    assert [call["timestep"].tolist() for call in recorder.calls] == [[t, t] for t in (999, 961, 909, 833, 714, 499)]


@pytest.mark.parametrize(
    ("arguments", "changes", "message"),
    [
        ((VIDEO, AUDIO, [1]), {}, "3 prompts but 1 seeds"),
        ((None, None, [1, 2, 3]), {}, "nothing to generate"),
        ((VIDEO, AUDIO, [1, 2, -3]), {}, "seed -3 is outside"),
        ((VIDEO, AUDIO, [1, 2, 3]), {"guidance_base": "none"}, "guidance_base is 'none'"),
        ((VIDEO, AUDIO, [1, 2, 3]), {"mode": "exact"}, "mode is 'exact'; it must be corrected or release"),
        ((VIDEO, AUDIO, [1, 2, 3]), {"batch_passes": "some"}, "batch_passes is 'some'"),
        ((VIDEO, AUDIO, [1, 2, 3]), {"guidance_base": "unconditional"}, "must be 0 with guidance_base unconditional"),
    ],
)
def test_bad_requests(arguments, changes, message):
    video, audio, seeds = arguments
    with pytest.raises(InputError, match=message):
        sample_latents(Recorder(), text(), video, audio, config(**changes), seeds)


def test_first_frame_without_video():
    with pytest.raises(InputError, match="no video is to be generated"):
        sample_latents(Recorder(), text(1), None, AUDIO, config(), [0], first_frame_BCHW=torch.zeros(1, 3, 4, 4))
