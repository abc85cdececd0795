"""A curated folder is read once, its records are found by what a user types, its files never outside it."""

import re
from pathlib import Path

import pytest

from nava.console.curated_folder import CuratedFolder
from nava.runtime.errors import InputError
from nava.runtime.storage import write_json
from tests.console.small_corpus import (
    BROKEN,
    COPY,
    KEPT,
    LOOK_KEY,
    SOUND,
    TITLED,
    record,
    validated,
    write_corpus,
    write_tables,
    write_thumbnail,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> CuratedFolder:
    return CuratedFolder(write_corpus(tmp_path_factory.mktemp("curated") / "corpus"))


def test_a_whole_id_and_a_beginning_of_one_only_are_found(folder: CuratedFolder) -> None:
    assert folder.find(KEPT) == KEPT
    assert folder.find("bb3") == COPY
    assert folder.find("src-e") == BROKEN


def test_an_id_that_is_the_beginning_of_another_is_itself(tmp_path: Path) -> None:
    write_tables(tmp_path, [record("ab", "one"), record("abc", "one", t0_us=1)])
    assert CuratedFolder(tmp_path).find("ab") == "ab"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aa", f"2 records .* begin with 'aa': {KEPT}, {SOUND}"),
        (KEPT[:-1] + "9", f"did you mean .*{KEPT}"),
        ("bb39", f"did you mean .*{COPY}"),
        ("video/one.mp4", f"the records of that source: {KEPT}, {COPY}"),
        ("three.mp4", f"the records of that source: {TITLED}"),
        ("zzzz", "nava data serve-report"),
        ("", "no record"),
    ],
)
def test_what_is_not_found_names_what_is_near(folder: CuratedFolder, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        folder.find(text)


def test_a_long_list_of_near_ids_is_cut(tmp_path: Path) -> None:
    write_tables(tmp_path, [record(f"dd{number:02}", "one", t0_us=number) for number in range(30)])
    with pytest.raises(InputError, match="dd07 and 22 more"):
        CuratedFolder(tmp_path).find("dd")


def test_a_folder_without_a_manifest_is_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no curated clips"):
        CuratedFolder(tmp_path / "nothing")
    (tmp_path / "clips.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match="holds no curated clips"):
        CuratedFolder(tmp_path)


def test_records_of_a_source_and_copies_of_a_clip(folder: CuratedFolder) -> None:
    source = folder.row(KEPT)["src_id"]
    assert [row["clip_id"] for row in folder.of_source(source)] == [KEPT, COPY]
    assert folder.of_source("src-none") == []
    assert [row["clip_id"] for row in folder.copies_of(KEPT)] == [COPY]
    assert folder.copies_of(COPY) == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, {KEPT, SOUND, COPY, TITLED, BROKEN}),
        ({"status": "kept"}, {KEPT, SOUND}),
        ({"status": "not_kept"}, {COPY, TITLED, BROKEN}),
        ({"status": "quarantined"}, {BROKEN}),
        ({"reason": "subtitle_text"}, {TITLED}),
        ({"words": "RED square"}, {KEPT}),
        ({"words": "three.mp4"}, {TITLED}),
        ({"words": "colour:red"}, {KEPT}),
        ({"words": "one", "status": "dropped"}, {COPY}),
        ({"words": "red green"}, set()),
    ],
)
def test_records_are_selected(folder: CuratedFolder, asked: dict[str, str], found: set[str]) -> None:
    assert {row["clip_id"] for row in folder.rows(folder.select(**asked))} == found


def test_files_lie_in_the_corpus_or_in_the_work_of_the_curation(folder: CuratedFolder) -> None:
    kept, copy = folder.row(KEPT), folder.row(COPY)
    assert folder.file(kept, "video") == folder.path / "media" / f"{KEPT}.mp4"
    assert folder.file(kept, "thumbnail") == folder.path / "thumbnails" / f"{KEPT}.jpg"
    worked = folder.path / ".work" / "units" / LOOK_KEY / copy["src_id"] / "media"
    assert folder.file(copy, "video") == worked / f"{COPY}.mp4"
    assert folder.file(copy, "sound") == worked / f"{COPY}.flac"
    assert folder.file(copy, "model_sound") == worked / f"{COPY}.wav"
    assert folder.file(folder.row(TITLED), "video") is None
    assert folder.file(folder.row(SOUND), "video") is None


def test_a_kept_clip_has_the_thumbnail_of_its_work_but_never_the_media(tmp_path: Path) -> None:
    row = record(KEPT, "one")
    write_tables(tmp_path, [row])
    unit = tmp_path / ".work" / "units" / LOOK_KEY / row["src_id"]
    write_thumbnail(unit / "thumbnails" / f"{KEPT}.jpg")
    (unit / "media").mkdir()
    (unit / "media" / f"{KEPT}.mp4").write_bytes(b"stale")
    folder = CuratedFolder(tmp_path)
    assert folder.file(folder.row(KEPT), "thumbnail") == (unit / "thumbnails" / f"{KEPT}.jpg").resolve()
    assert folder.file(folder.row(KEPT), "video") is None


@pytest.mark.parametrize("path", ["../secret.mp4", "media/../../secret.mp4", "{outside}", "media/link.mp4"])
def test_a_manifest_cannot_name_files_outside_the_folder(tmp_path: Path, path: str) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    corpus = tmp_path / "corpus"
    (corpus / "media").mkdir(parents=True)
    (corpus / "media" / "link.mp4").symlink_to(secret)
    write_tables(corpus, [record(KEPT, "one", video_path=path.format(outside=secret))])
    folder = CuratedFolder(corpus)
    assert folder.file(folder.row(KEPT), "video") is None


def test_neither_can_an_id_or_a_source_lead_out_of_the_work(tmp_path: Path) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    corpus = tmp_path / "corpus"
    row = record("../" * 5 + "secret", "one", status="dropped", drop_reason="silent", src_id="..")
    write_tables(corpus, [row], recorded=False)
    write_json(corpus / "curation.json", {"look_key": LOOK_KEY})
    (corpus / ".work" / "units" / LOOK_KEY / "media").mkdir(parents=True)
    folder = CuratedFolder(corpus)
    assert folder.file(folder.row(row["clip_id"]), "video") is None


def test_a_pulled_corpus_has_clips_and_nothing_else(tmp_path: Path) -> None:
    write_tables(tmp_path, [record(KEPT, "one")], recorded=False)
    folder = CuratedFolder(tmp_path)
    assert (folder.sources, folder.ignored, folder.record, folder.cost) == ({}, [], {}, {})
    assert folder.setting("curation", "filters", "min_lufs") is None
    assert folder.verdict() is None
    assert folder.work is None


def test_a_verdict_older_than_the_clips_is_outdated(tmp_path: Path) -> None:
    write_tables(tmp_path, [record(KEPT, "one")])
    folder = CuratedFolder(tmp_path)
    for outdated in (False, True):
        validated(tmp_path, outdated=outdated)
        verdict = folder.verdict()
        assert verdict is not None
        assert verdict["outdated"] is outdated
    (tmp_path / "gate" / "verdict.json").write_text("half a fi")
    assert folder.verdict() is None


def test_versions_of_stages_are_a_mapping(folder: CuratedFolder) -> None:
    assert folder.row(KEPT)["stage_versions"]["captions"] == "3"
    assert re.fullmatch(r"[0-9a-f]{24}", folder.ids[0])
