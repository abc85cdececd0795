"""NAVA's transformer: align audio and video first, fuse them with the context next.

State-dict names and arithmetic are the released model's (prefix `backbone.` stripped).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from nava.config.model import ModelConfig
from nava.model.attention import Modality, TokenLayout
from nava.model.blocks import Head, HierarchicalAlignmentLayer, UnifiedFusionLayer
from nava.model.context import BlockContext, Context
from nava.model.embedding import AudioStem, SpeakerEmbedding, patch_volume, patchify, sinusoid, unpatchify
from nava.model.initialisation import initialise
from nava.model.rope import joint_rotations


@dataclass(frozen=True)
class TimeEmbedding:
    """Embeddings of the distinct times: [1 or batch, rows, dim] for the heads, [..., 6, dim] for the blocks.

    There is one row for all tokens, or two: time 0 for the clean first frame, then the sample's time for the rest.
    """

    head: Tensor
    blocks: Tensor

    def noisy(self) -> TimeEmbedding:
        """The last row alone: the time of all tokens that are not clean."""
        return TimeEmbedding(self.head[:, -1:], self.blocks[:, -1:])


class TokenSharding(Protocol):
    """Splits the tokens of a pass over processes, so that blocks and heads see a share of them."""

    def scatter(
        self, tokens: dict[Modality, Tensor], time: TimeEmbedding, layout: TokenLayout
    ) -> tuple[dict[Modality, Tensor], TimeEmbedding, TokenLayout]:
        """This process's share of the tokens, and the times and the layout that go with it."""
        ...

    def gather(self, share_BLC: Tensor, length: int) -> Tensor:
        """All `length` tokens of a modality, from the shares of all processes."""
        ...


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
        self.sharding: TokenSharding | None = None
        initialise(self, config, seed)

    def prepare(
        self, text_BND: Tensor, speaker_SE: Tensor | None = None, speaker_slot_S: Tensor | None = None
    ) -> Context:
        """Everything about text and timbre that forward needs, computed once for many times.

        Arguments are those of forward. Rows of padding count like any others, as they do in the release.

        Raises:
            ValueError: shapes do not fit the configuration, or there are fewer speaker vectors than slots.
        """
        rows_BND = self._context_rows(text_BND, speaker_SE, speaker_slot_S)
        return Context(rows_BND, tuple(block.prepare(rows_BND) for block in self._all_blocks()))

    def forward(
        self,
        video_BCTHW: Tensor | None,
        audio_BLC: Tensor | None,
        timestep_B: Tensor,
        text_BND: Tensor | Context,
        *,
        mask_modality: bool | Sequence[bool] | Tensor = False,
        video_size_B3: Tensor | None = None,
        audio_length_B: Tensor | None = None,
        first_frame_clean: bool | Tensor = False,
        speaker_SE: Tensor | None = None,
        speaker_slot_S: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Predict velocities with the shapes of the latents given; a modality that is None gives None.

        Args:
            video_BCTHW: noisy video latents. Odd heights and widths are padded inside.
            audio_BLC: noisy audio latents.
            timestep_B: times in [0, 1000], one per sample. An expanded single time is embedded once.
            text_BND: text features; zero rows are appended up to `text_len`, and every row is attended. Or the
                Context that `prepare` made of them and of the speakers; one sample's Context serves any batch.
            mask_modality: keep video and audio apart in self-attention, for all samples or per sample [batch]
                (flags on an accelerator are fetched from there: give a list, or a tensor of the CPU).
            video_size_B3: valid latent (frames, height, width) of each sample when the batch is padded.
            audio_length_B: valid audio latents of each sample when the batch is padded.
            first_frame_clean: the first latent frame is a condition, without noise: its tokens get time 0. For all
                samples, or where a flag per sample [batch] says so.
            speaker_SE: speaker vectors; zeros mean an unknown speaker.
            speaker_slot_S: for each of the first speakers the context row it replaces, sample * text_len + row.
                Without slots the speaker vectors are ignored.

        Raises:
            ValueError: no modality is given, or shapes do not fit the configuration.
        """
        if video_BCTHW is None and audio_BLC is None:
            raise ValueError("give video latents, audio latents, or both")
        contexts = self._block_contexts(text_BND, speaker_SE, speaker_slot_S, len(timestep_B))
        time = self._time(timestep_B, first_frame_clean if video_BCTHW is not None else False)
        tokens, valid, grid = self._tokens(video_BCTHW, audio_BLC, video_size_B3, audio_length_B)
        layout = self._layout(tokens, valid, grid, mask_modality, time)
        lengths = {m: x.shape[1] for m, x in tokens.items()}
        if self.sharding is not None:
            tokens, time, layout = self.sharding.scatter(tokens, time, layout)
        tokens = self._blocks(tokens, time, contexts, layout)
        video = audio = None
        if video_BCTHW is not None:
            patches = self._gathered(self.head(tokens["video"], time.head, layout.num_clean), lengths["video"])
            height, width = video_BCTHW.shape[-2:]
            video = unpatchify(patches, grid, self.patch)[..., :height, :width]
        if audio_BLC is not None:
            audio = self._gathered(self.head_audio(tokens["audio"], time.noisy().head), lengths["audio"])
        return video, audio

    def _gathered(self, share_BLC: Tensor, length: int) -> Tensor:
        return share_BLC if self.sharding is None else self.sharding.gather(share_BLC, length)

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights, and of what enters the blocks."""
        return self.patch_embedding.weight.dtype

    def _all_blocks(self) -> Iterator[HierarchicalAlignmentLayer | UnifiedFusionLayer]:
        for blocks in (self.double_blocks, self.single_blocks, self.double_final_blocks):
            for block in blocks:
                assert isinstance(block, HierarchicalAlignmentLayer | UnifiedFusionLayer)
                yield block

    def _blocks(
        self,
        tokens: dict[Modality, Tensor],
        time: TimeEmbedding,
        contexts: Iterator[Tensor | BlockContext],
        layout: TokenLayout,
    ) -> dict[Modality, Tensor]:
        e0 = {"video": time.blocks, "audio": time.noisy().blocks}
        for block in self.double_blocks:
            tokens = block(tokens, e0, next(contexts), layout)
        if len(self.single_blocks):
            sizes = [x.shape[1] for x in tokens.values()]
            joint_BLD = torch.cat(list(tokens.values()), dim=1)
            for block in self.single_blocks:
                joint_BLD = block(joint_BLD, time.blocks, next(contexts), layout)
            tokens = dict(zip(tokens, joint_BLD.split(sizes, dim=1)))
        for block in self.double_final_blocks:
            tokens = block(tokens, e0, next(contexts), layout)
        return tokens

    def _block_contexts(
        self, text_BND: Tensor | Context, speaker_SE: Tensor | None, slot_S: Tensor | None, batch: int
    ) -> Iterator[Tensor | BlockContext]:
        """What each block attends to: keys and values if they were prepared, else the rows to make them of."""
        if isinstance(text_BND, Context):
            if speaker_SE is not None or slot_S is not None:
                raise ValueError("a prepared context has its speakers in it; give them to prepare")
            return iter(text_BND.expand(batch).blocks)
        return repeat(self._context_rows(text_BND, speaker_SE, slot_S))

    def _context_rows(self, text_BND: Tensor, speaker_SE: Tensor | None, slot_S: Tensor | None) -> Tensor:
        rows, width = text_BND.shape[1:]
        if rows > self.config.text_len or width != self.config.text_dim:
            raise ValueError(
                f"text features are {rows} x {width}; the model takes up to {self.config.text_len} rows "
                f"of {self.config.text_dim}"
            )
        context_BND = self.text_embedding(pad(text_BND.to(self.dtype), (0, 0, 0, self.config.text_len - rows)))
        if speaker_SE is None or slot_S is None or not len(slot_S):
            if self.training and self.config.speaker_dim:
                # Processes that gather parameters from each other (ZeRO 3) must run the same modules, voices or not.
                nobody_D = self.speaker_embedding(context_BND.new_zeros(1, self.config.speaker_dim)).sum(0)
                return context_BND + 0 * nobody_D
            return context_BND
        if len(speaker_SE) < len(slot_S):
            raise ValueError(f"{len(slot_S)} speaker slots but only {len(speaker_SE)} speaker vectors")
        if not self.config.speaker_dim:
            raise ValueError("speaker vectors were given to a model without timbre conditioning (speaker_dim 0)")
        row_SD = self.speaker_embedding(speaker_SE[: len(slot_S)].to(self.dtype)).to(context_BND.dtype)
        return context_BND.flatten(0, 1).index_copy(0, slot_S, row_SD).view_as(context_BND)

    def _time(self, timestep_B: Tensor, first_frame_clean: bool | Tensor) -> TimeEmbedding:
        """Embed each distinct time once."""
        flags_B = first_frame_clean if isinstance(first_frame_clean, Tensor) else None
        if flags_B is None and timestep_B.stride(0) == 0:
            timestep_B = timestep_B[:1]
        if flags_B is not None:
            first_frame_clean = True
        time_R = torch.cat([timestep_B.new_zeros(1), timestep_B]) if first_frame_clean else timestep_B
        e_RD = self.time_embedding(sinusoid(time_R, self.config.freq_dim).to(self.dtype))
        e0_RKD = self.time_projection(e_RD).unflatten(-1, (6, -1))
        if not first_frame_clean:
            return TimeEmbedding(e_RD[:, None], e0_RKD[:, None])
        return TimeEmbedding(_clean_and_noisy(e_RD, flags_B), _clean_and_noisy(e0_RKD, flags_B))

    def _layout(
        self,
        tokens: dict[Modality, Tensor],
        valid: dict[Modality, Tensor | None],
        grid: tuple[int, int, int],
        mask_modality: bool | Sequence[bool] | Tensor,
        time: TimeEmbedding,
    ) -> TokenLayout:
        lengths = {m: x.shape[1] for m, x in tokens.items()}
        first = next(iter(tokens.values()))
        valid_BL = None
        if any(mask is not None for mask in valid.values()):
            everything = {m: torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) for m, x in tokens.items()}
            masks = {m: valid[m] for m in tokens}
            valid_BL = torch.cat([everything[m] if mask is None else mask for m, mask in masks.items()], dim=1)
        num_audio, scale = lengths.get("audio", 0), self.config.audio_rope_scale
        return TokenLayout(
            num_video=lengths.get("video", 0),
            num_audio=num_audio,
            rotations=joint_rotations(self.config.head_dim, grid, num_audio, scale, first.device),
            valid=valid_BL,
            mask_modality=mask_modality.tolist() if isinstance(mask_modality, Tensor) else mask_modality,
            num_clean=grid[1] * grid[2] if time.head.shape[1] == 2 else 0,
        )

    def _tokens(
        self, video_BCTHW: Tensor | None, audio_BLC: Tensor | None, size_B3: Tensor | None, length_B: Tensor | None
    ) -> tuple[dict[Modality, Tensor], dict[Modality, Tensor | None], tuple[int, int, int]]:
        """Tokens of each modality present, which of them are valid (None: all), and the grid of the video's."""
        tokens: dict[Modality, Tensor] = {}
        valid: dict[Modality, Tensor | None] = {}
        grid = (0, 0, 0)
        if video_BCTHW is not None:
            tokens["video"], grid = self._video_tokens(video_BCTHW)
            valid["video"] = self._valid_patches(size_B3, grid, video_BCTHW.device)
        if audio_BLC is not None:
            valid["audio"] = _valid_latents(length_B, audio_BLC.shape[1], audio_BLC.device)
            tokens["audio"] = self.patch_embedding_audio(audio_BLC.to(self.dtype), valid["audio"])
        return tokens, valid, grid

    def _video_tokens(self, video_BCTHW: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Tokens of the latents, padded to whole patches, and the grid they come from."""
        padded = self._pad(video_BCTHW.to(self.dtype))
        frames, height, width = (size // step for size, step in zip(padded.shape[-3:], self.patch))
        weight, bias = self.patch_embedding.weight.flatten(1), self.patch_embedding.bias
        return linear(patchify(padded, self.patch), weight, bias), (frames, height, width)

    def _pad(self, video_BCTHW: Tensor) -> Tensor:
        frames, height, width = video_BCTHW.shape[-3:]
        if frames % self.patch[0]:
            raise ValueError(f"{frames} latent frames cannot be cut into patches of {self.patch[0]}")
        pad_h, pad_w = -height % self.patch[1], -width % self.patch[2]
        return pad(video_BCTHW, (0, pad_w, 0, pad_h)) if pad_h or pad_w else video_BCTHW

    def _valid_patches(
        self, video_size_B3: Tensor | None, grid: tuple[int, int, int], device: torch.device
    ) -> Tensor | None:
        if video_size_B3 is None:
            return None
        patch_3 = torch.tensor(self.patch, device=video_size_B3.device)
        patches_B3 = (video_size_B3 + patch_3 - 1) // patch_3
        if _known_full(patches_B3, grid):
            return None
        masks = [_prefix(patches_B3[:, axis], size) for axis, size in enumerate(grid)]
        valid_BTHW = masks[0][:, :, None, None] & masks[1][:, None, :, None] & masks[2][:, None, None, :]
        return valid_BTHW.flatten(1).to(device)


def _valid_latents(length_B: Tensor | None, size: int, device: torch.device) -> Tensor | None:
    if length_B is None or _known_full(length_B, size):
        return None
    return _prefix(length_B, size).to(device)


def _known_full(size: Tensor, full: int | tuple[int, ...]) -> bool:
    """Whether nothing is padding, as far as one can tell without waiting for an accelerator."""
    return size.device.type == "cpu" and bool((size >= torch.tensor(full)).all())


def _prefix(length_B: Tensor, size: int) -> Tensor:
    return torch.arange(size, device=length_B.device) < length_B[:, None]


def _clean_and_noisy(row_RX: Tensor, flags_B: Tensor | None) -> Tensor:
    """[1 + times, ...], time 0 first, as [times, 2, ...]: time 0, where a flag says so, beside each of the others."""
    noisy = row_RX[1:]
    clean = row_RX[:1].expand_as(noisy)
    if flags_B is not None:
        clean = torch.where(flags_B.view(-1, *[1] * (noisy.dim() - 1)), clean, noisy)
    return torch.stack([clean, noisy], dim=1)
