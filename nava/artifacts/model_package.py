"""The model package: everything that turns a prompt into a clip, in one signed folder that loads anywhere.

::

    model.safetensors      the weights; large ones as model-00001-of-0000N.safetensors with model.safetensors.index.json
    config.json            the model's architecture
    generation.json        clip size, longest clip and sampler settings that it was evaluated with
    negative_prompts.json  optional: the texts that the release mode guides away from
    codec/                 video/, audio/, text/, optionally timbre/: codecs and encoders, each with its config.json.
                           Published weights are referred to (file, sha256, size, repository, licence), not contained
    README.md              model card: what it is for, how well it does, licences
    package.json           this module's schema: the contents with their hashes, and what it was made from
    signature.json         Sigstore bundle (OpenSSF model signing) over all of the above

The package's sha256 covers everything but the signature, which is different each time it is made. Weights are linked or
copied, never read into memory.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nava.artifacts.licences import licence_section
from nava.artifacts.signature import SignatureRefused, SigningKey, sign_folder, verify_folder
from nava.artifacts.weight_files import INDEX_SUFFIX, shard_map
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes, sha256_file
from nava.runtime.storage import link_or_copy, read_json, write_json, write_text

KIND = "model_package"
SCHEMA_VERSION = 1
WEIGHTS_FILE = "model.safetensors"
WEIGHTS_INDEX = f"model{INDEX_SUFFIX}"
CONFIG_FILE = "config.json"
CODEC_FOLDER = "codec"
GENERATION_FILE = "generation.json"
NEGATIVE_PROMPTS_FILE = "negative_prompts.json"
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
    """A package on this machine, whose files are known to be those of its description."""

    folder: Path
    sha256: str
    description: PackageDescription

    @property
    def weights(self) -> Path:
        """The weights: a safetensors file, or the index of several."""
        index = self.folder / WEIGHTS_INDEX
        return index if index.is_file() else self.folder / WEIGHTS_FILE

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
        """The folder of the codecs and the encoders."""
        return self.folder / CODEC_FOLDER

    @property
    def negative_prompts(self) -> Path | None:
        """The texts that the release mode guides away from, if the package has them (JSON)."""
        path = self.folder / NEGATIVE_PROMPTS_FILE
        return path if path.is_file() else None


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
    """Fill an empty folder from a checkpoint of training. Arguments and errors else as of `assemble_package`.

    Args:
        folder: exists and is empty.
        checkpoint: folder with ``model.safetensors`` and ``model_config.json``.
        codec: folder of the codecs.
        generation: clip size and sampler settings.
        card: text of the model card.
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
    return assemble_package(
        folder,
        weights=weights,
        config=read_json(config),
        codec=codec,
        generation=generation,
        card=card,
        model_name=model_name,
        licence=licence,
        sources=sources,
    )


def assemble_package(
    folder: Path,
    *,
    weights: Path,
    config: dict[str, Any],
    codec: Path,
    generation: dict[str, Any],
    card: str,
    model_name: str,
    licence: str,
    sources: dict[str, str],
    negative_prompts: dict[str, str] | None = None,
) -> str:
    """Fill an empty folder with everything but the signature; return the package's sha256.

    Args:
        folder: exists and is empty.
        weights: a safetensors file, or the index of several, which are taken along.
        config: the model's architecture.
        codec: folder of the codecs and encoders; taken whole.
        generation: latent shapes `video_shape` and `audio_shape`, `fps`, `max_seconds`, and the `sampler` settings.
        card: text of the model card; must not depend on time or place, since it is part of the hash. The licences of
            weights that the codecs refer to are added to it.
        model_name: name of the registered model.
        licence: SPDX id of the weights' licence.
        sources: sha256 of what the package is made from, by artifact kind.
        negative_prompts: texts that the release mode guides away from, by modality.

    Raises:
        InputError: a file is missing, a codec's is a link, or a description of a codec is damaged.
    """
    for source, name in _weight_files(weights):
        link_or_copy(source, folder / name)
    write_json(folder / CONFIG_FILE, config)
    for path in _codec_files(codec):
        copy = folder / CODEC_FOLDER / path.relative_to(codec)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    write_json(folder / GENERATION_FILE, generation)
    if negative_prompts is not None:
        write_json(folder / NEGATIVE_PROMPTS_FILE, negative_prompts)
    write_text(folder / CARD_FILE, card + licence_section(codec))
    description = PackageDescription(model_name, licence, dict(sorted(sources.items())), _file_hashes(folder))
    write_json(folder / DESCRIPTION_FILE, asdict(description))
    hashes = description.files | {DESCRIPTION_FILE: sha256_file(folder / DESCRIPTION_FILE)}
    return _sha256_of(hashes)


def sign_package(folder: Path, key: SigningKey) -> None:
    """Sign the package, unless it already carries a good signature of this key."""
    signature = folder / SIGNATURE_FILE
    try:
        verify_folder(folder, signature, key.public)
    except SignatureRefused:
        sign_folder(folder, signature, key)


def package_sha256(folder: Path) -> str:
    """The content address: sha256 over the paths and hashes of all files but the signature."""
    return _sha256_of(_file_hashes(folder, but=(SIGNATURE_FILE,)))


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


def load_unsigned(folder: Path) -> ModelPackage:
    """A package of which every file is as its own description says, whoever wrote that: no signature is looked at.

    Args:
        folder: the package on this machine.

    Raises:
        InputError: no package there; or a file is missing, is another one, or is not in the description.
    """
    if not folder.is_dir():
        raise InputError(f"no model package at {folder}")
    description = read_description(folder)
    # A link to a folder counts as a file, so that nothing can be read through it.
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    found = {path.relative_to(folder).as_posix() for path in paths} - {DESCRIPTION_FILE, SIGNATURE_FILE}
    if missing := sorted(set(description.files) - found):
        raise InputError(f"{folder} lacks {missing[0]}: copy the package again, it is not whole")
    if extra := sorted(found - set(description.files)):
        raise InputError(f"{folder / extra[0]} is no file of the package, which {DESCRIPTION_FILE} lists: remove it")
    for name, digest in description.files.items():
        if not (folder / name).is_file() or sha256_file(folder / name) != digest:
            raise InputError(f"{folder / name} is not the file that the package was made with: copy the package again")
    hashes = description.files | {DESCRIPTION_FILE: sha256_file(folder / DESCRIPTION_FILE)}
    return ModelPackage(folder, _sha256_of(hashes), description)


def read_description(folder: Path) -> PackageDescription:
    """Read ``package.json``. InputError when it is missing, damaged, incomplete or of another schema version."""
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        raise InputError(f"{folder} is not a model package: it has no {DESCRIPTION_FILE}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} describes no package: it is no JSON object")
    if value.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path} has schema version {value.get('schema_version')!r}; this code reads {SCHEMA_VERSION}")
    if set(value) != {field.name for field in fields(PackageDescription)}:
        raise InputError(f"{path} does not have the fields of a package description: {', '.join(sorted(value))}")
    for name in ("sources", "files"):
        table = value[name]
        if not isinstance(table, dict) or not all(isinstance(digest, str) for digest in table.values()):
            raise InputError(f"{path}: {name} must be an object of sha256 by name")
    for name in ("model_name", "licence"):
        if not isinstance(value[name], str):
            raise InputError(f"{path}: {name} must be text")
    return PackageDescription(**value)


def _weight_files(weights: Path) -> Iterator[tuple[Path, str]]:
    """The files of the weights and their names in the package; shards keep theirs, because the index has them."""
    if not weights.is_file():
        raise InputError(f"no weights at {weights}")
    if not weights.name.endswith(INDEX_SUFFIX):
        yield weights.resolve(), WEIGHTS_FILE
        return
    yield weights.resolve(), WEIGHTS_INDEX
    for shard in sorted(set(shard_map(weights).values())):
        if not (weights.parent / shard).is_file():
            raise InputError(f"{weights} names {shard}, which is not beside it")
        yield (weights.parent / shard).resolve(), shard


def _codec_files(codec: Path) -> list[Path]:
    if not codec.is_dir():
        raise InputError(f"no codec folder at {codec}")
    found = sorted(codec.rglob("*"))
    if links := [path for path in found if path.is_symlink()]:
        raise InputError(f"{links[0]} is a link: a package holds files only; copy what it leads to")
    return [path for path in found if path.is_file()]


def _file_hashes(folder: Path, but: tuple[str, ...] = ()) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: sha256_file(path) for name, path in names.items() if name not in but}


def _sha256_of(hashes: dict[str, str]) -> str:
    # The order of paths, folder by folder, which is not the order of their texts.
    paths = sorted(hashes, key=lambda path: path.split("/"))
    return sha256_bytes("".join(f"{path}\0{hashes[path]}\n" for path in paths).encode())
