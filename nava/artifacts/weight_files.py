"""Published weights: what each file is called, how large it is, whose licence it has, and where to find it here.

Nothing is downloaded from a hub. A location is a file, a folder, a folder that mirrors a hub (`<owner>/<repository>/`
inside it, or the hub client's own `models--<owner>--<repository>/snapshots/`), or a bucket address that fsspec knows.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_file

# Weights in several safetensors files have an index of this name's ending, which says what lies in which.
INDEX_SUFFIX = ".safetensors.index.json"


@dataclass(frozen=True)
class WeightFile:
    """A file of published weights.

    Attributes:
        file: its name as published, with the folder inside the repository where it lies in one.
        size: how large it is, for people.
        licence: SPDX id, or the name of the licence.
        repository: owner and name on the hub.
        obtain: further words on how to get it; empty where copying it from the repository is all.
    """

    file: str
    size: str
    licence: str
    repository: str
    obtain: str = ""


WEIGHT_FILES: dict[str, WeightFile] = {
    "nava": WeightFile("NAVA.safetensors", "25.2 GB", "Apache-2.0", "ernie-research/NAVA"),
    "nava_fp8": WeightFile("NAVA_fp8.safetensors", "about 6.5 GB", "Apache-2.0", "ernie-research/NAVA"),
    "nava_ckpt": WeightFile("NAVA.ckpt", "25.2 GB", "Apache-2.0", "ernie-research/NAVA"),
    "wan_ti2v_5b": WeightFile(
        "diffusion_pytorch_model.safetensors.index.json",
        "20 GB with its three shards",
        "Apache-2.0",
        "Wan-AI/Wan2.2-TI2V-5B",
    ),
    "wan_ti2v_5b_diffusers": WeightFile(
        "transformer/diffusion_pytorch_model.safetensors.index.json",
        "20 GB with its shards",
        "Apache-2.0",
        "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
    ),
    "wan_video_vae": WeightFile("Wan2.2_VAE.pth", "2.8 GB", "Apache-2.0", "Wan-AI/Wan2.2-TI2V-5B"),
    "umt5": WeightFile("models_t5_umt5-xxl-enc-bf16.pth", "11.4 GB", "Apache-2.0", "Wan-AI/Wan2.2-TI2V-5B"),
    "umt5_tokenizer": WeightFile("google/umt5-xxl/tokenizer.json", "17 MB", "Apache-2.0", "Wan-AI/Wan2.2-TI2V-5B"),
    "ltx_audio_vae": WeightFile(
        "ltx-2.3-22b-dev_audio_vae.safetensors", "365 MB", "LTX-2 Community License", "Lightricks/LTX-2.3"
    ),
    "redimnet": WeightFile(
        "redimnet_m_ft_mix.pt",
        "about 60 MB",
        "MIT",
        "IDRnD/ReDimNet",
        "export the model (name M, train type ft_mix, dataset vb2+vox2+cnc) to TorchScript or ONNX once, with network",
    ),
}


class WeightsMissing(InputError):  # noqa: N818
    """A weight file is not where it was looked for; the message says what it is and how to obtain it."""


def locate(weight: WeightFile, location: str | Path, cache: Path | None = None) -> Path:
    """The file on this machine.

    Args:
        weight: what is looked for.
        location: where: a file of any name, a folder, a hub mirror, or a bucket address of a file or of a folder.
        cache: where files of a bucket are kept; needed for bucket addresses only.

    Raises:
        WeightsMissing: it is not there.
    """
    if "://" in str(location):
        return _fetch(weight, str(location), cache)
    given = Path(location).expanduser()
    if given.is_file():
        return given.absolute()
    for candidate in _candidates(weight, given):
        # Links are not followed: in a hub cache they lead to files without a name, away from the other shards.
        if candidate.is_file():
            return candidate.absolute()
    raise WeightsMissing(missing(weight, str(location)))


def missing(weight: WeightFile, location: str) -> str:
    """What to tell a user who has not got a file."""
    how = weight.obtain or f"copy it from the hub repository {weight.repository}"
    return (
        f"{weight.file} ({weight.size}, licence {weight.licence}) is not at '{location}': {how}, "
        "and give its folder, file or bucket address"
    )


def shard_map(index: Path) -> dict[str, str]:
    """Which file beside the index each tensor of a sharded safetensors model lies in.

    Raises:
        InputError: it is no such index, or it names a file elsewhere than beside itself.
    """
    try:
        files = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = {str(tensor): str(file) for tensor, file in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} is not an index of safetensors shards: it has no weight_map") from error
    for file in names.values():
        if PurePosixPath(file).name != file or file in ("", ".", ".."):
            raise InputError(f"{index} names a shard that does not lie beside it: '{file}'")
    if not names:
        raise InputError(f"{index} lists no tensor")
    return names


def _candidates(weight: WeightFile, folder: Path) -> Iterator[Path]:
    """Where a file may lie inside a folder: plainly, in a mirror of the hub, or in the hub client's cache."""
    yield folder / weight.file
    yield folder / Path(weight.file).name
    yield folder / weight.repository / weight.file
    snapshots = folder / f"models--{weight.repository.replace('/', '--')}" / "snapshots"
    for snapshot in sorted(snapshots.glob("*")):
        yield snapshot / weight.file


def _fetch(weight: WeightFile, address: str, cache: Path | None) -> Path:
    """Bring a file of a bucket here, an index with its shards, unless the cache has one of the same size."""
    if cache is None:
        raise InputError(f"{address} is a bucket address: say in which folder its files are kept here")
    name = Path(weight.file).name
    whole = address if address.endswith(Path(name).suffix) else f"{address.rstrip('/')}/{name}"
    target = _fetch_file(weight, whole, address, cache)
    if target.name.endswith(INDEX_SUFFIX):
        for shard in sorted(set(shard_map(target).values())):
            _fetch_file(replace(weight, file=shard), f"{whole.rpartition('/')[0]}/{shard}", address, cache)
    return target


def _fetch_file(weight: WeightFile, whole: str, address: str, cache: Path) -> Path:
    import fsspec
    from fsspec.core import url_to_fs

    filesystem, path = url_to_fs(whole)
    if not filesystem.isfile(path):
        raise WeightsMissing(missing(weight, address))
    target = cache / Path(weight.file).name
    if not target.is_file() or target.stat().st_size != filesystem.size(path):
        with atomic_file(target) as part, fsspec.open(whole, "rb") as source, part.open("wb") as copy:
            while block := source.read(1 << 24):
                copy.write(block)
    return target.absolute()
