"""ReDimNet, the release's timbre encoder, from a TorchScript or an ONNX file.

The release takes the model from torch.hub (name M, train type ft_mix, dataset vb2+vox2+cnc), code and all. A file that
was exported once holds the same computation and needs neither network nor foreign Python code.
"""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from nava.artifacts.weight_files import WEIGHT_FILES, WeightFile, WeightsMissing, locate
from nava.artifacts.weight_reference import WeightReference
from nava.conditioning.description import CONFIG_FILE
from nava.conditioning.reference_voice import SAMPLE_RATE_HZ, reference_samples
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import write_json

WIDTH = 192
TORCHSCRIPT = WEIGHT_FILES["redimnet"]
ONNX = replace(TORCHSCRIPT, file=str(Path(TORCHSCRIPT.file).with_suffix(".onnx")))

# Samples [1, N] to a vector of 192 values in whatever shape.
Run = Callable[[Tensor], Tensor]


class RedimnetEncoder:
    """192 values per voice, as the released model was trained with.

    Args:
        run: the exported model.
        file: what it was read from.
    """

    type_name = "redimnet"
    width = WIDTH
    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(self, run: Run, file: WeightReference) -> None:
        self._run, self.file = run, file

    @classmethod
    def open(cls, weights: str | Path, cache: Path | None = None) -> Self:
        """Load an exported model.

        Args:
            weights: where it is: a file of any name, or a folder, hub mirror or bucket address that has
                ``redimnet_m_ft_mix.pt`` (TorchScript) or ``redimnet_m_ft_mix.onnx``.
            cache: where files of a bucket are kept.

        Raises:
            InputError: it is missing, or is neither TorchScript nor ONNX.
        """
        weight, path = _locate(weights, cache)
        return cls(load_exported(path), WeightReference.of(weight, path))

    @classmethod
    def load(cls, config: dict[str, Any], weights: str | Path, cache: Path | None = None) -> Self:
        """Load what ``save`` described.

        Raises:
            InputError: the file is missing or is not the one described.
            ValueError: not a description.
            KeyError: not a description.
        """
        file = WeightReference.from_json(config["weights"])
        return cls(load_exported(file.resolve(weights, cache)), file)

    @cached_property
    def identity(self) -> str:
        """sha256 of the type and of the file's hash."""
        return sha256_json({"type": self.type_name, "weights": self.file.sha256})

    @torch.no_grad()
    def encode(self, samples_N: Tensor) -> Tensor:
        """Float32 [192] from samples at 16 kHz, of which the first 30 s count; channels [C, N] are averaged.

        Raises:
            InputError: shorter than 1 s, silent, not finite; or the file's model does not give 192 finite values.
        """
        mono_N = reference_samples(samples_N).cpu()
        try:
            vector_E = self._run(mono_N[None]).float().flatten()
        except InputError:
            raise
        except Exception as error:  # each runtime has exceptions of its own
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:160]
            raise InputError(f"{self.file.file} does not take samples [1, {len(mono_N)}]: {reason}") from error
        if vector_E.shape != (WIDTH,):
            raise InputError(f"{self.file.file} gives {vector_E.numel()} values for a voice; it must give {WIDTH}")
        if not torch.isfinite(vector_E).all():
            raise InputError(f"{self.file.file} gives values that are not finite for this voice")
        return vector_E

    def save(self, directory: Path) -> None:
        """Write ``config.json``: a reference to the file, but not the file."""
        description = {"type": self.type_name, "format_version": 1, "weights": self.file.to_json()}
        write_json(directory / CONFIG_FILE, description | {"identity": self.identity})

    def to(self, device: str | torch.device) -> Self:
        """Nothing to move: a voice takes well under a second on the CPU."""
        return self


def _locate(weights: str | Path, cache: Path | None) -> tuple[WeightFile, Path]:
    """The exported model in whichever format there is."""
    try:
        path = locate(TORCHSCRIPT, weights, cache)
    except WeightsMissing as not_torchscript:
        try:
            return ONNX, locate(ONNX, weights, cache)
        except WeightsMissing:
            raise not_torchscript from None
    return (TORCHSCRIPT if zipfile.is_zipfile(path) else ONNX), path


def load_exported(path: Path) -> Run:
    """The model in a TorchScript or ONNX file.

    Raises:
        InputError: the file is neither, or onnxruntime is not installed.
    """
    return _load_torchscript(path) if zipfile.is_zipfile(path) else _load_onnx(path)


def _load_torchscript(path: Path) -> Run:
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise InputError(f"{path} is not a TorchScript module: {TORCHSCRIPT.obtain}") from error

    def run(samples_1N: Tensor) -> Tensor:
        result = module(samples_1N)
        if not isinstance(result, Tensor):
            raise InputError(f"{path.name} gives a {type(result).__name__}; it must give one tensor")
        return result

    return run


def _load_onnx(path: Path) -> Run:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"{path} needs the package onnxruntime: pip install onnxruntime") from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an exception for every status
        raise InputError(f"{path} is neither TorchScript nor ONNX, or is cut short: {TORCHSCRIPT.obtain}") from error
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise InputError(f"{path} has {len(inputs)} inputs ({names}); it must take samples alone")

    def run(samples_1N: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {inputs[0].name: samples_1N.numpy()})[0])

    return run
