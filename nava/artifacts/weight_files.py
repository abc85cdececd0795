"""Published weights: what each file is called, how large it is, whose licence it has, and where to find it here.

Nothing is downloaded from a hub. A location is a file, a folder, a folder that mirrors a hub (`<owner>/<repository>/`
inside it, or the hub client's own `models--<owner>--<repository>/snapshots/`), or a bucket address that fsspec knows.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from nava.artifacts.bucket_files import BucketFile, bucket_file
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes

# Weights in several safetensors files have an index of this name's ending, which says what lies in which.
INDEX_SUFFIX = ".safetensors.index.json"
_SUFFIXES = (".safetensors", INDEX_SUFFIX, ".pth", ".ckpt", ".pt", ".onnx")


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


@dataclass(frozen=True)
class Place:
    """A file where it was found.

    Attributes:
        name: its path or address.
        size: in bytes; None where a bucket does not say.
        bring: gives its path on this machine, an index's with the shards beside it.
    """

    name: str
    size: int | None
    bring: Callable[[], Path]


def locate(weight: WeightFile, location: str | Path, cache: Path | None = None) -> Path:
    """The file on this machine.

    Args:
        weight: what is looked for.
        location: where: a file of any name, a folder, a hub mirror, or a bucket address of one of these.
        cache: where files of a bucket are kept; needed for bucket addresses only.

    Returns:
        The file; where weights in one safetensors file were looked for and there are shards, their index.

    Raises:
        WeightsMissing: it is not there.
    """
    for place in places(weight, location, cache):
        return place.bring()
    raise WeightsMissing(missing(weight, str(location)))


def places(weight: WeightFile, location: str | Path, cache: Path | None = None) -> Iterator[Place]:
    """Every place at a location where there is a file of that name, likeliest first. Arguments as of `locate`."""
    if "://" in str(location):
        for address in _addresses(weight, str(location)):
            if (found := bucket_file(address)) is not None:
                yield Place(address, found.size, partial(_bring, found, cache))
        return
    given = Path(location).expanduser()
    seen: set[Path] = set()
    for candidate in [given] if given.is_file() else _candidates(weight, given):
        if candidate.is_file() and (real := candidate.resolve()) not in seen:
            seen.add(real)
            # Links are not followed: in a hub cache they lead to files without a name, away from the other shards.
            yield Place(str(candidate), candidate.stat().st_size, candidate.absolute)


def fetch(address: str, cache: Path | None) -> Path:
    """A file of a bucket on this machine, an index with its shards.

    Each address has a folder of its own in the cache, so that files of the same name do not replace each other.

    Raises:
        InputError: it or a shard of it is not there, no cache was given, or the bucket cannot be read.
    """
    if (found := bucket_file(address)) is None:
        raise InputError(f"there is no file at {address}")
    return _bring(found, cache)


def names_file(address: str) -> bool:
    """Whether an address is one of a weight file, not of a folder."""
    return address.endswith(_SUFFIXES)


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
    snapshots = _snapshots(folder / f"models--{weight.repository.replace('/', '--')}")
    for file in _files(weight):
        for name in _names(weight, file):
            yield folder / name
        for snapshot in snapshots:
            yield snapshot / file


def _snapshots(repository: Path) -> list[Path]:
    """The revisions of a repository in the hub client's cache: the one that `main` is, then the newest first."""
    try:
        main = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        main = ""
    found = [path for path in (repository / "snapshots").glob("*") if path.is_dir()]
    return sorted(found, key=lambda path: (path.name != main, -path.stat().st_mtime_ns, path.name))


def _addresses(weight: WeightFile, address: str) -> Iterator[str]:
    """Where a file may lie in a bucket: at the address itself, in a folder, or in a mirror of the hub."""
    if names_file(address) or address.endswith(PurePosixPath(weight.file).suffix):
        yield address
        return
    for file in _files(weight):
        for name in _names(weight, file):
            yield f"{address.rstrip('/')}/{name}"


def _files(weight: WeightFile) -> list[str]:
    """What a file may be called: as published, or as the index of shards that it was split into."""
    if not weight.file.endswith(".safetensors"):
        return [weight.file]
    return [weight.file, weight.file.removesuffix(".safetensors") + INDEX_SUFFIX]


def _names(weight: WeightFile, file: str) -> list[str]:
    return list(dict.fromkeys((file, PurePosixPath(file).name, f"{weight.repository}/{file}")))


def _bring(found: BucketFile, cache: Path | None) -> Path:
    if cache is None:
        raise InputError(f"{found.address} is a bucket address: say in which folder its files are kept here")
    folder = cache / sha256_bytes(found.address.encode())[:16]
    path = found.fetch(folder)
    if path.name.endswith(INDEX_SUFFIX):
        for shard in sorted(set(shard_map(path).values())):
            address = f"{found.address.rpartition('/')[0]}/{shard}"
            if (beside := bucket_file(address)) is None:
                raise InputError(f"{address} is missing: copy it beside its index")
            beside.fetch(folder)
    return path
