"""Sound at another sample rate: a sinc filter in a Hann window, the one by which the release resamples.

The filter has six zero crossings on each side and passes 99 % of the band. It runs as one strided convolution with a
kernel per output phase.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

ZERO_CROSSINGS = 6
PASS_BAND = 0.99
# Rates without a common divisor need a kernel of their product's size; above this one it is worth no one's memory.
MAX_KERNEL_VALUES = 20_000_000


def resample(samples: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Samples [..., N] at ``from_hz`` to samples [..., ceil(N * to_hz / from_hz)] at ``to_hz``.

    Raises:
        ValueError: the two rates have no usable common divisor; see ``is_convertible``.
    """
    if from_hz == to_hz:
        return samples
    if not is_convertible(from_hz, to_hz):
        raise ValueError(f"{from_hz} Hz and {to_hz} Hz have no usable common divisor")
    step, phases = _reduced(from_hz, to_hz)
    kernel_PK = _kernels(step, phases).to(device=samples.device, dtype=samples.dtype)
    reach = (kernel_PK.shape[1] - step) // 2
    flat_R1N = samples.reshape(-1, 1, samples.shape[-1])
    padded_R1N = torch.nn.functional.pad(flat_R1N, (reach, reach + step))
    output_RPM = torch.nn.functional.conv1d(padded_R1N, kernel_PK[:, None], stride=step)
    length = -(-phases * samples.shape[-1] // step)
    return output_RPM.transpose(1, 2).flatten(1)[:, :length].reshape(*samples.shape[:-1], length)


def is_convertible(from_hz: int, to_hz: int) -> bool:
    """Whether the kernels for these rates are of a usable size, as they are for all usual rates."""
    step, phases = _reduced(from_hz, to_hz)
    return phases * (step + 2 * _reach(step, phases)) <= MAX_KERNEL_VALUES


def _reduced(from_hz: int, to_hz: int) -> tuple[int, int]:
    divisor = math.gcd(from_hz, to_hz)
    return from_hz // divisor, to_hz // divisor


def _reach(step: int, phases: int) -> int:
    """Samples on each side of an output that its filter sees."""
    return math.ceil(ZERO_CROSSINGS * step / (min(step, phases) * PASS_BAND))


@lru_cache(maxsize=8)
def _kernels(step: int, phases: int) -> Tensor:
    """[phases, step + 2 reach]: row p gives the output that lies p / phases of a step after the input it starts at."""
    # Frequencies are in units where the input has rate `step` and the output rate `phases`.
    cutoff = min(step, phases) * PASS_BAND
    reach = _reach(step, phases)
    input_K = torch.arange(-reach, reach + step, dtype=torch.float64) / step
    output_P1 = torch.arange(phases, dtype=torch.float64)[:, None] / phases
    crossings_PK = ((input_K - output_P1) * cutoff).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    window_PK = torch.cos(crossings_PK * math.pi / ZERO_CROSSINGS / 2) ** 2
    return (torch.sinc(crossings_PK) * window_PK * cutoff / step).float()
