"""Where the project's checkout is: what the wheel does not hold (pipelines, components, deploy) lies there."""

from collections.abc import Iterable
from pathlib import Path

import nava
from nava.runtime.errors import InputError

PIPELINE_FOLDERS = ("pipelines", "components")


def package_root() -> Path:
    """The folder above the package: the checkout, where the package is installed from one."""
    return Path(next(iter(nava.__path__))).resolve().parent


def project_root(folders: Iterable[str] = PIPELINE_FOLDERS) -> Path:
    """The checkout that holds `folders`: the folder above the package, or else the current one.

    Raises:
        InputError: neither of them holds all the folders.
    """
    wanted = tuple(folders)
    for root in (package_root(), Path.cwd()):
        if all((root / folder).is_dir() for folder in wanted):
            return root
    names = " and ".join(f"{folder}/" for folder in wanted)
    raise InputError(f"{names} not found here; run from a checkout of the repository")
