"""A golden set of other sizes, written from this project's own model in the released code's format.

Expected values come from plain calls, sample by sample and step by step, not from the code under test: a batch of
unequal samples, for one, is what each of them gives alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import pad

from nava.config.diffusion import DiffusionConfig
from nava.config.model import ModelConfig
from nava.diffusion.solver import UniPC
from nava.diffusion.timestep import TrainingSchedule, model_timesteps, sampling_sigmas
from nava.model.backbone import NavaTransformer
from nava.runtime.hashing import sha256_file

TEXT_LEN, TEXT_DIM, SPEAKER = 9, 11, 6
RELEASED: dict[str, Any] = {
    "patch_size": [1, 2, 2],
    "model_type": "ti2v",
    "dim": 48,
    "ffn_dim": 64,
    "freq_dim": 16,
    "num_heads": 2,
    "num_layers": 3,
    "num_double_layers": 1,
    "num_single_layers": 2,
    "vid_in_dim": 5,
    "vid_out_dim": 5,
    "audio_in_dim": 7,
    "audio_out_dim": 7,
    "text_len": TEXT_LEN,
    "text_dim": TEXT_DIM,
    "window_size": [-1, -1],
    "qk_norm": True,
    "cross_attn_norm": True,
    "eps": 1e-5,
    "temporal_rope_scaling_factor": 0.3,
    "add_spk_emb": True,
    "no_split_norm_ffn": True,
}
CONFIG = ModelConfig(
    dim=48,
    ffn_dim=64,
    freq_dim=16,
    num_heads=2,
    num_hal_layers=1,
    num_ufl_layers=2,
    video_channels=5,
    audio_channels=7,
    text_len=TEXT_LEN,
    text_dim=TEXT_DIM,
    eps=1e-5,
    audio_rope_scale=0.3,
    audio_stem_hidden=None,
    speaker_dim=SPEAKER,
    zero_init_heads=False,
    temporal_bias=0.0,
)
VIDEO = [(5, 2, 4, 6), (5, 3, 2, 4)]
AUDIO = [(8, 7), (5, 7)]


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def own_model() -> NavaTransformer:
    """A model whose every weight matters: what starts at zero or one is drawn too."""
    model = NavaTransformer(CONFIG, seed=3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def text(rows: int, seed: int) -> Tensor:
    return drawn(rows, TEXT_DIM, seed=seed)


def padded(rows_ND: Tensor) -> Tensor:
    return pad(rows_ND, (0, 0, 0, TEXT_LEN - len(rows_ND)))[None]


@torch.no_grad()
def write_own_set(folder: Path) -> Path:
    """Write weights, cases of every kind and the manifest."""
    model = own_model()
    save_file(dict(model.state_dict()), folder / "weights.safetensors")
    cases = {
        "x_joint": joint_case(model),
        "x_pair": pair_case(model),
        "x_bf16": bf16_case(model),
        "x_rope": rope_case(),
        "x_samplers": samplers_case(),
        "x_guidance": guidance_case(),
        "x_run": run_case(model),
        "x_timbre_run": timbre_run_case(model),
        "x_training": training_case(model),
    }
    files = {"weights.safetensors": entry(folder / "weights.safetensors", dict(model.state_dict()), {})}
    for name, (tensors, meta) in cases.items():
        path = folder / f"{name}.safetensors"
        save_file({key: value.contiguous().clone() for key, value in tensors.items()}, path)
        files[path.name] = entry(path, tensors, meta)
    (folder / "manifest.json").write_text(json.dumps({"set": "own", "config": RELEASED, "files": files}))
    return folder


def entry(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> dict[str, Any]:
    listing = {name: [list(t.shape), str(t.dtype).removeprefix("torch.")] for name, t in tensors.items()}
    return {"meta": meta, "tensors": listing, "sha256": sha256_file(path)}


def rewrite(folder: Path, name: str, tensors: dict[str, Tensor]) -> None:
    """Replace a case file and its entry of the manifest, as one who made another set would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    path = folder / f"{name}.safetensors"
    save_file(tensors, path)
    manifest["files"][path.name] = entry(path, tensors, manifest["files"].get(path.name, {}).get("meta", {}))
    (folder / "manifest.json").write_text(json.dumps(manifest))


Written = tuple[dict[str, Tensor], dict[str, Any]]
Velocities = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def joint_case(model: NavaTransformer) -> Written:
    tensors = {"in.vid.0": drawn(*VIDEO[0], seed=1), "in.audio.0": drawn(*AUDIO[0], seed=2)}
    tensors |= {"in.t": torch.tensor([321.0]), "in.ctx_vid.0": text(4, 3), "in.ctx_audio.0": text(6, 4)}
    video, audio = model(
        tensors["in.vid.0"][None], tensors["in.audio.0"][None], tensors["in.t"], padded(tensors["in.ctx_vid.0"])
    )
    context = model.text_embedding(padded(tensors["in.ctx_vid.0"]))
    tensors |= {"mid.context": context, "out.vid.0": video[0], "out.audio.0": audio[0]}
    return tensors, {"spk_pos": None, "masking_modality": False, "first_frame_is_clean": False}


def pair_case(model: NavaTransformer) -> Written:
    """Two samples of unequal size with speakers and a clean first frame."""
    tensors: dict[str, Tensor] = {"in.t": torch.tensor([250.0, 800.0]), "in.spk_embed": drawn(3, SPEAKER, seed=9)}
    speakers, slots = [[0], [1, 2]], [[2], [1, 3]]
    for i in range(2):
        tensors |= {f"in.vid.{i}": drawn(*VIDEO[i], seed=10 + i), f"in.audio.{i}": drawn(*AUDIO[i], seed=20 + i)}
        tensors |= {f"in.ctx_vid.{i}": text(5, 30 + i), f"in.ctx_audio.{i}": text(5 + i, 40 + i)}
        video, audio = model(
            tensors[f"in.vid.{i}"][None],
            tensors[f"in.audio.{i}"][None],
            tensors["in.t"][i : i + 1],
            padded(tensors[f"in.ctx_audio.{i}"]),
            first_frame_clean=True,
            speaker_SE=tensors["in.spk_embed"][speakers[i]],
            speaker_slot_S=torch.tensor(slots[i]),
        )
        tensors |= {f"out.vid.{i}": video[0], f"out.audio.{i}": audio[0]}
    return tensors, {"spk_pos": slots, "masking_modality": False, "first_frame_is_clean": True}


def bf16_case(model: NavaTransformer) -> Written:
    tensors, _ = joint_case(model)
    names = ("out.vid.0", "out.audio.0")
    return {name: tensors[name].to(torch.bfloat16) for name in names}, {"note": "same inputs as x_joint, in bf16"}


def rope_case() -> Written:
    """Angles by the formula, position by position; head_dim 24 has 4 pairs for each axis."""
    grid, tensors = (2, 3, 2), {}
    angles = [
        [position * 10000 ** (-pair / 4) for position in (t, h, w) for pair in range(4)]
        for t in range(grid[0])
        for h in range(grid[1])
        for w in range(grid[2])
    ]
    table = torch.tensor(angles, dtype=torch.float64)
    tensors |= {"vid.2x3x2.cos": table.cos().float(), "vid.2x3x2.sin": table.sin().float()}
    audio = [[0.3 * place * 10000 ** (-pair / 4) for pair in range(4)] + [0.0] * 8 for place in range(6)]
    table = torch.tensor(audio, dtype=torch.float64)
    return tensors | {"aud.6.cos": table.cos().float(), "aud.6.sin": table.sin().float()}, {}


def samplers_case() -> Written:
    sigma_N = sampling_sigmas(3, 4.0)
    tensors = {"unipc.s4.n3.timesteps": (sigma_N * 1000).long()[:-1], "unipc.s4.n3.sigmas": sigma_N}
    schedule = TrainingSchedule(DiffusionConfig(train_shift=2.5))
    tensors |= {"train.s2.5.timesteps": schedule.timestep_N, "train.s2.5.sigmas": schedule.sigma_N}
    return tensors | {"train.s2.5.weights": schedule.weight_N}, {}


def guidance_case() -> Written:
    names = [f"{kind}_{stream}" for stream in ("vid", "audio") for kind in ("cond", "uncond", "mmask", "timbre")]
    tensors = {name: drawn(4, 2, seed=50 + i) for i, name in enumerate(names)}
    c, u, m, z = (tensors[f"{kind}_audio"] for kind in ("cond", "uncond", "mmask", "timbre"))
    tensors |= {"aud.plain": u + 1.5 * (c - u), "aud.align_timbre": c + 1.5 * (c - u) + 0.5 * (c - m) + 4.0 * (c - z)}
    scales = guidance_scales(video=2.0, audio=1.5, video_align=2.5, audio_align=0.5, timbre_align=4.0)
    return tensors, {"scales": scales}


def run_case(model: NavaTransformer) -> Written:
    """Three steps with alignment guidance, the passes written out."""
    tensors = run_inputs()
    positive, negative = padded(tensors["in.ctx_pos.0"]), padded(tensors["in.ctx_neg_vid.0"])

    def velocities(video: Tensor, audio: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        c = model(video, audio, t, positive)
        u = model(video, audio, t, negative)
        m = model(video, audio, t, positive, mask_modality=True)
        both = [
            c[i] + text * (c[i] - u[i]) + align * (c[i] - m[i]) for i, (text, align) in enumerate(((3, 1), (2, 0.5)))
        ]
        return both[0], both[1]

    meta = {"spk_pos": None, "align_3d_cfg": True} | guidance_scales(video=3.0, audio=2.0, video_align=1.0)
    meta |= guidance_scales(audio_align=0.5)
    return tensors | integrated(tensors, velocities), run_meta() | meta


def timbre_run_case(model: NavaTransformer) -> Written:
    """Timbre guidance without alignment: the sound is guided from the conditional pass, the picture from the other."""
    tensors = run_inputs() | {"in.spk_embs": drawn(1, SPEAKER, seed=65)}
    positive, negative = padded(tensors["in.ctx_pos.0"]), padded(tensors["in.ctx_neg_vid.0"])
    speakers = {"speaker_SE": tensors["in.spk_embs"], "speaker_slot_S": torch.tensor([1])}

    def velocities(video: Tensor, audio: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        c = model(video, audio, t, positive, **speakers)
        u = model(video, audio, t, negative)
        z = model(video, audio, t, positive)
        return u[0] + 3 * (c[0] - u[0]), c[1] + 2 * (c[1] - u[1]) + 1.5 * (c[1] - z[1])

    meta = {"spk_pos": [[1]], "align_3d_cfg": False, "timbre_cfg": True}
    meta |= guidance_scales(video=3.0, audio=2.0, timbre_align=1.5)
    return tensors | integrated(tensors, velocities), run_meta() | meta


def run_inputs() -> dict[str, Tensor]:
    channels, frames, height, width = VIDEO[0]
    tensors = {
        "in.noise_vid": drawn(frames * height * width, channels, seed=60),
        "in.noise_audio": drawn(8, 7, seed=61),
    }
    return tensors | {"in.ctx_pos.0": text(4, 62), "in.ctx_neg_vid.0": text(3, 63), "in.ctx_neg_audio.0": text(2, 64)}


def run_meta() -> dict[str, Any]:
    return {"grid": list(VIDEO[0][1:]), "num_steps": 3, "shift": 5.0}


def guidance_scales(**scales: float) -> dict[str, float]:
    return {f"{name}_guidance_scale": value for name, value in scales.items()}


def integrated(tensors: dict[str, Tensor], velocities: Velocities) -> dict[str, Tensor]:
    """Three steps from the noise to the result."""
    video, audio = tensors["in.noise_vid"].T.reshape(1, *VIDEO[0]), tensors["in.noise_audio"][None]
    sigma_N = sampling_sigmas(3, 5.0)
    solvers = [UniPC(sigma_N), UniPC(sigma_N)]
    for t in model_timesteps(sigma_N)[:-1]:
        video_velocity, audio_velocity = velocities(video, audio, t[None])
        video, audio = solvers[0].step(video_velocity, video), solvers[1].step(audio_velocity, audio)
    return {"out.vid": video[0].flatten(1).T, "out.audio": audio[0], "timesteps": (sigma_N * 1000).long()[:-1]}


def training_case(model: NavaTransformer) -> Written:
    """Two unequal clips, the first latent frame clean and still in the loss, one gradient."""
    levels = TrainingSchedule(DiffusionConfig(train_shift=5.0)).at(torch.tensor([200, 600]))
    tensors = {"in.t": levels.timestep, "in.weight": levels.weight}
    loss = torch.zeros(())
    with torch.enable_grad():
        for i in range(2):
            data, noise = drawn(*VIDEO[i], seed=70 + i), drawn(*VIDEO[i], seed=80 + i)
            sound, hiss = drawn(*AUDIO[i], seed=90 + i), drawn(*AUDIO[i], seed=100 + i)
            tensors |= {f"in.z0_vid.{i}": data.movedim(0, -1), f"in.noise_vid.{i}": noise.movedim(0, -1)}
            tensors |= {f"in.z0_audio.{i}": sound, f"in.noise_audio.{i}": hiss, f"in.ctx.{i}": text(3 + i, 110 + i)}
            sigma = levels.sigma[i]
            noisy = (1 - sigma) * data + sigma * noise
            noisy[:, 0] = data[:, 0]
            video, audio = model(
                noisy[None],
                ((1 - sigma) * sound + sigma * hiss)[None],
                levels.timestep[i : i + 1],
                padded(tensors[f"in.ctx.{i}"]),
                first_frame_clean=True,
            )
            video_error = (video[0] - (noise - data)).square().mean()
            audio_error = (audio[0] - (hiss - sound)).square().mean()
            loss = loss + levels.weight[i] / 2 * (0.5**2 * video_error + 0.2 * audio_error)
        (gradient,) = torch.autograd.grad(loss, [model.head.head.bias])
    tensors |= {"out.loss": loss.detach(), "grad.head.head.bias": gradient}
    meta = {"is_i2v": True, "masking_modality": False, "spk_pos": None, "vision_loss_coff": 0.5}
    return tensors, meta | {"audio_loss_coff": 0.2, "use_loss_reweight": True, "lambda_ddpm": 1.0}
