"""A corpus that grows and changes: what is stored again, what is read again, and what a version's record says."""

import json
import shutil

import pytest

from nava.artifacts.clip_manifest import read_clips, write_clips
from nava.artifacts.media_shard import MediaFile, read_media_index, write_media_index
from nava.config.corpus import CorpusConfig
from nava.data.corpus.packing import plan_shards
from nava.data.corpus.snapshot import open_snapshot
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree
from tests.data.corpus.corpus_repositories import CLIP_BYTES, curated, dropped, git, repository, source

NAMES = [f"s{number:02d}" for number in range(8)]


@pytest.fixture
def corpus(tmp_path):
    return repository(tmp_path / "run/corpus")


def shards(corpus, version):
    with open_snapshot(corpus.folder, version.git_revision) as snapshot:
        return {item.shard for item in snapshot.media}


def test_a_grown_corpus_adds_shards_and_needs_neither_old_files_nor_old_shards(corpus, tmp_path):
    first = corpus.publish(curated(tmp_path / "one", NAMES))
    grown = curated(tmp_path / "two", [*NAMES, "new"])
    for path in (tmp_path / "one/media").iterdir():
        (grown / "media" / path.name).unlink()  # version 1 has them
    shutil.rmtree(corpus.folder / ".dvc/cache")  # and its remote
    second = corpus.publish(grown)
    assert shards(corpus, first) < shards(corpus, second)
    assert len(shards(corpus, second) - shards(corpus, first)) == 1
    stored = {"files": 36, "bytes": 36 * CLIP_BYTES, "shards": len(shards(corpus, second)), "new_shards": 1}
    assert second.media == stored
    assert (second.parent, second.counts["kept"]) == ("v1", 18)
    whole = corpus.export(second, tmp_path / "out")
    assert sha256_tree(whole) == second.content_sha256
    assert sha256_tree(corpus.export(first, tmp_path / "old")) == first.content_sha256


def test_the_content_does_not_depend_on_how_it_was_packed(corpus, tmp_path):
    corpus.publish(curated(tmp_path / "one", NAMES[:3]))
    corpus.publish(curated(tmp_path / "two", NAMES[:5]))
    grown = corpus.publish(curated(tmp_path / "three", NAMES))
    whole = repository(tmp_path / "other/corpus", shard_mb=0.1).publish(curated(tmp_path / "four", NAMES[::-1]))
    assert grown.content_sha256 == whole.content_sha256
    assert grown.dvc_md5 != whole.dvc_md5


def test_the_remote_has_an_object_for_each_shard_and_not_for_each_clip(corpus, tmp_path):
    version = corpus.publish(curated(tmp_path / "one", NAMES, clips_each=5))
    objects = [path for path in (tmp_path / "run/corpus-remote").rglob("*") if path.is_file()]
    tables_and_listing = 5
    assert version.media["files"] == 80
    assert len(objects) == version.media["shards"] + tables_and_listing


def test_the_working_copy_is_empty_and_git_is_clean(corpus, tmp_path):
    corpus.publish(curated(tmp_path / "one", NAMES))
    assert not corpus.store.working_copy.exists()
    assert git(corpus.folder, "status", "--short") == ""


def test_a_record_names_parent_recipe_stages_and_origins(corpus, tmp_path):
    others = [dropped(source("s00"), 9), dropped(source("bad", origin="web"), 0, "undecodable", "quarantined")]
    clips = curated(tmp_path / "one", NAMES[:2], others=others, stage_versions={"scenes": "2", "text": "1"})
    rows = read_clips(clips).to_pylist()
    rows[0]["stage_versions"] = {"scenes": "1"}
    write_clips(clips, rows)
    corpus.publish(clips, recipe="demo", config_sha256="c" * 64)
    recorded = json.loads(git(corpus.folder, "show", "v1:corpus.json"))
    assert (recorded["recipe"], recorded["config_sha256"]) == ("demo", "c" * 64)
    assert recorded["stage_versions"] == {"scenes": ["1", "2"], "text": ["1"]}
    assert recorded["counts"] == {"in": 6, "kept": 4, "dropped": 1, "failed": 0, "quarantined": 1}
    assert recorded["counts_by_origin"] == {
        "test": {"sources": 2, "kept": 4, "dropped": 1, "failed": 0, "quarantined": 0},
        "web": {"sources": 1, "kept": 0, "dropped": 0, "failed": 0, "quarantined": 1},
    }


def test_a_version_keeps_the_reasons_of_what_was_dropped_and_its_sources(corpus, tmp_path):
    version = corpus.publish(curated(tmp_path / "one", ["s00"], others=[dropped(source("s00"), 9)]))
    with open_snapshot(corpus.folder, version.version) as snapshot:
        assert [row["drop_reason"] for row in snapshot.others.to_pylist()] == ["silent"]
        (row,) = snapshot.sources.to_pylist()
    assert row == {**source("s00"), "kept": 2, "dropped": 1, "failed": 0, "quarantined": 0}


def test_thumbnails_stay_behind(corpus, tmp_path):
    clips = curated(tmp_path / "one", ["s00"], thumbnail_path="thumbnails/x.jpg")
    version = corpus.publish(clips)
    assert read_clips(corpus.export(version, tmp_path / "out"))["thumbnail_path"].null_count == 2


def test_one_clip_is_read_without_unpacking(corpus, tmp_path):
    clips = curated(tmp_path / "one", NAMES)
    version = corpus.publish(clips)
    path = read_clips(clips)["audio_path"].to_pylist()[3]
    with open_snapshot(corpus.folder, version.version) as snapshot:
        assert snapshot.read(path) == (clips / path).read_bytes()
        with pytest.raises(InputError, match="no file media/none"):
            snapshot.read("media/none")


def test_a_changed_file_is_refused_when_it_is_packed(corpus, tmp_path):
    clips = curated(tmp_path / "one", ["s00"])
    path = read_clips(clips)["audio_path"].to_pylist()[0]
    (clips / path).write_bytes(b"?" * CLIP_BYTES)
    with pytest.raises(InputError, match=f"{path} is not what the manifest says"):
        corpus.publish(clips)
    assert corpus.versions() == []


def test_a_missing_file_is_named(corpus, tmp_path):
    clips = curated(tmp_path / "one", ["s00"])
    path = read_clips(clips)["audio_path"].to_pylist()[0]
    (clips / path).unlink()
    with pytest.raises(InputError, match=path):
        corpus.publish(clips)


@pytest.mark.parametrize("path", ["../secret.wav", "/etc/passwd", "media/../../secret.wav"])
def test_a_manifest_cannot_reach_out_of_its_folder(corpus, tmp_path, path):
    (tmp_path / "secret.wav").write_bytes(b"secret")
    clips = curated(tmp_path / "one", ["s00"])
    rows = read_clips(clips).to_pylist()
    rows[0] |= {"audio_path": path, "audio_sha256": None}
    write_clips(clips, rows)
    with pytest.raises(InputError, match="which is not in"):
        corpus.publish(clips)


def test_an_index_cannot_reach_out_of_its_folder(tmp_path):
    (shard,) = plan_shards({"../x": MediaFile("../x", "0" * 64, 1, "s")}, [], 10).new
    with (tmp_path / "media.parquet").open("wb") as file:
        write_media_index(file, shard)
    with (tmp_path / "media.parquet").open("rb") as file, pytest.raises(ValueError, match="leads out"):
        read_media_index(file)


def test_another_remote_gets_every_version(corpus, tmp_path):
    versions = [corpus.publish(curated(tmp_path / name, NAMES[:count])) for name, count in (("one", 2), ("two", 4))]
    moved = repository(corpus.folder, remote_url=str(tmp_path / "bucket"))
    assert moved.publish(curated(tmp_path / "three", NAMES[:4])).version == "v2"
    shutil.rmtree(corpus.folder / ".dvc/cache")
    shutil.rmtree(tmp_path / "run/corpus-remote")
    for version in versions:
        assert sha256_tree(moved.export(version, tmp_path / version.version)) == version.content_sha256
    assert git(corpus.folder, "status", "--short") == ""


@pytest.mark.parametrize("url", ["s3://key:secret@bucket/x", "https://user:word@host/repository"])
def test_an_address_with_a_password_is_refused_without_repeating_it(url):
    for name in ("remote_url", "git_url", "remote_endpoint_url"):
        with pytest.raises(InputError, match=f"corpus.{name}") as caught:
            CorpusConfig(**{name: url}).check()
        assert "secret" not in str(caught.value)
        assert "word@" not in str(caught.value)


def test_settings_that_no_run_could_use_are_refused():
    CorpusConfig().check()
    with pytest.raises(InputError, match=r"corpus\.shard_mb"):
        CorpusConfig(shard_mb=0).check()
    with pytest.raises(InputError, match=r"corpus\.on_forgotten"):
        CorpusConfig(on_forgotten="ask").check()
