import pytest
import torch

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.config.model import ModelConfig
from nava.generation.sampler import Speakers, sample_latents
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


def test_alignment_means_nothing_for_one_modality():
    recorder = Recorder()
    sample_latents(recorder, text(1), None, AUDIO, config(), [0])
    assert len(recorder.calls) == 3 * 2
    assert not any(call["mask_modality"] for call in recorder.calls)


def test_negative_text():
    recorder, negative = Recorder(), torch.full((1, 6, 7), 3.0)
    sample_latents(recorder, text(1), VIDEO, AUDIO, config(), [0], negative_text_BND=negative)
    assert sum(torch.equal(call["text"], negative) for call in recorder.calls) == 3


def test_conditions_of_each_pass_with_timbre():
    guidance, voice = GuidanceScales(1.0, 2.0, 3.0), Speakers(torch.ones(1, 10), torch.tensor([2]))
    for kept in (True, False):
        recorder = Recorder()
        settings = config(video=guidance, audio=guidance)
        sample_latents(recorder, text(1), VIDEO, AUDIO, settings, [0], speakers=voice, timbre_in_align_pass=kept)
        conditional, no_text, apart, no_timbre = recorder.calls[:4]
        assert len(recorder.calls) == 12
        assert conditional["speaker_SE"] is voice.vectors
        assert no_text["speaker_SE"] is None
        assert apart["mask_modality"]
        assert (apart["speaker_SE"] is not None) is kept
        assert no_timbre["speaker_SE"] is None
        assert no_timbre["text"].any()


def test_guidance_moves_the_result(model):
    plain = sample_latents(model, text(), VIDEO, AUDIO, config(video=OFF, audio=OFF), [1, 2, 3])
    aligned = GuidanceScales(0.0, 2.0)
    moved = sample_latents(model, text(), VIDEO, AUDIO, config(video=aligned, audio=OFF), [1, 2, 3])
    assert not torch.allclose(plain[0], moved[0], atol=1e-3)


@pytest.mark.parametrize("repinned", [True, False])
def test_first_frame_is_a_condition(repinned):
    recorder, frame = Recorder(), torch.full((1, 3, 4, 4), 7.0)
    video, _ = sample_latents(
        recorder, text(1), VIDEO, AUDIO, config(), [0], first_frame_BCHW=frame, repin_first_frame=repinned
    )
    for call in recorder.calls:
        assert call["first_frame_clean"]
        assert (call["video"][:, :, 0] == 7.0).all()
    assert bool((video[:, :, 0] == 7.0).all()) is repinned
    assert not (video[:, :, 1] == 7.0).any()


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
