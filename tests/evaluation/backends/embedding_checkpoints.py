"""Small networks of sound embeddings with random weights, in files of the published layouts."""

import numpy as np
import torch

from nava.evaluation.backends.panns import CHECKPOINT as PANNS
from nava.evaluation.backends.panns import Cnn14, Cnn14Size, PannsCnn14
from nava.evaluation.backends.passt_embedding import PasstEmbedding
from nava.evaluation.backends.passt_network import PasstNetwork
from nava.evaluation.backends.vggish import CHECKPOINT as VGGISH
from nava.evaluation.backends.vggish import Vggish, VggishNetwork, VggishSize
from nava.evaluation.extraction.slaney_mel import slaney_triangles
from nava.runtime.hashing import sha256_path
from tests.evaluation.backends.sound_checkpoints import PASST_SIZE

CNN14_SIZE = Cnn14Size(channels=(4, 4, 6, 6, 8, 8), classes=5)
VGGISH_SIZE = VggishSize(channels=(2, 3, 4, 4, 5, 5), inner=8, width=4)


class SmallPanns(PannsCnn14):
    @staticmethod
    def build():
        return Cnn14(CNN14_SIZE)


class SmallVggish(Vggish):
    @staticmethod
    def build():
        return VggishNetwork(VGGISH_SIZE)


class SmallPasstEmbedding(PasstEmbedding):
    @staticmethod
    def build():
        return PasstNetwork(PASST_SIZE)


def drawn(network, seed=0):
    """Random tensors; variances are positive, and counts are counts."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, tensor in network.state_dict().items():
        value = torch.randn(tensor.shape, generator=generator)
        if not tensor.is_floating_point():
            value = torch.tensor(1000)
        elif name.endswith("running_var"):
            value = value.abs() + 0.5
        elif tensor.ndim > 1:
            value = 1.4 * value / tensor[0].numel() ** 0.5
        elif name.startswith("bn") or ".bn" in name:
            value = 0.3 * value + name.endswith("weight")
        tensors[name] = value
    return tensors


def panns_tensors(seed=0):
    """With the Fourier transform, windowed, and the mel filters that the published file holds."""
    tensors = drawn(SmallPanns.build(), seed)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(512)) / 512) * window
    for part, values in (("real", waves.real), ("imag", waves.imag)):
        tensors[f"spectrogram_extractor.stft.conv_{part}.weight"] = torch.from_numpy(values[:, None]).float()
    tensors["logmel_extractor.melW"] = torch.from_numpy(slaney_triangles(16_000, 512, 64, 50, 8000).T.copy()).float()
    # Decibels, which the first norm brings to about 1.
    tensors["bn0.running_mean"], tensors["bn0.running_var"] = torch.full((64,), -30.0), torch.full((64,), 100.0)
    return tensors


def settings_of(folder):
    return {"weights": str(folder), "sha256": sha256_path(folder), "device": "cpu"}


def write_panns(folder, change=None, sampler=True):
    """`Cnn14_16k_mAP=0.438.pth`, in which the state of a sampler lies besides."""
    tensors = panns_tensors()
    if change:
        change(tensors)
    value = {"iteration": 1000, "model": tensors}
    if sampler:
        value["sampler"] = {"indexes": np.arange(5), "pointer": np.int64(3), "weights": np.ones(2)}
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(value, folder / PANNS.file)
    return settings_of(folder)


def write_vggish(folder):
    """`vggish-10086976.pth`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(drawn(SmallVggish.build()), folder / VGGISH.file)
    return settings_of(folder)
