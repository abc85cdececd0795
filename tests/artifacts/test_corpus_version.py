from dataclasses import replace

import pytest

from nava.artifacts.corpus_version import CorpusVersion, read_corpus_version, write_corpus_version
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.storage import read_json, write_json

VERSION = CorpusVersion(
    version="v2",
    parent="v1",
    content_sha256="c" * 64,
    dvc_md5="d" * 32 + ".dir",
    git_revision="e" * 40,
    repository="corpus",
    remote_url="s3://corpora/toy",
    counts={"in": 3, "kept": 2, "dropped": 1, "failed": 0, "quarantined": 0},
    kept_by_split={"train/av": 2},
)


@pytest.fixture
def handle(tmp_path):
    return write_corpus_version(tmp_path / "version.json", VERSION)


def test_a_version_survives_a_round_trip(handle):
    assert read_corpus_version(handle) == VERSION
    assert read_corpus_version(Handle.from_dict(handle.to_dict())) == VERSION


def test_the_identity_is_the_content(handle, tmp_path):
    later = write_corpus_version(tmp_path / "later.json", replace(VERSION, git_revision="f" * 40))
    assert handle.sha256 == later.sha256 == VERSION.content_sha256
    assert handle.meta["counts"]["kept"] == 2


def test_a_missing_file_is_the_users_to_mend(handle):
    handle.path.unlink()
    with pytest.raises(InputError, match="does not exist"):
        read_corpus_version(handle)


def test_another_schema_version_is_refused(handle):
    write_json(handle.path, read_json(handle.path) | {"schema_version": 99})
    with pytest.raises(InputError, match="schema version 99"):
        read_corpus_version(handle)


def test_a_file_that_belongs_to_another_handle_is_refused(handle):
    write_json(handle.path, read_json(handle.path) | {"content_sha256": "0" * 64})
    with pytest.raises(InputError, match="holds 000000000000"):
        read_corpus_version(handle)


def test_another_kind_is_refused(handle):
    with pytest.raises(InputError, match="corpus_version"):
        read_corpus_version(replace(handle, kind="clips"))
