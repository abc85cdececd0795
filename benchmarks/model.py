"""Claim: the transformer costs little more than its matrix products and attention calls, and a sampling run less than
the release's order of work. What is measured and what came out is in `model.md`.

Every figure is a ratio of two things timed in turn in the same run. Writes `benchmarks/results/model.json`.
Command: `python benchmarks/model.py`; `--quick` makes few repeats and short runs, and writes nothing.
"""

import argparse
import functools
import gc
import json
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, linear, scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine  # noqa: E402
from nava.config.generation import GenerationConfig, GuidanceScales  # noqa: E402
from nava.config.model import ModelConfig, release_config  # noqa: E402
from nava.diffusion.guidance import FactorizedGuider, Pass  # noqa: E402
from nava.generation.passes import Latents, PassRunner, VelocityModel, conditions_of_passes  # noqa: E402
from nava.generation.sampler import sample_latents  # noqa: E402
from nava.model.attention import Attention  # noqa: E402
from nava.model.backbone import NavaTransformer  # noqa: E402
from nava.model.blocks import HierarchicalAlignmentLayer  # noqa: E402
from nava.model.compilation import compile_model  # noqa: E402
from nava.model.embedding import unpatchify  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "model.json"
CONFIG = ModelConfig(
    dim=512,
    ffn_dim=2048,
    num_heads=8,
    num_hal_layers=2,
    num_ufl_layers=4,
    audio_channels=128,
    text_len=128,
    text_dim=512,
    audio_stem_hidden=None,
    zero_init_heads=False,
    temporal_bias=0.0,
)
VIDEO, AUDIO = (48, 10, 24, 24), (25, 128)
# 704 x 1280 pixels, 37 latent frames, 6 seconds of sound.
LARGE_VIDEO, LARGE_AUDIO = (48, 37, 44, 80), (152, 128)


@dataclass(frozen=True)
class Inputs:
    """What one forward pass is given."""

    video: Tensor
    audio: Tensor
    timestep: Tensor
    text: Tensor

    @property
    def arguments(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """In the model's order."""
        return self.video, self.audio, self.timestep, self.text


def make_inputs(config: ModelConfig, video: Sequence[int], audio: Sequence[int], device: str = "cpu") -> Inputs:
    """One sample of random latents and text."""
    generator = torch.Generator(device).manual_seed(0)
    shapes = ((1, *video), (1, *audio), (1, config.text_len, config.text_dim))
    latents = [torch.randn(shape, generator=generator, device=device) for shape in shapes]
    return Inputs(latents[0], latents[1], torch.tensor([500.0], device=device), latents[2])


class Skeleton:
    """The matrix products, convolutions and attention calls of a forward pass, with the model's own weights, on inputs
    of their shapes that lie ready. Nothing between them: no norm, no modulation, no position, no activation."""

    def __init__(self, model: NavaTransformer, inputs: Inputs, *, with_text: bool, grad: bool = False) -> None:
        self.calls: list[Callable[[], Tensor]] = []
        self._inputs: dict[tuple[int, ...], Tensor] = {}
        self._leaves: list[Tensor] = []
        self._grad = grad
        config, dim = model.config, model.config.dim
        tokens = {"video": inputs.video[0, 0].numel() // 4, "audio": inputs.audio.shape[1]}
        joint, rows = sum(tokens.values()), config.text_len
        weight = model.patch_embedding.weight.flatten(1)
        self._linear(weight, model.patch_embedding.bias, tokens["video"])
        stem = model.patch_embedding_audio
        for name in ("0", "2.w1", "2.w3", "2.w2"):
            self._convolution(stem.get_submodule(name), tokens["audio"])
        for module in (model.time_embedding[0], model.time_embedding[2], model.time_projection[1]):
            self._module(module, 1)
        if with_text:
            self._module(model.text_embedding[0], rows)
            self._module(model.text_embedding[2], rows)
        for block in (*model.double_blocks, *model.single_blocks):
            streams = {"": joint}
            if isinstance(block, HierarchicalAlignmentLayer):
                streams = {"": tokens["video"], "_audio": tokens["audio"]}
            for suffix, length in streams.items():
                self._projections(block.self_attn, suffix, "qkvo", length)
                self._projections(block.cross_attn, suffix, "qo", length)
                if with_text:
                    self._projections(block.cross_attn, suffix, "kv", rows)
                self._attention(config.num_heads, dim, length, rows)
                self._module(block.ffn[0], length)
                self._module(block.ffn[2], length)
            self._attention(config.num_heads, dim, joint, joint)
        self._module(model.head.head, tokens["video"])
        self._module(model.head_audio.head, tokens["audio"])
        self._output_grads = [torch.ones_like(call()) for call in self.calls] if grad else []

    def __call__(self) -> None:
        """Make every call once; with gradients, backwards too."""
        if self._grad:
            for x in self._leaves:
                x.grad = None
            torch.autograd.backward([call() for call in self.calls], self._output_grads)
            return
        # Results are dropped at once, so that their memory is used again, as in the model.
        for call in self.calls:
            call()

    def _input(self, *shape: int) -> Tensor:
        """A ready input: one for all calls of a shape, which then find it in the cache as in the model."""
        if self._grad:
            self._leaves.append(torch.randn(shape, requires_grad=True))
            return self._leaves[-1]
        return self._inputs.setdefault(shape, torch.randn(shape))

    def _linear(self, weight: Tensor, bias: Tensor | None, rows: int) -> None:
        x = self._input(1, rows, weight.shape[1])
        self.calls.append(lambda: linear(x, weight, bias))

    def _module(self, module: nn.Module, rows: int) -> None:
        assert isinstance(module, nn.Linear)
        self._linear(module.weight, module.bias, rows)

    def _projections(self, attention: Attention, suffix: str, names: str, rows: int) -> None:
        for name in names:
            self._module(attention.get_submodule(name + suffix), rows)

    def _convolution(self, module: nn.Module, length: int) -> None:
        assert isinstance(module, nn.Conv1d)
        x = self._input(1, module.in_channels, length)
        self.calls.append(lambda: conv1d(x, module.weight, module.bias, padding="same"))

    def _attention(self, heads: int, dim: int, queries: int, keys: int) -> None:
        q, k, v = (self._input(1, n, heads, dim // heads).transpose(1, 2) for n in (queries, keys, keys))
        self.calls.append(lambda: scaled_dot_product_attention(q, k, v))


def released_settings(steps: int) -> GenerationConfig:
    """The release's shift and guidance: three passes per step."""
    video, audio = GuidanceScales(3.0, 3.0), GuidanceScales(2.0, 2.0)
    return GenerationConfig(steps=steps, shift=5.0, video=video, audio=audio)


class ReleaseOrder:
    """The same weights and kernels in the release's order of work: every pass is a call of its own, which computes text
    and cross-attention keys and values anew, and embeds the time of every token."""

    def __init__(self, model: NavaTransformer) -> None:
        self._model = model
        self.calls = 0

    def __call__(
        self,
        video_BCTHW: Tensor | None,
        audio_BLC: Tensor | None,
        timestep_B: Tensor,
        text_BND: Tensor,
        *,
        mask_modality: bool | Sequence[bool] = False,
        **_: Any,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Velocities of both modalities."""
        assert video_BCTHW is not None
        assert audio_BLC is not None
        model = self._model
        self.calls += 1
        tokens: dict[Any, Tensor] = {}
        tokens["video"], grid = model._video_tokens(video_BCTHW)
        tokens["audio"] = model.patch_embedding_audio(audio_BLC)
        sizes = [x.shape[1] for x in tokens.values()]
        times = {m: model._time(timestep_B.repeat(x.shape[1]), False) for m, x in tokens.items()}
        e = {m: time.head.transpose(0, 1) for m, time in times.items()}
        e0: dict[Any, Tensor] = {m: time.blocks.transpose(0, 1) for m, time in times.items()}
        rows_BND = model._context_rows(text_BND, None, None)
        layout = model._layout(tokens, {}, grid, mask_modality, times["video"])
        for block in model.double_blocks:
            tokens = block(tokens, e0, rows_BND, layout)
        joint_BLD, joint_e0 = torch.cat(list(tokens.values()), dim=1), torch.cat(list(e0.values()), dim=1)
        for block in model.single_blocks:
            joint_BLD = block(joint_BLD, joint_e0, rows_BND, layout)
        video_BLD, audio_BLD = joint_BLD.split(sizes, dim=1)
        patches = model.head(video_BLD, e["video"])
        return unpatchify(patches, grid, model.patch), model.head_audio(audio_BLD, e["audio"])


def interleaved(first: Callable[[], Any], second: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Both in turn, after one run of each to warm up: median seconds, and the median ratio of first to second.

    The ratio is given on the clock and in processor time, which others on the machine disturb less (with one thread;
    idle threads that wait in a loop count too).
    """
    clock: tuple[list[float], list[float]] = ([], [])
    processor: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for i, call in enumerate((first, second)):
            started = time.perf_counter(), time.process_time()
            call()
            if repeat:
                clock[i].append(time.perf_counter() - started[0])
                processor[i].append(time.process_time() - started[1])
    ratios = sorted(one / other for one, other in zip(*clock))
    return {
        "first_s": round(statistics.median(clock[0]), 4),
        "second_s": round(statistics.median(clock[1]), 4),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_min": round(ratios[0], 3),
        "ratio_max": round(ratios[-1], 3),
        "processor_time_ratio": round(statistics.median(one / other for one, other in zip(*processor)), 3),
        "repeats": repeats,
    }


def forward_ratios(model: NavaTransformer, inputs: Inputs, repeats: int) -> dict[str, Any]:
    """Forward time over that of the bare products, as the sampler calls the model and as training does."""
    with torch.no_grad():
        prepared = model.prepare(inputs.text)
        as_sampler = {"text_BND": prepared}
        latents = inputs.arguments[:3]
        bare, bare_with_text = (Skeleton(model, inputs, with_text=with_text) for with_text in (False, True))
        return {
            "prepared_context": interleaved(lambda: model(*latents, **as_sampler), bare, repeats),
            "with_text": interleaved(lambda: model(*inputs.arguments), bare_with_text, repeats),
            "prepared_clean_first_frame": interleaved(
                lambda: model(*latents, **as_sampler, first_frame_clean=True), bare, repeats
            ),
            "release_order": interleaved(
                lambda: ReleaseOrder(model)(*inputs.arguments, mask_modality=False), bare_with_text, repeats
            ),
        }


def training_ratio(model: NavaTransformer, inputs: Inputs, repeats: int) -> dict[str, float]:
    """Forward and backward over the same of the bare products."""
    bare = Skeleton(model, inputs, with_text=True, grad=True)
    output_grads = [torch.ones_like(x) for x in (inputs.video, inputs.audio)]

    def train() -> None:
        model.zero_grad(set_to_none=True)
        torch.autograd.backward(model(*inputs.arguments), output_grads)

    def products() -> None:
        model.zero_grad(set_to_none=True)
        bare()

    measured = interleaved(train, products, repeats)
    model.zero_grad(set_to_none=True)
    return measured


@torch.no_grad()
def operations_per_pass(model: NavaTransformer, inputs: Inputs) -> dict[str, float]:
    """Floating-point operations of the products in one pass, by count: ours, and in the release's order of work."""
    counts = {}
    prepared = model.prepare(inputs.text)
    for name, call in {
        "ours": lambda: model(*inputs.arguments[:3], prepared),
        "release_order": lambda: ReleaseOrder(model)(*inputs.arguments, mask_modality=False),
    }.items():
        with FlopCounterMode(display=False) as counter:
            call()
        counts[f"{name}_gflop"] = round(counter.get_total_flops() / 1e9, 2)
    return counts


@torch.no_grad()
def cross_attention_share(model: NavaTransformer, inputs: Inputs, repeats: int) -> dict[str, float]:
    """Time of all attention from tokens to context rows over that of the forward pass."""
    prepared, heads = model.prepare(inputs.text), model.config.num_heads
    queries = inputs.video[0, 0].numel() // 4 + inputs.audio.shape[1]
    q = torch.randn(1, queries, heads, model.config.head_dim).transpose(1, 2)
    k = torch.randn(1, model.config.text_len, heads, model.config.head_dim).transpose(1, 2)
    blocks = model.config.num_hal_layers + model.config.num_ufl_layers

    def attend() -> None:
        for _ in range(blocks):
            scaled_dot_product_attention(q, k, k)

    return interleaved(attend, lambda: model(*inputs.arguments[:3], prepared), repeats)


@torch.no_grad()
def batched_passes(model: NavaTransformer, repeats: int) -> list[dict[str, Any]]:
    """Time of the three passes of a step in one call over that in three, for several sizes."""
    measured = []
    for grid in ((2, 8, 8), (5, 12, 12), (10, 12, 12), (10, 24, 24)):
        inputs = make_inputs(model.config, (VIDEO[0], *grid), AUDIO)
        conditions = conditions_of_passes(inputs.text, None, None, mode="corrected")
        del conditions[Pass.NO_TIMBRE]
        runners = [PassRunner(model, conditions, 1, together=together) for together in (True, False)]
        step = (Latents(inputs.video, inputs.audio), inputs.timestep[0])
        calls = [functools.partial(runner, *step) for runner in runners]
        positions = grid[0] * grid[1] * grid[2] + AUDIO[0]
        measured.append({"latent_positions": positions} | interleaved(calls[0], calls[1], repeats))
    return measured


def sampling_run(model: NavaTransformer, inputs: Inputs, steps: int) -> dict[str, Any]:
    """One whole run of three passes per step: ours, and the release's order of work with the same kernels.

    The two runs take turns, step by step, so that both see the machine in the same state.
    """
    release_order = ReleaseOrder(model)
    models: tuple[VelocityModel, VelocityModel] = (model, release_order)
    calls: list[int] = []
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    turns = (threading.Semaphore(1), threading.Semaphore(0))
    seconds: list[list[float]] = [[], []]

    def sample(who: int) -> tuple[Tensor | None, Tensor | None]:
        turns[who].acquire()
        started = [time.perf_counter()]

        def stepped(done: int, total: int) -> None:
            seconds[who].append(time.perf_counter() - started[0])
            turns[1 - who].release()
            if done < total:
                turns[who].acquire()
            started[0] = time.perf_counter()

        return sample_latents(models[who], inputs.text, VIDEO, AUDIO, released_settings(steps), [0], on_step=stepped)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(sample, (0, 1)))
    hook.remove()
    return {
        "steps": steps,
        "ours_s": round(sum(seconds[0]), 2),
        "release_order_s": round(sum(seconds[1]), 2),
        "ratio": round(sum(seconds[0]) / sum(seconds[1]), 3),
        "median_ratio_of_steps": round(statistics.median(a / b for a, b in zip(*seconds)), 3),
        "model_calls_ours": len(calls),
        "model_calls_release_order": release_order.calls,
        "largest_relative_difference_of_the_results": max(_relative_difference(a, b) for a, b in zip(*results)),
    }


def _relative_difference(a: Tensor | None, b: Tensor | None) -> float:
    assert a is not None
    assert b is not None
    return float((a - b).abs().max() / b.abs().max())


def passes_per_step() -> dict[str, int]:
    """Passes that guidance asks for, by setting, with picture and sound."""
    scales = {
        "no guidance": (0.0, 0.0, 0.0),
        "text": (3.0, 0.0, 0.0),
        "text, alignment": (3.0, 3.0, 0.0),
        "text, alignment, timbre": (3.0, 3.0, 3.0),
    }
    return {name: len(FactorizedGuider(*values).passes) for name, values in scales.items()}


def large_model_step(
    config: ModelConfig,
    video: Sequence[int],
    audio: Sequence[int],
    *,
    device: str,
    compiled: bool,
    repeats: int,
) -> dict[str, Any]:
    """Seconds of a three-pass step and peak memory, with random bf16 weights made on the device."""
    with torch.device("meta"):
        model = NavaTransformer(config)
    model = model.to(torch.bfloat16).to_empty(device=device).requires_grad_(False).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.02)
    if compiled:
        compile_model(model)
    inputs = make_inputs(config, video, audio, device)
    on_gpu = device.startswith("cuda")
    seconds: list[float] = []
    finished = [0.0]

    def told(done: int, total: int) -> None:
        if on_gpu:
            torch.cuda.synchronize()
        now = time.perf_counter()
        # The first step compiles and warms up.
        if done > 1:
            seconds.append(now - finished[0])
        finished[0] = now

    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    settings = released_settings(repeats + 1)
    sample_latents(model, inputs.text, tuple(video), tuple(audio), settings, [0], on_step=told)  # type: ignore[arg-type]
    peak = torch.cuda.max_memory_allocated() if on_gpu else 0
    return {
        "compiled": compiled,
        "seconds_per_three_pass_step": round(statistics.median(seconds), 3),
        "peak_memory_gb": round(peak / 1e9, 2),
    }


def gpu_figures(repeats: int) -> list[dict[str, Any]] | str:
    """The released sizes at 704 x 1280, 37 latent frames, where a GPU is."""
    if not torch.cuda.is_available():
        return "not measured: no GPU here"
    measured = []
    for compiled in (False, True):
        measured.append(
            large_model_step(
                release_config(), LARGE_VIDEO, LARGE_AUDIO, device="cuda", compiled=compiled, repeats=repeats
            )
        )
        gc.collect()
        torch.cuda.empty_cache()
    return measured


def surroundings() -> dict[str, Any]:
    """The machine, with what decides the speed of torch."""
    return {
        **machine(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "torch": torch.__version__,
    }


def by_threads(measurement: Callable[[], Any]) -> dict[str, Any]:
    """A measurement with one thread, which others on the machine disturb little, and with one for each core."""
    usual, results = torch.get_num_threads(), {}
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        results[f"{threads}_threads"] = measurement()
    torch.set_num_threads(usual)
    return results


def measure(quick: bool) -> dict[str, Any]:
    """Every figure of `model.md`."""
    repeats, steps = (2, 2) if quick else (7, 50)
    where = surroundings()
    model = NavaTransformer(CONFIG).eval()
    inputs = make_inputs(CONFIG, VIDEO, AUDIO)
    nn.init.normal_(model.head.head.weight, std=0.02, generator=torch.Generator().manual_seed(0))
    return {
        "command": "python benchmarks/model.py" + (" --quick" if quick else ""),
        "machine": where,
        "forward_over_bare_products": by_threads(functools.partial(forward_ratios, model, inputs, repeats)),
        "forward_and_backward_over_bare_products": by_threads(
            functools.partial(training_ratio, model, inputs, repeats)
        ),
        "operations_per_pass": operations_per_pass(model, inputs),
        "cross_attention_over_forward": cross_attention_share(model, inputs, repeats),
        "one_call_over_three": batched_passes(model, repeats),
        "passes_per_step": passes_per_step(),
        "sampling_run": sampling_run(model, inputs, steps),
        "gpu": gpu_figures(repeats=3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repeats, short runs, no result file")
    quick = parser.parse_args().quick
    value = json.dumps(measure(quick), indent=2)
    if not quick:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(value + "\n")
    print(value)


if __name__ == "__main__":
    main()
