import pytest
import torch

from nava.config.diffusion import DiffusionConfig
from nava.diffusion.loss import (
    add_noise,
    audio_mask,
    flow_matching_loss,
    mean_squared_error,
    velocity,
    video_mask,
)
from nava.runtime.errors import InputError


def test_path_from_data_to_noise():
    data, noise = torch.randn(3, 4, 2), torch.randn(3, 4, 2)
    mixed = add_noise(data, noise, torch.tensor([0.0, 1.0, 0.25]))
    torch.testing.assert_close(mixed[0], data[0])
    torch.testing.assert_close(mixed[1], noise[1])
    torch.testing.assert_close(mixed[2], 0.75 * data[2] + 0.25 * noise[2])


def test_velocity_leads_back_to_the_data():
    data, noise, sigma = torch.randn(3, 2, 4, 1, 1), torch.randn(3, 2, 4, 1, 1), torch.tensor([0.3, 0.6, 0.9])
    back = add_noise(data, noise, sigma) - sigma.view(3, 1, 1, 1, 1) * velocity(data, noise)
    torch.testing.assert_close(back, data)


def test_error_of_each_sample():
    prediction, target = torch.zeros(2, 3, 2), torch.zeros(2, 3, 2)
    target[0] = 2.0
    target[1, 0, 0] = 6.0
    torch.testing.assert_close(mean_squared_error(prediction, target), torch.tensor([4.0, 6.0]))


def test_mask_takes_padding_out_of_the_mean():
    prediction, target = torch.zeros(2, 4, 2), torch.ones(2, 4, 2)
    target[0, 2:] = 100.0
    length = torch.tensor([2, 4])
    mask = (torch.arange(4) < length[:, None])[..., None]
    torch.testing.assert_close(mean_squared_error(prediction, target, mask), torch.tensor([1.0, 1.0]))
    nothing = mean_squared_error(prediction, target, torch.zeros_like(mask))
    assert nothing.tolist() == [0.0, 0.0]


def test_weights_of_times_and_modalities():
    video = (torch.zeros(2, 1, 2, 2, 2), torch.ones(2, 1, 2, 2, 2))
    audio = (torch.zeros(2, 5, 3), torch.full((2, 5, 3), 2.0))
    config = DiffusionConfig(video_loss_weight=1.0, audio_loss_weight=0.2)
    loss = flow_matching_loss(video, audio, torch.tensor([0.5, 2.0]), config)
    assert loss.total.item() == pytest.approx(1.25 * 1.0 + 0.2 * 1.25 * 4.0)
    assert loss.video is not None
    assert loss.audio is not None
    assert (loss.video.item(), loss.audio.item()) == (1.0, 4.0)


def test_a_modality_may_be_absent():
    audio = (torch.zeros(1, 5, 3), torch.ones(1, 5, 3))
    loss = flow_matching_loss(None, audio, torch.ones(1), DiffusionConfig())
    assert (loss.total.item(), loss.video) == (1.0, None)
    with pytest.raises(ValueError, match="video, audio, or both"):
        flow_matching_loss(None, None, torch.ones(1), DiffusionConfig())


def test_clean_first_frame_gets_no_gradient():
    prediction = torch.zeros(1, 2, 3, 2, 2, requires_grad=True)
    mask = torch.ones(1, 1, 3, 1, 1, dtype=torch.bool)
    mask[:, :, 0] = False
    target = torch.ones(1, 2, 3, 2, 2)
    flow_matching_loss((prediction, target), None, torch.ones(1), DiffusionConfig(), video_mask=mask).total.backward()
    assert prediction.grad is not None
    assert not prediction.grad[:, :, 0].any()
    assert prediction.grad[:, :, 1:].all()


def test_low_precision_predictions_are_compared_in_float32():
    prediction = torch.full((1, 2, 2), 1.0).bfloat16()
    target = torch.full((1, 2, 2), 1.001)
    assert mean_squared_error(prediction, target).item() == pytest.approx(1e-6, rel=0.01)


def test_the_release_applies_the_video_weight_twice_and_reports_it_once():
    video = (torch.zeros(2, 1, 2, 2, 2), torch.ones(2, 1, 2, 2, 2))
    audio = (torch.zeros(2, 5, 3), torch.ones(2, 5, 3))
    weight = torch.tensor([0.5, 2.0])
    for mode, factor in (("corrected", 0.5), ("release", 0.25)):
        config = DiffusionConfig(loss_mode=mode, video_loss_weight=0.5, audio_loss_weight=0.2)
        loss = flow_matching_loss(video, audio, weight, config)
        assert loss.total.item() == pytest.approx(1.25 * factor + 1.25 * 0.2)
        assert loss.weighted_video is not None
        assert loss.weighted_audio is not None
        assert loss.weighted_video.item() == pytest.approx(1.25 * 0.5)
        assert loss.weighted_audio.item() == pytest.approx(1.25 * 0.2)


def test_masks_of_padding():
    shape = (2, 4, 3, 2, 4)
    assert video_mask(shape, None) is None
    assert audio_mask((2, 5, 3), None) is None
    mask = video_mask(shape, torch.tensor([[3, 2, 4], [2, 1, 3]]))
    assert mask is not None
    assert mask.shape == (2, 1, 3, 2, 4)
    assert mask[0].all()
    assert mask[1].sum() == 2 * 1 * 3
    assert mask[1, 0, :2, :1, :3].all()
    sound = audio_mask((2, 5, 3), torch.tensor([5, 2]))
    assert sound is not None
    assert sound[..., 0].sum(dim=1).tolist() == [5, 2]


def test_mask_of_the_first_frame_with_and_without_padding():
    alone = video_mask((2, 4, 3, 2, 4), None, without_first_frame=True)
    assert alone is not None
    assert alone.flatten(2).sum() == 2 * 2 * 4
    both = video_mask((2, 4, 3, 2, 4), torch.tensor([[3, 2, 4], [1, 2, 4]]), without_first_frame=True)
    assert both is not None
    assert both.flatten(1).sum(dim=1).tolist() == [2 * 2 * 4, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("loss_mode", "released"), ("train_shift", 0.0), ("num_train_timesteps", 1), ("audio_loss_weight", -0.1)],
)
def test_settings_that_no_run_could_use_are_refused(name, value):
    DiffusionConfig().check()
    with pytest.raises(InputError, match=f"diffusion.{name}"):
        DiffusionConfig(**{name: value}).check()
