"""What changed between two versions, and the files that say it."""

import json
import shutil

import pytest

from nava.artifacts.clip_manifest import read_clips, write_clips
from nava.data.corpus import diff as corpus_diff
from nava.data.corpus.diff import diff
from nava.data.corpus.forget import forget
from nava.runtime.errors import InputError
from tests.data.corpus.corpus_repositories import curated, dropped, repository, source

NAMES = [f"s{number:02d}" for number in range(4)]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """v1: s00-s03. v2: s01 has a new caption, a clip of s02 is dropped, s03 is undecodable, s04 and a clip are new."""
    tmp_path = tmp_path_factory.mktemp("diff")
    corpus = repository(tmp_path / "run/corpus")
    corpus.publish(curated(tmp_path / "one", NAMES, others=[dropped(source("s00"), 9)], sharpness=0.5))
    clips = curated(tmp_path / "two", [*NAMES[:3], "s04"], clips_each=3, sharpness=0.5, stage_versions={"text": "2"})
    rows = read_clips(clips).to_pylist()
    ids = {(row["src_path"], row["t0_us"] // 1000): row for row in rows}
    ids["s01.mp4", 0] |= {"caption": "a new caption", "tags": ["talk"]}
    gone = [ids["s02.mp4", 0], ids["s02.mp4", 2], ids["s00.mp4", 2], ids["s01.mp4", 2]]
    rows = [row for row in rows if row not in gone]
    later = {**ids["s00.mp4", 2], "clip_id": dropped(source("s00"), 9)["clip_id"]}
    reasons = [
        dropped(source("s02"), 0, "silent", detail="-80 LUFS", t1_us=1000),
        dropped(source("s03"), 7, "undecodable", status="quarantined"),
    ]
    write_clips(clips, [*rows, later, *reasons])
    corpus.publish(clips, recipe="other")
    return corpus


@pytest.fixture
def corpus(published, tmp_path):
    shutil.copytree(published.folder.parent, tmp_path / "run")
    return repository(tmp_path / "run/corpus")


def reasons(moves):
    return sorted((move.src_path, move.status, move.reason) for move in moves)


def test_every_clip_is_accounted_for(corpus):
    found = diff(str(corpus.folder))
    assert (found.old.version, found.new.version) == ("v1", "v2")
    assert len(found.removed) + len(found.changed) + found.unchanged == found.old.counts["kept"] == 8
    assert len(found.added) + len(found.changed) + found.unchanged == found.new.counts["kept"]


def test_removed_clips_carry_the_reason_that_the_new_manifest_gives(corpus):
    assert reasons(diff(str(corpus.folder)).removed) == [
        ("s02.mp4", "dropped", "silent"),
        ("s03.mp4", "quarantined", "undecodable"),
        ("s03.mp4", "quarantined", "undecodable"),
    ]


def test_added_clips_say_what_they_were_before(corpus):
    new = [("s04.mp4", "", "new_source")] * 3
    assert reasons(diff(str(corpus.folder)).added) == [("s00.mp4", "dropped", "silent"), *new]


def test_changed_clips_name_their_columns(corpus):
    (columns,) = diff(str(corpus.folder)).changed.values()
    assert columns == ["tags", "caption"]


def test_sources_stages_and_shards_are_compared(corpus):
    found = diff(str(corpus.folder), "v1", "v2")
    assert [row["src_path"] for row in found.sources_added] == ["s04.mp4"]
    assert found.sources_removed == []
    assert found.stages == {"text": [[], ["2"]]}
    assert found.shards["added_bytes"] > 0


def test_distributions_of_absent_columns_are_named(corpus, monkeypatch):
    monkeypatch.setitem(corpus_diff.NUMERIC_COLUMNS, "a_column_of_later", "")
    found = diff(str(corpus.folder))
    assert {shift.column for shift in found.numeric} >= {"sharpness", "lufs"}
    assert found.not_compared == ["a_column_of_later"]
    tags = next(shift for shift in found.categories if shift.column == "tags")
    assert (tags.old, tags.new["talk"]) == ({"": 8}, 1)


def test_the_other_way_round_added_is_removed(corpus):
    there, back = diff(str(corpus.folder), "v1", "v2"), diff(str(corpus.folder), "v2", "v1")
    assert {move.clip_id for move in there.added} == {move.clip_id for move in back.removed}
    assert there.changed.keys() == back.changed.keys()


def test_a_version_does_not_differ_from_itself(corpus):
    found = diff(str(corpus.folder), "v2", "v2")
    assert (found.added, found.removed, found.changed) == ([], [], {})
    assert all(shift.psi in (0, None) for shift in [*found.numeric, *found.categories])


def test_forgotten_sources_are_called_so(corpus):
    forget(corpus.folder, "s04.mp4", "asked", corpus.config)
    found = diff(str(corpus.folder))
    assert reasons(found.removed) == [("s04.mp4", "", "forgotten")] * 3
    assert found.new.reason.endswith("asked")
    assert [row["src_path"] for row in found.sources_removed] == ["s04.mp4"]


def test_only_manifests_are_read(corpus):
    with corpus_diff.open_snapshot(corpus.folder, "v2") as snapshot:
        shards = {md5 for name, md5 in snapshot.hashes().items() if name.startswith("shards/")}
    shutil.rmtree(corpus.remote_url)
    for md5 in shards:
        path = corpus.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        path.unlink()
    assert diff(str(corpus.folder)).new.version == "v2"


def test_the_first_version_has_nothing_to_be_compared_with(corpus):
    with pytest.raises(InputError, match="v1 has no parent"):
        diff(str(corpus.folder), new="v1")


def test_json_and_page_are_written(corpus, tmp_path):
    found = diff(str(corpus.folder))
    page = found.write(tmp_path / "out")
    assert json.loads((tmp_path / "out/diff.json").read_text()) == json.loads(json.dumps(found.to_dict()))
    assert "Corpus v1 → v2" in page.read_text()
