"""The network of AudioBox-Aesthetics (arXiv 2502.05139): WavLM base plus, and a head for each of four axes.

Section 1.5 of the evaluation reference; structure and tensor names are those of `facebook/audiobox-aesthetics`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import WavLMConfig, WavLMModel

from nava.evaluation.backends import wavlm

AXES = ("CE", "CU", "PC", "PQ")
HIDDEN_LAYERS = 4
_WAVLM, _HEADS = "wavlm.", "heads."


class AestheticsNetwork(nn.Module):
    """A window of sound to a number per axis, which the axis' mean and deviation turn into a score.

    Args:
        config: of WavLM.
    """

    def __init__(self, config: WavLMConfig) -> None:
        super().__init__()
        self.wavlm = WavLMModel(config)
        layers = config.num_hidden_layers + 1
        self.layer_weights = nn.ParameterDict({axis: nn.Parameter(torch.zeros(layers)) for axis in AXES})
        self.heads = nn.ModuleDict({axis: _head(config.hidden_size) for axis in AXES})

    def forward(self, window_N: Tensor, sound_samples: int) -> Tensor:
        """Values per axis [4].

        Args:
            window_N: 16 kHz samples [N], as they are: no normalisation.
            sound_samples: how many of them are sound; behind them is padding.
        """
        frames = self._frames(len(window_N))
        samples_per_frame = len(window_N) // frames
        heard = min(frames, -(-sound_samples // samples_per_frame))
        states_LTD = wavlm.hidden_states(self.wavlm, window_N[None], heard)
        return torch.cat([self._axis(axis, states_LTD) for axis in AXES])

    def _axis(self, axis: str, states_LTD: Tensor) -> Tensor:
        weights_L = torch.softmax(self.layer_weights[axis], dim=0)
        mean_D = torch.einsum("l,ltd->td", weights_L, states_LTD).mean(dim=0)
        value_1: Tensor = self.heads[axis](nn.functional.normalize(mean_D, dim=0))
        return value_1

    def _frames(self, samples: int) -> int:
        config = self.wavlm.config
        for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
            samples = (samples - kernel) // stride + 1
        return samples

    def published_name(self, name: str) -> str:
        """What the published files call a tensor of this network."""
        if name.startswith(_WAVLM):
            return f"wavlm_model.{wavlm.published_name(name.removeprefix(_WAVLM), self.wavlm.config)}"
        return name.replace(_HEADS, "proj_layer.", 1) if name.startswith(_HEADS) else name


def _head(width: int) -> nn.Sequential:
    """Four layers with norm and GELU, then one value."""
    layers: list[nn.Module] = []
    for _ in range(HIDDEN_LAYERS):
        layers += [nn.Linear(width, width), nn.LayerNorm(width), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(width, 1))
