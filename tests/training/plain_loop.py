"""Training as one would write it down: one process, no engine, nothing sharded. What all else is compared with."""

from itertools import islice

import torch
from torch import nn

from nava.data.loader.loader import LatentLoader
from nava.data.loader.sampler import MicroBatchSampler
from nava.model.architecture import build_model
from nava.training.adapters import add_adapters
from nava.training.micro_batches import MicroBatches
from nava.training.objective import Objective
from nava.training.schedule import ema_decay, learning_rate
from nava.training.stage import StageJob
from nava.training.start import start_weights


def plain_losses(job: StageJob) -> tuple[list[float], list[float], dict[str, torch.Tensor]]:
    """Losses and gradient norms of a stage's steps from a new model, and the averages of what it trains, at its end."""
    config, per_step = job.training, job.training.micro_batches_per_step
    settings = config.stages()[job.stage - 1]
    model = build_model(job.model, seed=job.seed)
    if job.init:
        start_weights(job.init, model, job.model)
    if config.lora.rank:
        add_adapters(model, config.lora, job.seed)
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    average = {name: value.detach().clone() for name, value in trained.items()}
    optimizer = torch.optim.AdamW(
        trained.values(), betas=(config.beta1, config.beta2), weight_decay=config.weight_decay
    )
    sampler = MicroBatchSampler(job.shards, config, job.loader, job.stage, job.seed, job.model)
    batches = iter(MicroBatches(LatentLoader(job.shards, sampler, per_step=per_step), settings, job.stage, job.seed))
    objective = Objective(job.diffusion)
    losses, norms = [], []
    for step in range(settings.steps):
        optimizer.param_groups[0]["lr"] = learning_rate(config, job.stage, step)
        optimizer.zero_grad(set_to_none=False)
        seen = []
        for batch in islice(batches, per_step):
            loss = objective(model, batch).total
            (loss / per_step).backward()
            seen.append(loss.item())
        for parameter in trained.values():
            # Without a gradient AdamW would leave a parameter and its moments alone.
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        norms.append(float(nn.utils.clip_grad_norm_(trained.values(), config.gradient_clip)))
        optimizer.step()
        decay = ema_decay(config, job.stage, step)
        with torch.no_grad():
            for name, value in trained.items():
                average[name].mul_(decay).add_(value, alpha=1 - decay)
        losses.append(sum(seen) / per_step)
    return losses, norms, average
