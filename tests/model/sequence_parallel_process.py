"""Groups of processes that share the passes of a small model; each process writes what it computed.

python -m tests.model.sequence_parallel_process FOLDER SIZE...
"""

import multiprocessing
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor

from nava.config.model import ModelConfig
from nava.model.backbone import NavaTransformer
from nava.model.compilation import compile_model
from nava.model.sequence_parallel import SequenceParallel

SETTINGS = {"dim": 48, "ffn_dim": 32, "num_heads": 6, "num_hal_layers": 1, "num_ufl_layers": 1}
SETTINGS |= {"num_final_hal_layers": 1, "text_len": 6, "text_dim": 7, "freq_dim": 16, "video_channels": 3}
SETTINGS |= {"audio_channels": 5, "audio_stem_hidden": 16, "speaker_dim": 10, "zero_init_heads": False}
# An all-to-all before and one after each self-attention.
EXCHANGES = 2 * 3
# The group that also runs a compiled model: compiling takes seconds.
COMPILED_SIZE = 2


def small_model(**changes: Any) -> NavaTransformer:
    model = NavaTransformer(ModelConfig(**(SETTINGS | changes)), seed=5)
    with torch.no_grad():
        model.head.head.weight.normal_(std=0.2, generator=torch.Generator().manual_seed(6))
    return model


def inputs(batch: int = 2, frames: int = 3, height: int = 4, width: int = 4, length: int = 9) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "video_BCTHW": torch.randn(batch, 3, frames, height, width, generator=generator),
        "audio_BLC": torch.randn(batch, length, 5, generator=generator),
        "timestep_B": torch.rand(batch, generator=generator) * 1000,
        "text_BND": torch.randn(batch, 6, 7, generator=generator),
    }


def cases() -> dict[str, dict[str, Any]]:
    """Arguments of forward by name: every kind of mask and condition, and lengths that no group divides."""
    padded = {"video_size_B3": torch.tensor([[2, 4, 3], [3, 2, 4]]), "audio_length_B": torch.tensor([9, 4])}
    timbre = {"speaker_SE": torch.linspace(-1, 1, 20).view(2, 10), "speaker_slot_S": torch.tensor([2, 7])}
    return {
        "joint": inputs(),
        "divided_evenly": inputs(length=12),
        "odd_lengths": inputs(frames=5, height=5, width=3, length=7),
        "masked": inputs() | {"mask_modality": True},
        "masked_sample": inputs() | {"mask_modality": [True, False]},
        "video_alone": inputs() | {"audio_BLC": None},
        "audio_alone": inputs() | {"video_BCTHW": None},
        "first_frame_clean": inputs() | {"first_frame_clean": True},
        "one_clean_frame": inputs(frames=1) | {"first_frame_clean": True},
        "clean_frame_alone": inputs(frames=1) | {"first_frame_clean": True, "audio_BLC": None},
        "one_audio_latent": inputs(length=1),
        "padded": inputs() | padded,
        "padded_masked": inputs() | padded | {"mask_modality": True, "first_frame_clean": True},
        "timbre": inputs() | timbre,
    }


def outputs_and_gradients(model: NavaTransformer, arguments: dict[str, Any]) -> tuple[dict[str, Tensor], Tensor]:
    """What the model predicts, and a loss of it: weighted, so that no two tokens have the same gradient."""
    outputs = {name: out for name, out in zip(("video", "audio"), model(**arguments)) if out is not None}
    if "audio_length_B" in arguments:
        outputs["audio"] = outputs["audio"] * (torch.arange(9) < arguments["audio_length_B"][:, None])[..., None]
        sizes = [(torch.arange(size) < arguments["video_size_B3"][:, i, None]) for i, size in enumerate((3, 4, 4))]
        valid = sizes[0][:, :, None, None] & sizes[1][:, None, :, None] & sizes[2][:, None, None, :]
        outputs["video"] = outputs["video"] * valid[:, None]
    loss = sum((out * torch.linspace(-1, 1, out.numel()).view_as(out)).square().mean() for out in outputs.values())
    assert isinstance(loss, Tensor)
    return {name: out.detach() for name, out in outputs.items()}, loss


def run(rank: int, size: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=size)
    results: dict[str, Tensor] = {}
    messages = []
    exchange, calls = dist.all_to_all_single, []
    dist.all_to_all_single = lambda *given, **named: (calls.append(1), exchange(*given, **named))[1]
    for case, arguments in cases().items():
        model = small_model()
        parallel = SequenceParallel(model)
        calls.clear()
        outputs, loss = outputs_and_gradients(model, arguments)
        messages.append(f"{case}: {len(calls)} exchanges")
        loss.backward()
        parallel.average_gradients()
        results |= {f"{case}/{name}": out.contiguous() for name, out in outputs.items()}
        results |= {f"{case}/grad/{name}": p.grad for name, p in model.named_parameters() if p.grad is not None}
    with torch.no_grad():
        given = cases()["timbre"]
        voices = {name: given.pop(name) for name in ("speaker_SE", "speaker_slot_S")}
        given["text_BND"] = model.prepare(given["text_BND"], **voices)
        results["prepared/video"], results["prepared/audio"] = (out.contiguous() for out in model(**given))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            results["autocast/video"] = model(**inputs())[0].contiguous()
        parallel.remove()
        calls.clear()
        results["removed/video"] = model(**inputs())[0].contiguous()
        messages.append(f"removed: {len(calls)} exchanges")
    dist.all_to_all_single = exchange
    if size == COMPILED_SIZE:
        compiled = small_model(num_hal_layers=0, num_final_hal_layers=0)
        SequenceParallel(compiled)
        compile_model(compiled, backend="eager")
        outputs, loss = outputs_and_gradients(compiled, inputs())
        loss.backward()
        results["compiled/video"] = outputs["video"].contiguous()
    try:
        SequenceParallel(small_model(dim=40, num_heads=5))
    except ValueError as error:
        messages.append(str(error))
    save_file(results, folder / f"rank{rank}.safetensors")
    (folder / f"rank{rank}.txt").write_text("\n".join(messages))
    dist.destroy_process_group()


def main() -> None:
    # Forked, so that torch is imported once for all of them.
    context = multiprocessing.get_context("fork")
    for size in map(int, sys.argv[2:]):
        folder = Path(sys.argv[1]) / str(size)
        folder.mkdir()
        processes = [context.Process(target=run, args=(rank, size, folder), daemon=True) for rank in range(size)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            sys.exit(1)


if __name__ == "__main__":
    main()
