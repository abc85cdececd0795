import fsspec
import pytest

from nava.artifacts.model_package import load_package, package_sha256
from nava.artifacts.signature import SignatureRefused, ensure_signing_key
from nava.config.registry import RegistryConfig
from nava.registry.package_store import fetch_package, key_directory, package_root, publish_package
from nava.runtime.errors import InputError
from nava.runtime.storage import write_json


@pytest.fixture
def key(tmp_path):
    return ensure_signing_key(tmp_path / "keys")


@pytest.fixture
def built(tmp_path):
    """The smallest folder that reads as a package."""
    folder = tmp_path / "built"
    (folder / "codec" / "video").mkdir(parents=True)
    (folder / "codec" / "video" / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    fields = {"model_name": "nava", "licence": "MIT", "sources": {}, "files": {}, "schema_version": 1}
    write_json(folder / "package.json", fields)
    return folder


@pytest.fixture
def bucket():
    """An address that only fsspec understands, emptied afterwards."""
    yield "memory://bucket/packages"
    filesystem = fsspec.filesystem("memory")
    if filesystem.exists("/bucket"):
        filesystem.rm("/bucket", recursive=True)


def test_places_follow_the_run_unless_configured(tmp_path):
    assert package_root(RegistryConfig(), tmp_path) == str(tmp_path / "packages")
    assert key_directory(RegistryConfig(), tmp_path) == tmp_path / "keys"
    config = RegistryConfig(package_uri="s3://b/p", key_dir=str(tmp_path / "elsewhere"))
    assert package_root(config, tmp_path) == "s3://b/p"
    assert key_directory(config, tmp_path) == tmp_path / "elsewhere"


def test_a_published_package_lies_under_its_hash_and_loads(tmp_path, built, key):
    uri = publish_package(built, str(tmp_path / "packages"), key)
    sha256 = package_sha256(built)
    assert uri == str(tmp_path / "packages" / sha256)
    folder = fetch_package(uri, tmp_path / "cache")
    assert load_package(folder, key.public, sha256).sha256 == sha256
    assert not (tmp_path / "cache").exists()
    assert not (built / "signature.json").exists()


def test_publishing_again_changes_nothing(tmp_path, built, key):
    uri = publish_package(built, str(tmp_path / "packages"), key)
    signature = fetch_package(uri, tmp_path) / "signature.json"
    before = signature.read_bytes()
    assert publish_package(built, str(tmp_path / "packages"), key) == uri
    assert signature.read_bytes() == before


def test_killed_before_the_signature_the_next_call_signs(tmp_path, built, key):
    uri = publish_package(built, str(tmp_path / "packages"), key)
    folder = fetch_package(uri, tmp_path)
    (folder / "signature.json").unlink()
    with pytest.raises(SignatureRefused, match="no signature"):
        load_package(folder, key.public)
    publish_package(built, str(tmp_path / "packages"), key)
    load_package(folder, key.public)


def test_a_new_key_signs_the_same_content_anew(tmp_path, built, key):
    uri = publish_package(built, str(tmp_path / "packages"), key)
    other = ensure_signing_key(tmp_path / "other")
    assert publish_package(built, str(tmp_path / "packages"), other) == uri
    load_package(fetch_package(uri, tmp_path), other.public)
    with pytest.raises(SignatureRefused):
        load_package(fetch_package(uri, tmp_path), key.public)


def test_a_bucket_keeps_a_package_that_loads_elsewhere(tmp_path, built, key, bucket):
    uri = publish_package(built, bucket, key)
    assert uri == f"{bucket}/{package_sha256(built)}"
    folder = fetch_package(uri, tmp_path / "cache")
    assert load_package(folder, key.public, package_sha256(built)).weights.read_bytes() == b"weights"
    assert (folder / "codec" / "video" / "config.json").is_file()
    assert fetch_package(uri, tmp_path / "cache") == folder
    assert publish_package(built, bucket, key) == uri


def test_tampering_in_the_bucket_is_found_after_fetching(tmp_path, built, key, bucket):
    uri = publish_package(built, bucket, key)
    fsspec.filesystem("memory").pipe(f"{uri.removeprefix('memory:/')}/model.safetensors", b"evil")
    with pytest.raises(SignatureRefused, match=r"model\.safetensors was changed"):
        load_package(fetch_package(uri, tmp_path / "cache"), key.public)


def test_an_empty_address_is_said_and_leaves_nothing(tmp_path, bucket):
    with pytest.raises(InputError, match="no model package at memory://bucket/packages/abc"):
        fetch_package(f"{bucket}/abc", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
