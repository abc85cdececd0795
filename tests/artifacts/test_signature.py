import stat

import pytest

from nava.artifacts.signature import SignatureRefused, ensure_signing_key, sign_folder, verify_folder
from nava.runtime.errors import InputError


@pytest.fixture
def key(tmp_path):
    return ensure_signing_key(tmp_path / "keys")


@pytest.fixture
def signed(tmp_path, key):
    folder = tmp_path / "model"
    (folder / "codec").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"weights")
    (folder / "codec" / "config.json").write_text("{}")
    sign_folder(folder, folder / "signature.json", key)
    return folder


def verify(folder, key):
    verify_folder(folder, folder / "signature.json", key.public)


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path, key):
    before = key.private.read_bytes()
    again = ensure_signing_key(tmp_path / "keys")
    assert again == key
    assert key.private.read_bytes() == before
    assert stat.S_IMODE(key.private.stat().st_mode) == 0o600
    assert b"PRIVATE" not in key.public.read_bytes()
    assert not list((tmp_path / "keys").glob("*.part"))


def test_a_lost_public_key_is_derived_again(tmp_path, key):
    fingerprint = key.fingerprint
    key.public.unlink()
    assert ensure_signing_key(tmp_path / "keys").fingerprint == fingerprint


def test_a_key_that_others_can_read_is_refused(tmp_path, key):
    key.private.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        ensure_signing_key(tmp_path / "keys")


def test_a_file_that_is_no_key_is_refused(tmp_path):
    (tmp_path / "package-signing.key").write_text("not a key")
    (tmp_path / "package-signing.key").chmod(0o600)
    with pytest.raises(InputError, match="not an unencrypted PEM key"):
        ensure_signing_key(tmp_path)


def test_what_was_signed_verifies_also_under_another_name(tmp_path, signed, key):
    verify(signed, key)
    verify(signed.rename(tmp_path / "elsewhere"), key)


@pytest.mark.parametrize("name", ["weights.bin", "codec/config.json"])
def test_a_changed_file_is_named(signed, key, name):
    (signed / name).write_bytes(b"other")
    with pytest.raises(SignatureRefused, match=f"not loaded: {name} was changed$"):
        verify(signed, key)


@pytest.mark.parametrize("name", ["extra.py", ".gitignore", ".git/config"])
def test_an_added_file_is_named_even_if_git_would_hide_it(signed, key, name):
    (signed / name).parent.mkdir(exist_ok=True)
    (signed / name).write_text("smuggled")
    with pytest.raises(SignatureRefused, match=f"not loaded: {name} was added$"):
        verify(signed, key)


def test_a_removed_file_is_named(signed, key):
    (signed / "weights.bin").unlink()
    with pytest.raises(SignatureRefused, match=r"not loaded: weights\.bin was removed$"):
        verify(signed, key)


def test_several_findings_are_all_named(signed, key):
    (signed / "weights.bin").write_bytes(b"other")
    (signed / "codec" / "config.json").unlink()
    (signed / "extra").write_text("")
    with pytest.raises(SignatureRefused) as refusal:
        verify(signed, key)
    for finding in (r"weights.bin was changed", "codec/config.json was removed", "extra was added"):
        assert finding in str(refusal.value)


def test_a_link_in_the_place_of_a_file_is_refused(tmp_path, signed, key):
    (tmp_path / "same").write_bytes(b"weights")
    (signed / "weights.bin").unlink()
    (signed / "weights.bin").symlink_to(tmp_path / "same")
    with pytest.raises(SignatureRefused, match=r"weights\.bin"):
        verify(signed, key)


def test_the_signature_of_another_key_is_refused(tmp_path, signed):
    other = ensure_signing_key(tmp_path / "other")
    with pytest.raises(SignatureRefused, match=r"[Kk]ey"):
        verify(signed, other)


@pytest.mark.parametrize("bundle", ["", "{}", "[]", '{"verificationMaterial": {}}'])
def test_a_broken_bundle_is_a_refusal_not_a_crash(signed, key, bundle):
    (signed / "signature.json").write_text(bundle)
    with pytest.raises(SignatureRefused, match="not loaded"):
        verify(signed, key)


def test_a_missing_signature_or_key_is_said(signed, key):
    (signed / "signature.json").unlink()
    with pytest.raises(SignatureRefused, match="no signature"):
        verify(signed, key)
    with pytest.raises(InputError, match="no public key"):
        verify_folder(signed, signed / "signature.json", signed / "nowhere.pub")
