"""The loss of a micro-batch: what the model is given, and what its answer is compared with."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from nava.config.diffusion import DiffusionConfig
from nava.config.loader import LoaderConfig
from nava.config.model import ModelConfig
from nava.config.training import StageConfig
from nava.data.loader.sampler import MicroBatchSampler
from nava.data.loader.tasks import Task
from nava.diffusion.loss import add_noise, flow_matching_loss, velocity
from nava.diffusion.timestep import NoiseLevels, TrainingSchedule
from nava.model.backbone import NavaTransformer
from nava.training.clips import Clips
from nava.training.micro_batches import MicroBatch
from nava.training.micro_batches import drawn as drawn_for
from nava.training.objective import Noise, Objective, clip_loss, noised
from nava.training.strategies import STRATEGIES, strategy_of
from tests.training.latents_in_memory import DIFFUSION, LatentsInMemory, tiny_training

SHARDS = LatentsInMemory()


class Recorder(nn.Module):
    """Answers zeros and remembers what it was asked."""

    def forward(
        self, video: Tensor | None, audio: Tensor | None, timestep: Tensor, text: Tensor, **conditions: object
    ) -> tuple[Tensor | None, Tensor | None]:
        self.video, self.audio, self.timestep, self.text = video, audio, timestep, text
        self.conditions, self.mask_modality = conditions, conditions["mask_modality"]
        answers = [None if given is None else torch.zeros_like(given) for given in (video, audio)]
        return answers[0], answers[1]


def micro_batch(number: int = 0, audio: int = 0, paired: int = 1, **changes: float) -> MicroBatch:
    settings = StageConfig(1, audio, paired, 0, **changes)
    sampler = MicroBatchSampler(SHARDS, tiny_training(stage1=settings), LoaderConfig(), 1, 3)
    sampled = sampler[number]
    return drawn_for(sampled, SHARDS.read(sampled.ids, with_video=sampled.task.modality == "av"), settings, 3, 1)


def test_an_audio_micro_batch_leaves_the_picture_out() -> None:
    model = Recorder()
    batch = replace(micro_batch(audio=1, paired=0), latents=SHARDS.read(["p000", "p001", "p002", "p003"]))
    terms = Objective(DIFFUSION)(model, batch)
    assert model.video is None
    assert terms.video is None
    assert terms.audio is not None
    assert not model.mask_modality


def test_dropped_texts_are_zero_rows_and_the_others_are_kept() -> None:
    model, batch = Recorder(), micro_batch()
    batch = replace(batch, text_dropped=torch.tensor([True, False, False, True]))
    Objective(DIFFUSION)(model, batch)
    texts = SHARDS.read(batch.ids).text_BND
    assert model.text[[0, 3]].eq(0).all()
    assert model.text[[1, 2]].equal(texts[[1, 2]])


@pytest.mark.parametrize("masked", [True, False])
def test_masking_reaches_the_model(masked: bool) -> None:
    model = Recorder()
    Objective(DIFFUSION)(model, replace(micro_batch(), masked=torch.tensor([masked, False, False, False])))
    assert model.mask_modality == ([True, False, False, False] if masked else False)


def test_the_loss_is_the_weighted_error_of_the_velocity() -> None:
    model, batch = Recorder(), micro_batch()
    terms = Objective(DIFFUSION)(model, batch)
    latents, again = SHARDS.read(batch.ids), micro_batch()
    levels = TrainingSchedule(DIFFUSION).sample(4, again.generator)
    video_noise = torch.randn(latents.video_BCTHW.shape, generator=again.generator)
    audio_noise = torch.randn(latents.audio_BLC.shape, generator=again.generator)
    video_error = (video_noise - latents.video_BCTHW).square().flatten(1).mean(1)
    audio_error = (audio_noise - latents.audio_BLC).square().flatten(1).mean(1)
    expected = (levels.weight * (video_error + audio_error)).mean()
    assert float(terms.total) == pytest.approx(float(expected), rel=1e-5)
    assert float(terms.video) == pytest.approx(float(video_error.mean()), rel=1e-5)
    assert float(terms.audio) == pytest.approx(float(audio_error.mean()), rel=1e-5)
    sigma = levels.sigma[:, None, None]
    assert torch.allclose(model.audio, (1 - sigma) * latents.audio_BLC + sigma * audio_noise)
    assert torch.allclose(model.timestep, levels.sigma * 1000)


def test_both_modalities_share_a_sample_s_time_and_samples_differ() -> None:
    model = Recorder()
    Objective(DIFFUSION)(model, micro_batch())
    assert model.timestep.shape == (4,)
    assert len(set(model.timestep.tolist())) > 1


def test_noised_ends_are_data_and_noise() -> None:
    data, noise = torch.ones(2, 3), torch.full((2, 3), 5.0)
    mixed = noised(data, noise, torch.tensor([0.0, 1.0]))
    assert mixed.noisy.tolist() == [[1.0] * 3, [5.0] * 3]
    assert mixed.target.eq(4).all()


RELEASE = DiffusionConfig(loss_mode="release", train_shift=5.0, audio_loss_weight=0.2)
CORRECTED = DiffusionConfig(loss_mode="corrected", train_shift=5.0, audio_loss_weight=0.2)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def two_clips(**changes: object) -> tuple[Clips, Noise, NoiseLevels]:
    """Two clips of three latent frames and eight audio latents, with noise and times."""
    clips = Clips(drawn(2, 4, 3, 4, 4), drawn(2, 8, 6, seed=1), drawn(2, 3, 5, seed=2))
    noise = Noise(drawn(2, 4, 3, 4, 4, seed=3), drawn(2, 8, 6, seed=4))
    return replace(clips, **changes), noise, TrainingSchedule(CORRECTED).at(torch.tensor([300, 700]))


def test_today_s_training_is_the_corrected_mode_to_the_last_bit() -> None:
    model, batch = Recorder(), micro_batch()
    terms = Objective(DIFFUSION)(model, batch)
    latents, again = SHARDS.read(batch.ids), micro_batch()
    levels = TrainingSchedule(DIFFUSION).sample(4, again.generator)
    video_noise = torch.randn(latents.video_BCTHW.shape, generator=again.generator)
    audio_noise = torch.randn(latents.audio_BLC.shape, generator=again.generator)
    assert model.video.equal(add_noise(latents.video_BCTHW, video_noise, levels.sigma))
    assert model.audio.equal(add_noise(latents.audio_BLC, audio_noise, levels.sigma))
    expected = flow_matching_loss(
        (torch.zeros_like(video_noise), velocity(latents.video_BCTHW, video_noise)),
        (torch.zeros_like(audio_noise), velocity(latents.audio_BLC, audio_noise)),
        levels.weight,
        DIFFUSION,
    )
    assert DIFFUSION.loss_mode == "corrected"
    assert terms.total.equal(expected.total)
    given = {name: value for name, value in model.conditions.items() if value not in (None, False)}
    assert given == {}


@pytest.mark.parametrize("mode", ["corrected", "release"])
def test_full_clips_without_conditions_have_the_same_loss_in_both_modes(mode: str) -> None:
    clips, noise, levels = two_clips()
    plain = clip_loss(Recorder(), clips, noise, levels, replace(CORRECTED, loss_mode=mode))
    full = replace(clips, content_frames=torch.tensor([3, 3]), content_length=torch.tensor([8, 8]))
    filled = clip_loss(Recorder(), full, noise, levels, replace(CORRECTED, loss_mode=mode))
    assert float(plain.total) == pytest.approx(float(filled.total), rel=1e-6)


@pytest.mark.parametrize("config", [RELEASE, CORRECTED], ids=lambda config: config.loss_mode)
def test_the_clean_first_frame_reaches_the_model_without_noise_at_time_zero(config: DiffusionConfig) -> None:
    clips, noise, levels = two_clips()
    model = Recorder()
    clip_loss(model, clips, noise, levels, config, first_frame_clean=True)
    assert model.video[:, :, 0].equal(clips.video[:, :, 0])
    assert model.video[:, :, 1:].equal(add_noise(clips.video, noise.video, levels.sigma)[:, :, 1:])
    assert model.conditions["first_frame_clean"] is True
    assert model.timestep.equal(levels.timestep)


def test_the_corrected_mode_leaves_the_clean_frame_out_of_the_loss_and_the_release_does_not() -> None:
    clips, noise, levels = two_clips()
    error = (noise.video - clips.video).square()
    release = clip_loss(Recorder(), clips, noise, levels, RELEASE, first_frame_clean=True)
    corrected = clip_loss(Recorder(), clips, noise, levels, CORRECTED, first_frame_clean=True)
    assert float(release.video) == pytest.approx(float(error.mean()), rel=1e-5)
    assert float(corrected.video) == pytest.approx(float(error[:, :, 1:].mean()), rel=1e-5)
    assert float(release.audio) == pytest.approx(float(corrected.audio))


def test_a_padded_batch_has_the_loss_of_its_samples_in_both_modes() -> None:
    clips, noise, levels = two_clips()
    size, length = torch.tensor([[3, 4, 4], [2, 2, 4]]), torch.tensor([8, 5])
    padded = replace(clips, video_size=size, audio_length=length)
    for config in (RELEASE, CORRECTED):
        alone = []
        for i in range(2):
            (t, h, w), n = size[i].tolist(), int(length[i])
            one = Clips(clips.video[i : i + 1, :, :t, :h, :w], clips.audio[i : i + 1, :n], clips.text[i : i + 1])
            own = Noise(noise.video[i : i + 1, :, :t, :h, :w], noise.audio[i : i + 1, :n])
            level = NoiseLevels(levels.sigma[i : i + 1], levels.timestep[i : i + 1], levels.weight[i : i + 1])
            alone.append(clip_loss(Recorder(), one, own, level, config).total)
        model = Recorder()
        together = clip_loss(model, padded, noise, levels, config)
        assert float(together.total) == pytest.approx(float(sum(alone)) / 2, rel=1e-5)
        assert model.conditions["video_size_B3"].equal(size)
        assert model.conditions["audio_length_B"].equal(length)


def test_filled_up_clips_are_learned_in_the_release_mode_and_are_padding_in_the_corrected_one() -> None:
    clips, noise, levels = two_clips(content_frames=torch.tensor([3, 2]), content_length=torch.tensor([8, 5]))
    release, corrected = Recorder(), Recorder()
    all_of_it = clip_loss(release, clips, noise, levels, RELEASE)
    own_part = clip_loss(corrected, clips, noise, levels, CORRECTED)
    assert release.conditions["video_size_B3"] is None
    assert release.conditions["audio_length_B"] is None
    assert corrected.conditions["video_size_B3"].tolist() == [[3, 4, 4], [2, 4, 4]]
    assert corrected.conditions["audio_length_B"].tolist() == [8, 5]
    error = (noise.video - clips.video).square()
    assert float(all_of_it.video) == pytest.approx(float(error.mean()), rel=1e-5)
    by_clip = (error[0].mean() + error[1, :, :2].mean()) / 2
    assert float(own_part.video) == pytest.approx(float(by_clip), rel=1e-5)


def test_the_shorter_of_both_kinds_of_padding_counts() -> None:
    clips, noise, levels = two_clips(
        video_size=torch.tensor([[3, 4, 4], [2, 4, 4]]),
        audio_length=torch.tensor([8, 6]),
        content_frames=torch.tensor([1, 3]),
        content_length=torch.tensor([7, 7]),
    )
    model = Recorder()
    clip_loss(model, clips, noise, levels, CORRECTED)
    assert model.conditions["video_size_B3"][:, 0].tolist() == [1, 2]
    assert model.conditions["audio_length_B"].tolist() == [7, 6]


def test_a_sample_s_own_weight_multiplies_its_time_s() -> None:
    clips, noise, levels = two_clips(weight=torch.tensor([2.0, 0.0]))
    terms = clip_loss(Recorder(), clips, noise, levels, CORRECTED)
    video = (noise.video - clips.video)[0].square().mean()
    audio = (noise.audio - clips.audio)[0].square().mean()
    assert float(terms.total) == pytest.approx(float(levels.weight[0] * (video + 0.2 * audio)), rel=1e-5)


def test_speakers_reach_the_model() -> None:
    speakers, slots = drawn(2, 7), torch.tensor([1, 4])
    clips, noise, levels = two_clips(speakers=speakers, speaker_slots=slots)
    model = Recorder()
    clip_loss(model, clips, noise, levels, CORRECTED)
    assert model.conditions["speaker_SE"] is speakers
    assert model.conditions["speaker_slot_S"] is slots


def test_video_alone_and_nothing_at_all() -> None:
    clips, noise, levels = two_clips(audio=None)
    model = Recorder()
    terms = clip_loss(model, clips, Noise(noise.video, None), levels, CORRECTED)
    assert model.audio is None
    assert terms.audio is None
    with pytest.raises(ValueError, match="video, audio, or both"):
        clip_loss(Silent(), replace(clips, video=None), Noise(None, None), levels, CORRECTED)


def test_a_clean_first_frame_needs_video() -> None:
    clips, noise, levels = two_clips(video=None)
    with pytest.raises(ValueError, match="no video"):
        clip_loss(Recorder(), clips, noise, levels, CORRECTED, first_frame_clean=True)


def test_the_micro_batch_s_image_condition_reaches_the_model() -> None:
    model, batch = Recorder(), micro_batch()
    plain = Objective(DIFFUSION)(model, batch)
    assert model.conditions["first_frame_clean"] is False
    clean = SHARDS.read(batch.ids).video_BCTHW[:, :, 0]
    conditioned = Objective(DIFFUSION)(model, replace(micro_batch(), with_image=torch.ones(4, dtype=torch.bool)))
    assert model.conditions["first_frame_clean"] is True
    assert model.video[:, :, 0].equal(clean)
    assert float(plain.audio) == float(conditioned.audio)
    some = torch.tensor([False, True, True, False])
    Objective(DIFFUSION)(model, replace(micro_batch(), with_image=some))
    assert model.conditions["first_frame_clean"].equal(some)
    assert [frame.equal(wanted) for frame, wanted in zip(model.video[:, :, 0], clean)] == some.tolist()


def test_a_clean_first_frame_of_some_samples_is_what_they_would_have_alone() -> None:
    model = tiny_model()
    clips, noise, levels = two_clips()
    flags = torch.tensor([True, False])
    both = clip_loss(model, clips, noise, levels, CORRECTED, first_frame_clean=flags)
    apart = [clip_loss(model, clips, noise, levels, CORRECTED, first_frame_clean=flag) for flag in (True, False)]
    for row in (0, 1):
        assert float(both.video_errors[row]) == pytest.approx(float(apart[row].video_errors[row]), rel=1e-5)
        assert float(both.audio_errors[row]) == pytest.approx(float(apart[row].audio_errors[row]), rel=1e-5)
    assert abs(float(apart[0].video_errors[1] - apart[1].video_errors[1])) > 1e-4


def test_a_task_says_what_it_needs_of_its_clips() -> None:
    assert set(STRATEGIES) == set(Task)
    batch = micro_batch()
    with pytest.raises(ValueError, match=r"task tia2av needs voice_SE, voice_slot_S of its clips: p\d\d\d"):
        strategy_of(Task.TIA2AV).clips(batch, with_voices=True)


def test_a_task_without_sound_trains_the_picture_alone() -> None:
    model = Recorder()
    terms = Objective(DIFFUSION)(model, replace(micro_batch(), task=Task.T2V))
    assert model.audio is None
    assert terms.audio is None
    assert terms.video is not None


def voiced(micro: MicroBatch, dropped: list[bool]) -> MicroBatch:
    """Voices for the first sample (row 1) and the last (rows 0 and 2)."""
    latents = replace(micro.latents, voice_SE=torch.arange(1.0, 7).view(3, 2), voice_slot_S=torch.tensor([1, 9, 11]))
    kept = torch.zeros(3, dtype=torch.bool)
    return replace(micro, latents=latents, voice_dropped=torch.tensor(dropped), voice_replaced=kept)


def test_voices_reach_a_model_that_takes_them_and_dropped_ones_are_unknown() -> None:
    model = Recorder()
    batch = replace(voiced(micro_batch(), [False, True, False]), text_dropped=torch.zeros(4, dtype=torch.bool))
    Objective(DIFFUSION, with_voices=True)(model, batch)
    assert model.conditions["speaker_SE"].tolist() == [[1, 2], [0, 0], [5, 6]]
    assert model.conditions["speaker_slot_S"].tolist() == [1, 9, 11]
    Objective(DIFFUSION)(model, batch)
    assert model.conditions["speaker_SE"] is None


def test_a_dropped_text_takes_its_voices_along() -> None:
    model = Recorder()
    batch = replace(voiced(micro_batch(), [False] * 3), text_dropped=torch.tensor([False, False, False, True]))
    Objective(DIFFUSION, with_voices=True)(model, batch)
    assert model.conditions["speaker_slot_S"].tolist() == [1]
    all_dropped = replace(batch, text_dropped=torch.ones(4, dtype=torch.bool))
    Objective(DIFFUSION, with_voices=True)(model, all_dropped)
    assert model.conditions["speaker_SE"] is None


def tiny_model() -> NavaTransformer:
    sizes = {"dim": 24, "ffn_dim": 32, "freq_dim": 8, "num_heads": 2, "num_hal_layers": 1, "num_ufl_layers": 1}
    latents = {"video_channels": 4, "audio_channels": 6, "text_len": 3, "text_dim": 5, "audio_stem_hidden": 16}
    return NavaTransformer(ModelConfig(**sizes, **latents, zero_init_heads=False), seed=1).eval()


@pytest.mark.parametrize("config", [RELEASE, CORRECTED], ids=lambda config: config.loss_mode)
def test_what_fills_a_clip_up_changes_the_release_s_loss_alone(config: DiffusionConfig) -> None:
    model = tiny_model()
    clips, noise, levels = two_clips(content_frames=torch.tensor([3, 2]), content_length=torch.tensor([8, 5]))
    before = clip_loss(model, clips, noise, levels, config)
    video, audio = clips.video.clone(), clips.audio.clone()
    video[1, :, 2:] += 5.0
    audio[1, 5:] -= 5.0
    after = clip_loss(model, replace(clips, video=video, audio=audio), noise, levels, config)
    same = torch.isclose(before.total, after.total, rtol=1e-6, atol=0)
    assert bool(same) is (config.loss_mode == "corrected")


@pytest.mark.parametrize("config", [RELEASE, CORRECTED], ids=lambda config: config.loss_mode)
def test_noise_that_the_clean_frame_never_got_is_no_target_in_the_corrected_mode(config: DiffusionConfig) -> None:
    model = tiny_model()
    clips, noise, levels = two_clips()
    before = clip_loss(model, clips, noise, levels, config, first_frame_clean=True)
    other = noise.video.clone()
    other[:, :, 0] += 3.0
    after = clip_loss(model, clips, replace(noise, video=other), levels, config, first_frame_clean=True)
    assert (float(before.total.detach()) == float(after.total.detach())) is (config.loss_mode == "corrected")


class Silent(nn.Module):
    """Answers nothing."""

    def forward(self, *_: object, **__: object) -> tuple[None, None]:
        return None, None
