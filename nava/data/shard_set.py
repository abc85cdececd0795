"""Sets of shards in buckets: what is needed of one before its shards, and how one gets there."""

from pathlib import Path

from nava.artifacts.bucket_files import bucket_file
from nava.artifacts.latent_shard import CODEC_FOLDER, INDEX_FILE, RECONSTRUCTION_FILE, read_index
from nava.artifacts.store_faults import patiently, store_errors
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes
from nava.runtime.storage import is_part

_SETS = "sets"
_NAME_DIGITS = 16


def is_remote(location: str) -> bool:
    """Whether a location is the address of a bucket."""
    return "://" in location and not location.startswith("file://")


def fetched_set(address: str, cache_folder: Path) -> Path:
    """The index and the encoders of a set in a bucket, on this machine; those parts that changed are fetched.

    Raises:
        UnavailableError: the store does not answer, several times.
        InputError: there is no index, or something cannot be fetched.
    """
    address = address.rstrip("/")
    folder = cache_folder / _SETS / sha256_bytes(address.encode())[:_NAME_DIGITS]
    for name in (INDEX_FILE, *_names_below(f"{address}/{CODEC_FOLDER}", CODEC_FOLDER)):
        file = bucket_file(f"{address}/{name}")
        if file is None:
            raise InputError(f"no latent shards at {address}: {name} is missing; upload the set again")
        file.fetch((folder / name).parent)
    return folder


def _names_below(address: str, prefix: str) -> list[str]:
    """Files below a folder of a bucket, as paths that begin with ``prefix``."""
    root, found = patiently(lambda: _listed(address))
    base = root.strip("/")
    names = [name.strip("/").removeprefix(base).lstrip("/") for name in found]
    for name in names:
        if ".." in name.split("/"):
            raise InputError(f"{address} has a file named {name!r}, which would lie outside the set")
    return sorted(f"{prefix}/{name}" for name in names)


def _listed(address: str) -> tuple[str, list[str]]:
    """A folder of a bucket as its file system names it, and the files below it."""
    from fsspec.core import url_to_fs

    with store_errors(address, "listed"):
        filesystem, root = url_to_fs(address)
        filesystem.invalidate_cache()
        return str(root), [str(name) for name in filesystem.find(root)]


def upload_set(folder: Path, address: str) -> list[str]:
    """Copy a set to a bucket, the index last: without it there is no set, however the copying ends.

    Returns:
        The names of the files, in the order they were copied.

    Raises:
        InputError: the folder holds no set, or the bucket cannot be written.
    """
    import fsspec

    shards = sorted({entry.shard for entry in read_index(folder)})
    encoders = sorted(
        path.relative_to(folder).as_posix()
        for path in (folder / CODEC_FOLDER).rglob("*")
        if path.is_file() and not is_part(path)
    )
    report = [RECONSTRUCTION_FILE] if (folder / RECONSTRUCTION_FILE).is_file() else []
    names = [*shards, *encoders, *report, INDEX_FILE]
    for name in names:
        target = f"{address.rstrip('/')}/{name}"
        try:
            filesystem, path = fsspec.core.url_to_fs(target)
            filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            filesystem.put_file(str(folder / name), path)
        except Exception as error:  # each store has exceptions of its own
            raise InputError(f"{target} cannot be written: {error}") from error
    return names
