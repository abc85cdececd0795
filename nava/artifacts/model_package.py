"""The model package: everything that turns a prompt into a clip, in one signed folder that loads anywhere.

::

    model.safetensors   the weights
    config.json         the model's architecture
    generation.json     clip size and sampler settings that it was evaluated with
    codec/              the fitted codecs and the text encoder's settings, as the latent shards carried them
    README.md           model card: what it is for, how well it does, licences
    package.json        this module's schema: the contents with their hashes, and what it was made from
    signature.json      Sigstore bundle (OpenSSF model signing) over all of the above

The package's sha256 covers everything but the signature, which is different each time it is made.
"""

import json
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nava.artifacts.signature import SignatureRefused, SigningKey, sign_folder, verify_folder
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes, sha256_file
from nava.runtime.storage import write_json, write_text

KIND = "model_package"
SCHEMA_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CODEC_FOLDER = "codec"
GENERATION_FILE = "generation.json"
CARD_FILE = "README.md"
DESCRIPTION_FILE = "package.json"
SIGNATURE_FILE = "signature.json"


@dataclass(frozen=True)
class PackageDescription:
    """``package.json``.

    Attributes:
        model_name: name of the registered model.
        licence: SPDX id of the weights' licence.
        sources: sha256 of what the package was made from, by artifact kind.
        files: sha256 of every other file, by path relative to the package.
    """

    model_name: str
    licence: str
    sources: dict[str, str]
    files: dict[str, str]
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class ModelPackage:
    """A verified package on this machine."""

    folder: Path
    sha256: str
    description: PackageDescription

    @property
    def weights(self) -> Path:
        """The weights (safetensors)."""
        return self.folder / WEIGHTS_FILE

    @property
    def model_config(self) -> Path:
        """The model's architecture (JSON)."""
        return self.folder / CONFIG_FILE

    @property
    def generation(self) -> Path:
        """Clip size and sampler settings (JSON)."""
        return self.folder / GENERATION_FILE

    @property
    def codec(self) -> Path:
        """The folder of the codecs and the text encoder."""
        return self.folder / CODEC_FOLDER


def write_package(
    folder: Path,
    *,
    checkpoint: Path,
    codec: Path,
    generation: dict[str, Any],
    card: str,
    model_name: str,
    licence: str,
    sources: dict[str, str],
) -> str:
    """Fill an empty folder with everything but the signature; return the package's sha256.

    Args:
        folder: exists and is empty.
        checkpoint: folder with ``model.safetensors`` and ``model_config.json``.
        codec: folder of the codecs; copied whole.
        generation: latent shapes `video_shape` and `audio_shape`, `fps`, and the `sampler` settings.
        card: text of the model card; must not depend on time or place, since it is part of the hash.
        model_name: name of the registered model.
        licence: SPDX id of the weights' licence.
        sources: sha256 of what the package is made from, by artifact kind.

    Raises:
        InputError: the checkpoint or the codec lacks a file.
    """
    weights, config = checkpoint / WEIGHTS_FILE, checkpoint / "model_config.json"
    for needed in (weights, config):
        if not needed.is_file():
            raise InputError(
                f"checkpoint {checkpoint} has no {needed.name}: it is incomplete; run the training step again"
            )
    if not codec.is_dir():
        raise InputError(f"the latent shards have no codec folder ({codec}): run the encode step again")
    shutil.copyfile(weights, folder / WEIGHTS_FILE)
    shutil.copyfile(config, folder / CONFIG_FILE)
    shutil.copytree(codec, folder / CODEC_FOLDER, copy_function=shutil.copyfile)
    write_json(folder / GENERATION_FILE, generation)
    write_text(folder / CARD_FILE, card)
    description = PackageDescription(model_name, licence, dict(sorted(sources.items())), _file_hashes(folder))
    write_json(folder / DESCRIPTION_FILE, asdict(description))
    return package_sha256(folder)


def sign_package(folder: Path, key: SigningKey) -> None:
    """Sign the package, unless it already carries a good signature of this key."""
    signature = folder / SIGNATURE_FILE
    try:
        verify_folder(folder, signature, key.public)
    except SignatureRefused:
        sign_folder(folder, signature, key)


def package_sha256(folder: Path) -> str:
    """The content address: sha256 over the paths and hashes of all files but the signature."""
    lines = [f"{path}\0{digest}\n" for path, digest in _file_hashes(folder, but=(SIGNATURE_FILE,)).items()]
    return sha256_bytes("".join(lines).encode())


def load_package(folder: Path, public_key: Path, expected_sha256: str | None = None) -> ModelPackage:
    """Verify a package, then read its description; nothing else of it is opened before the signature is good.

    Args:
        folder: the package on this machine.
        public_key: the trusted key, from outside the package.
        expected_sha256: the version that is wanted; an older signed package does not pass for it.

    Raises:
        InputError: no package or no key there, or a schema this code does not read.
        SignatureRefused: the package was changed, or is another one than expected; the message names the file.
    """
    if not folder.is_dir():
        raise InputError(f"no model package at {folder}")
    verify_folder(folder, folder / SIGNATURE_FILE, public_key)
    found = package_sha256(folder)
    if expected_sha256 is not None and found != expected_sha256:
        raise SignatureRefused(f"{folder} is package {found}, but {expected_sha256} is wanted: not loaded")
    return ModelPackage(folder, found, read_description(folder))


def read_description(folder: Path) -> PackageDescription:
    """Read ``package.json``. InputError when it is missing, incomplete or of another schema version."""
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        raise InputError(f"{folder} is not a model package: it has no {DESCRIPTION_FILE}")
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if value.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path} has schema version {value.get('schema_version')!r}; this code reads {SCHEMA_VERSION}")
    if set(value) != {field.name for field in fields(PackageDescription)}:
        raise InputError(f"{path} does not have the fields of a package description: {', '.join(sorted(value))}")
    return PackageDescription(**value)


def _file_hashes(folder: Path, but: tuple[str, ...] = ()) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: sha256_file(path) for name, path in names.items() if name not in but}
