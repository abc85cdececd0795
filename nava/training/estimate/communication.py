"""What a GPU sends in an optimizer step, and how long that takes at the bandwidth of the slowest link."""

from __future__ import annotations

from dataclasses import dataclass

from nava.training.estimate.parameters import Parameters
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import MicroBatchShape

_GB = 1e9


@dataclass(frozen=True)
class Traffic:
    """Bytes that pass each GPU in an optimizer step.

    Attributes:
        gradients: sums of gradients.
        weights: gathered weights.
        tokens: exchanged by the processes that share a micro-batch.
        hidden_s: time of what runs beside computation.
        exposed_s: time of what computation waits for.
    """

    gradients: float
    weights: float
    tokens: float
    hidden_s: float
    exposed_s: float


def traffic_of(settings: RunSettings, parameters: Parameters, exchanged: float) -> Traffic:
    """Traffic of a step in which each process exchanges `exchanged` bytes of tokens per micro-batch.

    ZeRO 0 sums gradients and leaves the sum everywhere, which is two passes over them; ZeRO 1 leaves each process its
    part and gathers the new weights: both once a step, and waited for. ZeRO 2 sums in every
    micro-batch, beside the backward pass. ZeRO 3 does so too, and gathers the weights before the forward and before
    the backward pass of every micro-batch, beside the computation of the layer before.
    """
    gpus, stage, size = settings.cluster.gpus, settings.training.zero_stage, settings.value_bytes
    around = (gpus - 1) / gpus
    gradients, weights = parameters.trained * size * around, parameters.total * size * around
    updated = parameters.trained * size * around
    each = settings.accumulation
    sent = {
        0: (2 * gradients, 0.0),
        1: (gradients, updated),
        2: (each * gradients, updated),
        3: (each * gradients, 2 * each * weights),
    }[stage]
    tokens = exchanged * each
    bandwidth = _bandwidth(settings, gpus)
    gradients_s, weights_s = (volume / bandwidth for volume in sent)
    hidden_s = {0: 0.0, 1: 0.0, 2: gradients_s, 3: gradients_s + weights_s}[stage]
    waited_s = gradients_s + weights_s - hidden_s
    exchange_s = tokens / _bandwidth(settings, settings.training.sequence_parallel)
    return Traffic(*sent, tokens, hidden_s, waited_s + exchange_s)


def _bandwidth(settings: RunSettings, processes: int) -> float:
    """Bytes per second at which a ring over so many neighbouring processes passes a whole tensor on."""
    cluster = settings.cluster
    inside = cluster.intra_node_gb_s * _GB
    return inside if processes <= cluster.gpus_per_node else min(inside, cluster.node_interconnect_gb_s * _GB)


def exchanged_bytes(settings: RunSettings, batch: MicroBatchShape) -> float:
    """What each process of a group sends of a micro-batch that the group shares.

    Queries, keys, values and results of every block: forward, backward, and again if blocks are computed twice.
    """
    training, model = settings.training, settings.model
    shared = training.sequence_parallel
    blocks = model.num_hal_layers + model.num_ufl_layers + model.num_final_hal_layers
    passes = 3 if training.activation_checkpointing else 2
    own = batch.clips * batch.tokens.total / shared * model.dim * settings.value_bytes
    return passes * blocks * 4 * own * (shared - 1) / shared
