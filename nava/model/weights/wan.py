"""NAVA initialised from Wan2.2-TI2V-5B: what is copied, what is new, and how what is new starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from nava.config.model import ModelConfig
from nava.model.initialisation import initial_values
from nava.model.keys import meta_model, shapes_of
from nava.model.weights.export import Form, plan_of, released_tensors
from nava.model.weights.files import TensorInfo, WeightReader, open_weights
from nava.model.weights.load import listing
from nava.model.weights.wan_names import naming_of, original_name, wan_source
from nava.model.weights.writing import write_safetensors
from nava.runtime.errors import InputError

AudioFrom = Literal["fresh", "video"]
AUDIO_FROM: tuple[str, ...] = get_args(AudioFrom)

# Rows of the report's table: a part of the model, and how the names of its tensors are known.
_PARTS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("audio stem", lambda name: name.startswith("patch_embedding_audio.")),
    ("audio head", lambda name: name.startswith("head_audio.")),
    ("speaker embedding", lambda name: name.startswith("speaker_embedding.")),
    ("alignment layers, audio", lambda name: name.startswith("double") and "_audio." in name),
    ("alignment layers, video and shared", lambda name: name.startswith("double")),
    ("fusion layers", lambda name: name.startswith("single_blocks.")),
    ("embeddings and video head", lambda name: True),
)


@dataclass(frozen=True)
class TensorOrigin:
    """Where a tensor's values come from: a tensor of the Wan file (its original name), or a rule of initialisation."""

    name: str
    shape: tuple[int, ...]
    source: str | None
    how: str

    @property
    def parameters(self) -> int:
        """Values in it."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class WanReport:
    """Every tensor of the new model and where it comes from.

    Attributes:
        wan: the file that was read.
        naming: "original" or "diffusers".
        audio_from: "fresh", or "video" where the audio stream starts as a copy of the video stream.
        seed: of what is drawn anew.
        config: the new model's architecture.
        tensors: in the order of the state dict.
    """

    wan: str
    naming: str
    audio_from: str
    seed: int
    config: dict[str, Any]
    tensors: list[TensorOrigin]

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object, with counts."""
        copied = [tensor for tensor in self.tensors if tensor.source is not None]
        new = [tensor for tensor in self.tensors if tensor.source is None]
        counts = {
            "copied": {"tensors": len(copied), "parameters": sum(tensor.parameters for tensor in copied)},
            "new": {"tensors": len(new), "parameters": sum(tensor.parameters for tensor in new)},
        }
        return {**asdict(self), **counts}

    def table(self) -> str:
        """Part by part: how many tensors and parameters, and where they come from."""
        groups: dict[tuple[str, str], list[TensorOrigin]] = {}
        for tensor in self.tensors:
            part = next(label for label, holds in _PARTS if holds(tensor.name))
            groups.setdefault((part, tensor.how), []).append(tensor)
        rows = [("part", "tensors", "parameters", "values")]
        for (part, how), tensors in sorted(groups.items()):
            rows.append((part, str(len(tensors)), f"{sum(t.parameters for t in tensors):,}", how))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            f"{part:<{widths[0]}}  {count:>{widths[1]}}  {parameters:>{widths[2]}}  {how}"
            for part, count, parameters, how in rows
        )


class WanWeights:
    """A Wan file that fits a NAVA configuration.

    Args:
        reader: the file, in its original naming or in diffusers'.
        config: the model that is made of it.
        audio_from: "fresh" draws the audio stream anew, "video" starts it as a copy of the video stream.
        seed: of what is drawn anew.

    Raises:
        InputError: it is no Wan2.2-TI2V model, or one of another size; the message names the tensor.
    """

    def __init__(
        self, reader: WeightReader, config: ModelConfig, audio_from: AudioFrom = "fresh", seed: int = 0
    ) -> None:
        if config.architecture != "align_then_fuse":
            raise InputError(f"Wan weights fit align_then_fuse models, not {config.architecture}")
        self.reader, self.config, self.audio_from, self.seed = reader, config, audio_from, seed
        self._model = meta_model(config)
        self.shapes = shapes_of(self._model)
        self.naming, self._stored = _original_names(reader)
        self._sources = {name: self._source(name) for name in self.shapes}
        self._check()
        self.origins: dict[str, TensorOrigin] = {}

    def values(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor of the model in float32, one at a time; `report` is complete after the last one."""
        # What is new has the values that a wholly new model of this seed has, so all of them are drawn.
        for name, fresh, rule in initial_values(self._model, self.config, self.seed):
            source, value, how = self._sources[name], fresh, f"new: {rule}"
            if source is not None:
                value = self.reader.read(self._stored[source], dtype=torch.float32)
                how = "copied from Wan, the video stream's" if _is_audio(name) else "copied from Wan"
            self.origins[name] = TensorOrigin(name, self.shapes[name], source, how)
            yield name, value

    @property
    def report(self) -> WanReport:
        """What was copied and what is new."""
        tensors = [self.origins[name] for name in self.shapes]
        return WanReport(self.reader.label, self.naming, self.audio_from, self.seed, asdict(self.config), tensors)

    def _source(self, name: str) -> str | None:
        found = wan_source(name, self.config)
        if found is None:
            return None
        source, audio = found
        return None if audio and self.audio_from == "fresh" else source

    def _check(self) -> None:
        used = {source for source in self._sources.values() if source is not None}
        blocks = {int(name.split(".")[1]) for name in self._stored if name.startswith("blocks.")}
        wanted = self.config.num_hal_layers + self.config.num_ufl_layers + self.config.num_final_hal_layers
        if len(blocks) != wanted:
            raise InputError(f"{self.reader.label} has {len(blocks)} blocks, the model {wanted}")
        if missing := sorted(used - set(self._stored)):
            raise InputError(f"{self.reader.label} lacks {listing(missing)}")
        if unused := sorted(set(self._stored) - used):
            held = listing([self._stored[name] for name in unused])
            raise InputError(f"{self.reader.label} holds {held}, which NAVA has no place for")
        for name, source in self._sources.items():
            if source is None:
                continue
            stored: TensorInfo = self.reader.tensors[self._stored[source]]
            if stored.shape != self.shapes[name]:
                raise InputError(
                    f"{self.reader.label}: '{self._stored[source]}' has shape {list(stored.shape)}, "
                    f"'{name}' needs {list(self.shapes[name])}"
                )


def write_from_wan(
    wan: str | Path,
    config: ModelConfig,
    target: Path,
    *,
    form: Form = "fp32",
    audio_from: AudioFrom = "fresh",
    seed: int = 0,
    max_shard_bytes: int | None = None,
    each: Callable[[str], None] | None = None,
) -> tuple[Path, WanReport]:
    """Write NAVA weights made of a Wan model, tensor by tensor; returns the file (or index) and the report.

    Args:
        wan: a Wan2.2-TI2V model: safetensors, index of shards, torch file, or a folder with one; either naming.
        config: the architecture; its blocks together are as many as Wan's.
        target: the new file; of several shards, the name that theirs are made from.
        form: types of the tensors in it.
        audio_from: "fresh" draws the audio stream anew, "video" starts it as a copy of the video stream.
        seed: of what is drawn anew; the values are those of `nava model init` with the same seed.
        max_shard_bytes: how large a file may become; None writes one.
        each: called with the name of every tensor, for progress.

    Raises:
        InputError: the file is no such model, or does not fit; the message names file and tensor.
    """
    source = WanWeights(open_weights(wan), config, audio_from, seed)

    def values() -> Iterator[tuple[str, Tensor]]:
        for name, value in source.values():
            yield from released_tensors(name, value, form)
            if each is not None:
                each(name)

    written = write_safetensors(target, plan_of(source.shapes, form), values(), max_shard_bytes)
    return written, source.report


def _original_names(reader: WeightReader) -> tuple[str, dict[str, str]]:
    """The file's naming, and its own name of every tensor by the original one."""
    try:
        naming = naming_of(reader.tensors)
    except InputError as error:
        raise InputError(f"{reader.label}: {error}") from error
    stored: dict[str, str] = {}
    for name in reader.tensors:
        original = original_name(name) if naming == "diffusers" else name
        if original is None:
            raise InputError(f"{reader.label}: '{name}' is not a tensor of Wan2.2-TI2V")
        stored[original] = name
    return naming, stored


def _is_audio(name: str) -> bool:
    return "_audio." in name
