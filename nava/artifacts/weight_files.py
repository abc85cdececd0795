"""Published weights: what each file is called, how large it is, whose licence it has, and where to find it here.

Nothing is downloaded from a hub. A location is a file, a folder, a folder that mirrors a hub (`<owner>/<repository>/`
inside it, or the hub client's own `models--<owner>--<repository>/snapshots/`), or a bucket address that fsspec knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_file


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
    "wan_video_vae": WeightFile("Wan2.2_VAE.pth", "2.8 GB", "Apache-2.0", "Wan-AI/Wan2.2-TI2V-5B"),
    "umt5": WeightFile("models_t5_umt5-xxl-enc-bf16.pth", "11.4 GB", "Apache-2.0", "Wan-AI/Wan2.2-TI2V-5B"),
    "umt5_tokenizer": WeightFile("google/umt5-xxl/tokenizer.json", "17 MB", "Apache-2.0", "Wan-AI/Wan2.2-TI2V-5B"),
    "ltx_audio_vae": WeightFile(
        "ltx-2.3-22b-dev_audio_vae.safetensors", "about 350 MB", "LTX-2 Community License", "Lightricks/LTX-2.3"
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
        return given.resolve()
    for candidate in _candidates(weight, given):
        if candidate.is_file():
            return candidate.resolve()
    raise WeightsMissing(missing(weight, str(location)))


def missing(weight: WeightFile, location: str) -> str:
    """What to tell a user who has not got a file."""
    how = weight.obtain or f"copy it from the hub repository {weight.repository}"
    return (
        f"{weight.file} ({weight.size}, licence {weight.licence}) is not at '{location}': {how}, "
        "and give its folder, file or bucket address"
    )


def _candidates(weight: WeightFile, folder: Path) -> Iterator[Path]:
    """Where a file may lie inside a folder: plainly, in a mirror of the hub, or in the hub client's cache."""
    yield folder / weight.file
    yield folder / Path(weight.file).name
    yield folder / weight.repository / weight.file
    snapshots = folder / f"models--{weight.repository.replace('/', '--')}" / "snapshots"
    for snapshot in sorted(snapshots.glob("*")):
        yield snapshot / weight.file


def _fetch(weight: WeightFile, address: str, cache: Path | None) -> Path:
    """Bring a file of a bucket here, unless the cache has one of the same size."""
    import fsspec
    from fsspec.core import url_to_fs

    if cache is None:
        raise InputError(f"{address} is a bucket address: say in which folder its files are kept here")
    name = Path(weight.file).name
    whole = address if address.endswith(Path(name).suffix) else f"{address.rstrip('/')}/{name}"
    filesystem, path = url_to_fs(whole)
    if not filesystem.isfile(path):
        raise WeightsMissing(missing(weight, address))
    target = cache / name
    if not target.is_file() or target.stat().st_size != filesystem.size(path):
        with atomic_file(target) as part, fsspec.open(whole, "rb") as source, part.open("wb") as copy:
            while block := source.read(1 << 24):
                copy.write(block)
    return target.resolve()
