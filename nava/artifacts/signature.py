"""Signatures of folders: OpenSSF model signing with an elliptic-curve key that the platform makes for itself.

A signature is a Sigstore bundle over the sha256 of every file: a changed, added or missing file is found by name.
"""

import os
import re
import stat
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError, NavaError
from nava.runtime.hashing import sha256_file
from nava.runtime.storage import write_bytes

PRIVATE_KEY_FILE = "package-signing.key"
PUBLIC_KEY_FILE = "package-signing.pub"


class SignatureRefused(NavaError):  # noqa: N818 - a refusal, worded for the user
    """A folder is not what its signature says; nothing of it was loaded."""


@dataclass(frozen=True)
class SigningKey:
    """A key pair on disk.

    Attributes:
        private: PEM file readable by its owner only.
        public: PEM file that whoever verifies is given, apart from the package.
    """

    private: Path
    public: Path

    @property
    def fingerprint(self) -> str:
        """sha256 of the public key's file."""
        return sha256_file(self.public)


def ensure_signing_key(directory: Path) -> SigningKey:
    """The key pair in `directory`; a NIST P-256 pair is made on first use (private key mode 0600).

    Raises:
        InputError: the private key can be read by others, or is no elliptic-curve key.
    """
    key = SigningKey(directory / PRIVATE_KEY_FILE, directory / PUBLIC_KEY_FILE)
    if not key.private.exists():
        _create_private_key(key.private)
    if stat.S_IMODE(key.private.stat().st_mode) & 0o077:
        raise InputError(f"{key.private} can be read by other users: chmod 600 it, or delete it for a new one")
    public = _public_pem(key.private)
    if not key.public.exists() or key.public.read_bytes() != public:
        write_bytes(key.public, public)
    return key


def sign_folder(folder: Path, signature: Path, key: SigningKey) -> None:
    """Sign every file of `folder` except `signature` itself, which is written last and atomically."""
    from model_signing import signing

    with tempfile.TemporaryDirectory() as scratch:
        bundle = Path(scratch) / "bundle.json"
        config = signing.Config().use_elliptic_key_signer(private_key=key.private)
        config.set_hashing_config(_hashing(folder, signature)).sign(folder, bundle)
        write_bytes(signature, bundle.read_bytes())


def verify_folder(folder: Path, signature: Path, public_key: Path) -> None:
    """Return only if `signature` was made by the key and every file of `folder` is as it was signed.

    Args:
        folder: what was signed.
        signature: the Sigstore bundle, inside the folder or outside.
        public_key: the trusted key; never take it from the folder itself.

    Raises:
        InputError: the public key is missing.
        SignatureRefused: no signature, another key, or a file that was changed, added or removed; the message names it.
    """
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    if not public_key.is_file():
        raise InputError(f"no public key at {public_key}: name the one that belongs to the signing key")
    if not signature.is_file():
        raise SignatureRefused(f"{folder} carries no signature ({signature.name}): not loaded")
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
        config.set_hashing_config(_hashing(folder, signature)).verify(folder, signature)
    except InvalidSignature as error:
        raise SignatureRefused(
            f"the signature of {folder} does not belong to the key {public_key}: not loaded"
        ) from error
    # A bundle that was tampered with can fail in many ways inside the parser; every one of them is a refusal.
    except Exception as error:
        raise SignatureRefused(f"{folder} is not what was signed, not loaded: {_finding(str(error))}") from error


def _finding(message: str) -> str:
    """The library's message without its raw digests: which files were changed, added or removed."""
    changed = re.findall(r"Hash mismatch for \\?'(.+?)\\?': Expected", message)
    others = re.findall(r"(Extra|Missing) files (?:found )?in model \\?'.*?\\?': (.+?)[\"']?[,\]]", message)
    found = [f"{name} was changed" for name in changed]
    found += [f"{names} was {'added' if kind == 'Extra' else 'removed'}" for kind, names in others]
    return "; ".join(found) or message or "the signature cannot be read"


def _hashing(folder: Path, signature: Path) -> Any:
    from model_signing import hashing

    ignored = [signature.relative_to(folder)] if signature.is_relative_to(folder) else []
    # Files named like git's are part of a package as any other: ignoring them would let unsigned files in.
    return hashing.Config().set_ignored_paths(paths=ignored, ignore_git_paths=False)


def _create_private_key(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, never replaces the key that another process made meanwhile.
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)


def _public_pem(private_key: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_private_key(private_key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise InputError(f"{private_key} is not an unencrypted PEM key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InputError(f"{private_key} is not an elliptic-curve key")
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
