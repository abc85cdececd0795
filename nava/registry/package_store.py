"""Where packages lie: a folder or a bucket, each package under its own sha256."""

import shutil
from pathlib import Path

import fsspec

from nava.artifacts.model_package import DESCRIPTION_FILE, SIGNATURE_FILE, package_sha256, sign_package
from nava.artifacts.signature import SigningKey
from nava.config.registry import RegistryConfig
from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_folder


def package_root(config: RegistryConfig, run_dir: Path) -> str:
    """The address under which packages are put."""
    return config.package_uri or str(run_dir.resolve() / "packages")


def key_directory(config: RegistryConfig, run_dir: Path) -> Path:
    """Where the signing key lies."""
    return Path(config.key_dir) if config.key_dir else run_dir.resolve() / "keys"


def publish_package(folder: Path, root: str, key: SigningKey) -> str:
    """Sign a package and put it under `root`; return its address. A package that is there already is left alone.

    Args:
        folder: the package without a signature.
        root: local folder or fsspec address.
        key: signs the package.
    """
    sha256 = package_sha256(folder)
    if "://" not in root:
        target = Path(root) / sha256
        # The signature is left out: it is made in place, so that a kill in between is mended by signing again.
        if not target.is_dir() or package_sha256(target) != sha256:
            with atomic_folder(target) as part:
                shutil.copytree(folder, part, dirs_exist_ok=True, copy_function=shutil.copyfile)
        sign_package(target, key)
        return str(target)
    sign_package(folder, key)
    filesystem, path = fsspec.core.url_to_fs(f"{root.rstrip('/')}/{sha256}")
    if not filesystem.exists(f"{path}/{SIGNATURE_FILE}"):
        files = sorted(item.relative_to(folder).as_posix() for item in folder.rglob("*") if item.is_file())
        # The signature goes last: without it the package does not load.
        for name in sorted(files, key=lambda name: name == SIGNATURE_FILE):
            filesystem.makedirs(f"{path}/{name}".rpartition("/")[0], exist_ok=True)
            filesystem.put_file(str(folder / name), f"{path}/{name}")
    return f"{root.rstrip('/')}/{sha256}"


def fetch_package(uri: str, cache: Path) -> Path:
    """The package on this machine: its own folder, or a copy of the bucket's under `cache`. Not yet verified.

    Raises:
        InputError: there is no package at that address.
    """
    if "://" not in uri:
        return Path(uri)
    target = cache / uri.rstrip("/").rpartition("/")[2]
    if target.is_dir():
        return target
    filesystem, path = fsspec.core.url_to_fs(uri)
    if not filesystem.exists(f"{path}/{DESCRIPTION_FILE}"):
        raise InputError(f"no model package at {uri}")
    with atomic_folder(target) as part:
        for name in filesystem.find(path):
            local = part / name[len(path) :].lstrip("/")
            if not local.resolve().is_relative_to(part.resolve()):
                raise InputError(f"{uri} holds a file that leads outside the package: {name}")
            local.parent.mkdir(parents=True, exist_ok=True)
            filesystem.get_file(name, str(local))
    return target
