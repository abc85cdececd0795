"""NAVA's transformer: align audio and video first, fuse them with the context next.

State-dict names and arithmetic are the released model's (prefix `backbone.` stripped).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from nava.config.model import ModelConfig
from nava.model.attention import Modality, TokenLayout
from nava.model.blocks import Head, HierarchicalAlignmentLayer, UnifiedFusionLayer
from nava.model.embedding import AudioStem, SpeakerEmbedding, patch_volume, patchify, sinusoid, unpatchify
from nava.model.initialisation import initialise
from nava.model.rope import audio_rotations, video_rotations


@dataclass(frozen=True)
class _TimeEmbedding:
    """The time embedding of one modality: [batch, 1 or length, dim] for the head, [..., 6, dim] for the blocks."""

    head: Tensor
    blocks: Tensor


class NavaTransformer(nn.Module):
    """Predicts the velocity (noise - data) of video and audio latents.

    A new model is initialised from `seed`; on the meta device it stays without values.
    """

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__()
        if config.dim % config.num_heads:
            raise ValueError(f"dim {config.dim} is not divisible by num_heads {config.num_heads}")
        self.config = config
        dim = config.dim
        patch = self.patch = (config.patch_size[0], config.patch_size[1], config.patch_size[2])
        self.patch_embedding = nn.Conv3d(config.video_channels, dim, kernel_size=patch, stride=patch)
        self.patch_embedding_audio = AudioStem(config.audio_channels, dim, config.stem_hidden)
        if config.speaker_dim:
            self.speaker_embedding = SpeakerEmbedding(config.speaker_dim, dim)
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim)
        )
        self.time_embedding = nn.Sequential(nn.Linear(config.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.double_blocks = nn.ModuleList(HierarchicalAlignmentLayer(config) for _ in range(config.num_hal_layers))
        self.single_blocks = nn.ModuleList(UnifiedFusionLayer(config) for _ in range(config.num_ufl_layers))
        self.double_final_blocks = nn.ModuleList(
            HierarchicalAlignmentLayer(config) for _ in range(config.num_final_hal_layers)
        )
        self.head = Head(dim, config.video_channels * patch_volume(patch), config.eps)
        self.head_audio = Head(dim, config.audio_channels, config.eps)
        initialise(self, config, seed)

    def forward(
        self,
        video_BCTHW: Tensor | None,
        audio_BLC: Tensor | None,
        timestep_B: Tensor,
        text_BND: Tensor,
        *,
        mask_modality: bool | Tensor = False,
        video_size_B3: Tensor | None = None,
        audio_length_B: Tensor | None = None,
        first_frame_clean: bool = False,
        speaker_SE: Tensor | None = None,
        speaker_slot_S: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Predict velocities with the shapes of the latents given; a modality that is None gives None.

        Args:
            video_BCTHW: noisy video latents. Odd heights and widths are padded inside.
            audio_BLC: noisy audio latents.
            timestep_B: times in [0, 1000], one per sample.
            text_BND: text features; zero rows are appended up to `text_len`, and every row is attended.
            mask_modality: keep video and audio apart in self-attention, for all samples or per sample (bool [batch]).
            video_size_B3: valid latent (frames, height, width) of each sample when the batch is padded.
            audio_length_B: valid audio latents of each sample when the batch is padded.
            first_frame_clean: the first latent frame is a condition, without noise: its tokens get time 0.
            speaker_SE: speaker vectors; zeros mean an unknown speaker.
            speaker_slot_S: for each of the first speakers the context row it replaces, sample * text_len + row.
                Without slots the speaker vectors are ignored.

        Raises:
            ValueError: no modality is given, or shapes do not fit the configuration.
        """
        if video_BCTHW is None and audio_BLC is None:
            raise ValueError("give video latents, audio latents, or both")
        context_BND = self._context(text_BND, speaker_SE, speaker_slot_S)
        tokens: dict[Modality, Tensor] = {}
        times: dict[Modality, _TimeEmbedding] = {}
        valid: dict[Modality, Tensor | None] = {}
        grid = (0, 0, 0)
        time = self._time(timestep_B)
        if video_BCTHW is not None:
            padded = self._pad(video_BCTHW)
            grid = self._grid(padded)
            tokens["video"] = linear(
                patchify(padded, self.patch), self.patch_embedding.weight.flatten(1), self.patch_embedding.bias
            )
            valid["video"] = None if video_size_B3 is None else self._valid_patches(video_size_B3, grid)
            times["video"] = self._first_frame_at_zero(time, grid) if first_frame_clean else time
        if audio_BLC is not None:
            valid["audio"] = None if audio_length_B is None else _valid_prefix(audio_length_B, audio_BLC.shape[1])
            tokens["audio"] = self.patch_embedding_audio(audio_BLC, valid["audio"])
            times["audio"] = time
        tokens = self._blocks(tokens, times, context_BND, self._layout(tokens, valid, grid, mask_modality))
        video = audio = None
        if video_BCTHW is not None:
            patches = self.head(tokens["video"], times["video"].head)
            height, width = video_BCTHW.shape[-2:]
            video = unpatchify(patches, grid, self.patch)[..., :height, :width]
        if audio_BLC is not None:
            audio = self.head_audio(tokens["audio"], times["audio"].head)
        return video, audio

    def _blocks(
        self,
        tokens: dict[Modality, Tensor],
        times: dict[Modality, _TimeEmbedding],
        context_BND: Tensor,
        layout: TokenLayout,
    ) -> dict[Modality, Tensor]:
        e0 = {m: time.blocks for m, time in times.items()}
        for block in self.double_blocks:
            tokens = block(tokens, e0, context_BND, layout)
        if len(self.single_blocks):
            sizes = [x.shape[1] for x in tokens.values()]
            joint_BLD = torch.cat(list(tokens.values()), dim=1)
            joint_e0 = _join_times(list(e0.values()), sizes)
            for block in self.single_blocks:
                joint_BLD = block(joint_BLD, joint_e0, context_BND, layout)
            tokens = dict(zip(tokens, joint_BLD.split(sizes, dim=1)))
        for block in self.double_final_blocks:
            tokens = block(tokens, e0, context_BND, layout)
        return tokens

    def _context(self, text_BND: Tensor, speaker_SE: Tensor | None, slot_S: Tensor | None) -> Tensor:
        rows, width = text_BND.shape[1:]
        if rows > self.config.text_len or width != self.config.text_dim:
            raise ValueError(
                f"text features are {rows} x {width}; the model takes up to {self.config.text_len} rows "
                f"of {self.config.text_dim}"
            )
        context_BND = self.text_embedding(pad(text_BND, (0, 0, 0, self.config.text_len - rows)))
        if speaker_SE is None or slot_S is None or not len(slot_S):
            return context_BND
        if len(speaker_SE) < len(slot_S):
            raise ValueError(f"{len(slot_S)} speaker slots but only {len(speaker_SE)} speaker vectors")
        if not self.config.speaker_dim:
            raise ValueError("speaker vectors were given to a model without timbre conditioning (speaker_dim 0)")
        row_SD = self.speaker_embedding(speaker_SE[: len(slot_S)]).to(context_BND.dtype)
        return context_BND.flatten(0, 1).index_copy(0, slot_S, row_SD).view_as(context_BND)

    def _time(self, timestep_B: Tensor) -> _TimeEmbedding:
        features = sinusoid(timestep_B, self.config.freq_dim).to(self.head.modulation.dtype)
        e_B1D = self.time_embedding(features)[:, None]
        return _TimeEmbedding(e_B1D, self.time_projection(e_B1D).unflatten(-1, (6, -1)))

    def _first_frame_at_zero(self, time: _TimeEmbedding, grid: tuple[int, int, int]) -> _TimeEmbedding:
        zero = self._time(torch.zeros(1, device=time.head.device))
        tokens = torch.arange(grid[0] * grid[1] * grid[2], device=time.head.device)
        first_1L1 = (tokens < grid[1] * grid[2])[None, :, None]
        return _TimeEmbedding(
            torch.where(first_1L1, zero.head, time.head),
            torch.where(first_1L1[..., None], zero.blocks, time.blocks),
        )

    def _layout(
        self,
        tokens: dict[Modality, Tensor],
        valid: dict[Modality, Tensor | None],
        grid: tuple[int, int, int],
        mask_modality: bool | Tensor,
    ) -> TokenLayout:
        head_dim, rotations = self.config.head_dim, []
        lengths = {m: x.shape[1] for m, x in tokens.items()}
        if "video" in tokens:
            rotations.append(video_rotations(head_dim, grid))
        if "audio" in tokens:
            rotations.append(audio_rotations(head_dim, lengths["audio"], self.config.audio_rope_scale))
        first = next(iter(tokens.values()))
        valid_BL = None
        if any(mask is not None for mask in valid.values()):
            everything = {m: torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) for m, x in tokens.items()}
            masks = {m: valid[m] for m in tokens}
            valid_BL = torch.cat([everything[m] if mask is None else mask for m, mask in masks.items()], dim=1)
        return TokenLayout(
            num_video=lengths.get("video", 0),
            num_audio=lengths.get("audio", 0),
            rotations=torch.cat(rotations).to(first.device),
            valid=valid_BL,
            mask_modality=mask_modality,
        )

    def _pad(self, video_BCTHW: Tensor) -> Tensor:
        frames, height, width = video_BCTHW.shape[-3:]
        if frames % self.patch[0]:
            raise ValueError(f"{frames} latent frames cannot be cut into patches of {self.patch[0]}")
        pad_h, pad_w = -height % self.patch[1], -width % self.patch[2]
        return pad(video_BCTHW, (0, pad_w, 0, pad_h)) if pad_h or pad_w else video_BCTHW

    def _grid(self, video_BCTHW: Tensor) -> tuple[int, int, int]:
        frames, height, width = (size // step for size, step in zip(video_BCTHW.shape[-3:], self.patch))
        return frames, height, width

    def _valid_patches(self, video_size_B3: Tensor, grid: tuple[int, int, int]) -> Tensor:
        patch_3 = torch.tensor(self.patch, device=video_size_B3.device)
        patches_B3 = (video_size_B3 + patch_3 - 1) // patch_3
        masks = [_valid_prefix(patches_B3[:, axis], grid[axis]) for axis in range(3)]
        return (masks[0][:, :, None, None] & masks[1][:, None, :, None] & masks[2][:, None, None, :]).flatten(1)


def _valid_prefix(length_B: Tensor, size: int) -> Tensor:
    return torch.arange(size, device=length_B.device) < length_B[:, None]


def _join_times(e0: list[Tensor], sizes: list[int]) -> Tensor:
    """The blocks' time embedding of the joint sequence: one row per sample if all modalities agree on it."""
    if all(part is e0[0] for part in e0):
        return e0[0]
    return torch.cat([part.expand(-1, size, -1, -1) for part, size in zip(e0, sizes)], dim=1)
