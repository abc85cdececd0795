import pytest
import torch

from nava.data.shards import LatentShards
from nava.evaluation.losses import loss_values
from nava.model.backbone import NavaTransformer
from nava.training.stage import load_averaged_model
from nava.training.validation import clip_losses
from tests.evaluation.tiny_corpus import MODEL, write_tiny_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_tiny_corpus(tmp_path_factory.mktemp("corpus"), heldout_flash=4, train_flash=3)


@pytest.fixture(scope="module")
def shards(corpus):
    return LatentShards(corpus.shards)


@pytest.fixture(scope="module")
def trained(corpus):
    return load_averaged_model(corpus.checkpoint)


def measured(trained, shards, ids, related=(), sigmas=(0.3, 0.7)):
    untrained = NavaTransformer(MODEL, seed=0).eval()
    return loss_values(trained, untrained, shards, ids, related, sigmas=sigmas, sync_sigma=0.5)


def test_losses_are_the_means_over_the_noise_levels(trained, shards):
    ids = shards.ids("heldout", "av")
    values = measured(trained, shards, ids)
    low, high = (clip_losses(trained, shards, ids, sigma=sigma) for sigma in (0.3, 0.7))
    expected = (low.audio.double() + high.audio.double()) / 2
    torch.testing.assert_close(torch.tensor(list(values.trained["audio"].values()), dtype=torch.float64), expected)
    assert list(values.trained["video"]) == ids


def test_an_untrained_model_predicts_nothing_so_its_loss_is_the_power_of_the_velocity(trained, shards):
    values = measured(trained, shards, shards.ids("heldout", "av"))
    latents = shards.read(shards.ids("heldout", "av")).video_BCTHW
    power = 1 + float(latents.square().mean())  # independent noise of unit variance minus data
    assert sum(values.untrained["video"].values()) / 4 == pytest.approx(power, rel=0.1)


def test_a_clip_has_the_same_loss_whatever_else_is_measured(trained, shards):
    ids = shards.ids("heldout", "av")
    alone, together = (measured(trained, shards, some).trained["video"][ids[1]] for some in (ids[1:2], ids))
    assert alone == pytest.approx(together, rel=1e-5)


def test_exchanged_sounds_are_those_of_the_related_clips(trained, shards):
    ids = shards.ids("heldout", "av")
    values = measured(trained, shards, ids, ids[:3]).other_sound_minus_own
    own = clip_losses(trained, shards, ids[:3], sigma=0.5).video
    other = clip_losses(trained, shards, ids[:3], sigma=0.5, sound_of=[ids[1], ids[2], ids[0]]).video
    torch.testing.assert_close(torch.tensor(list(values.values())), other - own)
    assert list(values) == ids[:3]


def test_without_clips_there_are_no_losses(trained, shards):
    values = measured(trained, shards, [])
    assert values.trained == values.untrained == {"video": {}, "audio": {}}
    assert values.other_sound_minus_own == {}
    assert measured(trained, shards, [], shards.ids("heldout", "av")[:1]).other_sound_minus_own == {}
