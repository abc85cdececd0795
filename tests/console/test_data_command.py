"""`nava data` from the shell's side: one corpus through every command, and wrong input."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from nava.artifacts.clip_manifest import read_clips
from nava.cli import main
from nava.config.synthetic import DefectCounts
from nava.runtime.hashing import sha256_tree
from tests.data.curation.conftest import draw_flash, write_media
from tests.data.curation.test_curate import film

SETTINGS = ["--recipe", "smoke", "--workers", "1"]
BOUNDS = ["validation.min_heldout_clips=0", "curation.heldout_share=0.3"]


def nava(*arguments, code=0, **options):
    result = CliRunner().invoke(main, ["data", *map(str, arguments)], catch_exceptions=False, **options)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    root = tmp_path_factory.mktemp("media")
    write_media(root / "one.mp4", *film(1, 2))
    write_media(root / "two.mp4", *film(3, 4, tone_hz=300))
    (root / "two.vtt").write_text("WEBVTT\n\n00:00.300 --> 00:01.200\n<v Ada>Look at that.\n")
    for number, name in enumerate(("three.wav", "four.wav")):
        write_media(root / name, audio=draw_flash(seconds=5, seed=40 + number, tone_hz=(700, 250)[number])[1])
    return root


@pytest.fixture(scope="module")
def corpus(media, tmp_path_factory):
    """Curated twice, the second time with one source more, and versioned each time."""
    folder = tmp_path_factory.mktemp("corpus")
    raw = folder / "raw"
    shutil.copytree(media, raw, ignore=shutil.ignore_patterns("two.*"))
    said = [nava("curate", "--source", raw, "--out", folder / "clips", *SETTINGS)]
    said.append(nava("version", folder / "clips", "--repository", folder / "repo", "--recipe", "smoke", *BOUNDS))
    for name in ("two.mp4", "two.vtt"):
        shutil.copy(media / name, raw / name)
    said.append(nava("curate", "--source", raw, "--out", folder / "clips", *SETTINGS))
    said.append(nava("version", folder / "clips", "--repository", folder / "repo", "--recipe", "smoke", *BOUNDS))
    return folder, said


def test_curating_says_what_became_of_the_records_and_what_comes_next(corpus):
    folder, said = corpus
    assert "records: 6 = 6 kept" in said[0]
    assert f"nava data validate {folder / 'clips'}" in said[0]
    assert "records: 8 = 8 kept" in said[2]


def test_only_what_is_new_is_worked_on(corpus):
    folder, said = corpus
    cost = json.loads((folder / "clips" / "curation-cost.json").read_text())
    assert cost["worked"] == {"look": 1, "words": 1}
    assert "3 of 4 sources were done before" in said[2]


def test_version_two_names_version_one_its_recipe_and_its_stages(corpus):
    folder, said = corpus
    assert "v1: 6 clips" in said[1]
    assert "v2, after v1: 8 clips" in said[3]
    versions = [json.loads(line) for line in nava("versions", "--repository", folder / "repo").splitlines()]
    assert [(one["version"], one["parent"], one["recipe"]) for one in versions] == [
        ("v1", "", "smoke"),
        ("v2", "v1", "smoke"),
    ]
    assert versions[1]["stage_versions"]["transcode"]
    assert versions[0]["config_sha256"] == versions[1]["config_sha256"] != ""


def test_the_difference_is_what_was_added(corpus, tmp_path):
    said = nava("diff", "--repository", corpus[0] / "repo", "-o", tmp_path / "diff")
    assert "v1 to v2: 2 added, 0 removed" in said
    assert "two.mp4" in (tmp_path / "diff" / "diff.html").read_text()


def test_a_pulled_version_is_encoded_and_exported(corpus, tmp_path):
    nava("pull", "--repository", corpus[0] / "repo", "--out", tmp_path / "copy")
    assert read_clips(tmp_path / "copy").num_rows == 8
    said = nava("encode", tmp_path / "copy", "--out", tmp_path / "shards", "--recipe", "smoke", "encoding.workers=1")
    assert "8 clips in" in said
    first = sha256_tree(tmp_path / "shards")
    nava("encode", tmp_path / "copy", "--out", tmp_path / "shards", "--recipe", "smoke", "encoding.workers=1")
    assert sha256_tree(tmp_path / "shards") == first
    assert "tar files" in nava("export", tmp_path / "shards", "--out", tmp_path / "tars")
    assert list((tmp_path / "tars").glob("*.tar"))


def test_a_source_is_forgotten_after_a_look_at_what_holds_it(corpus, tmp_path):
    repository = tmp_path / "repo"
    shutil.copytree(corpus[0] / "repo", repository)
    shutil.copytree(corpus[0] / "repo-remote", tmp_path / "repo-remote")
    arguments = ("forget", "one.mp4", "--repository", repository, "--reason", "asked to", "--run-dir", tmp_path)
    report = json.loads(nava(*arguments, "--dry-run"))
    assert [found["version"] for found in report["occurrences"]] == ["v1", "v2"]
    assert report["new_version"] == ""
    assert report["lineage"]
    assert json.loads(nava(*arguments))["new_version"] == "v3"
    newest = nava("versions", "--repository", repository).splitlines()[-1]
    assert json.loads(newest)["counts"]["kept"] == 6


def test_a_purge_asks_first(corpus, tmp_path):
    arguments = ("forget", "one.mp4", "--repository", corpus[0] / "repo", "--reason", "asked to", "--purge")
    said = nava(*arguments, code=1, input="n\n")
    assert "for good" in said
    assert len(nava("versions", "--repository", corpus[0] / "repo").splitlines()) == 2


def test_a_corpus_that_breaks_a_rule_is_not_versioned(corpus, tmp_path):
    arguments = ("version", corpus[0] / "clips", "--repository", tmp_path / "repo", "--recipe", "smoke")
    said = nava(*arguments, *BOUNDS, "validation.min_kept_clips=1000", code=3)
    assert "at least 1000" in said
    assert not (tmp_path / "repo").exists()
    assert "at least 1000" in (corpus[0] / "clips" / "gate" / "verdict.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["curate", "--source", "nowhere", "--out", "out"], "source nowhere does not exist"),
        (["curate", "--source", ".", "--out", "out"], "no media files"),
        (["curate", "--source", ".", "--out", "out", "curation.filters.min_luffs=1"], "min_lufs"),
        (["curate", "--source", ".", "--out", "out", "--recipe", "feast"], "unknown recipe 'feast'"),
        (["validate", "empty"], "holds no curated clips"),
        (["encode", "empty", "--out", "shards"], "clips.parquet does not exist"),
        (["versions", "--repository", "nowhere"], "nowhere does not exist"),
        (["export", "empty", "--out", "tars"], "index.parquet does not exist"),
    ],
)
def test_wrong_input_is_told_in_one_line_with_code_two(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    said = nava(*arguments, code=2)
    assert words in said
    assert "Traceback" not in said


def test_the_generated_media_may_be_others_than_the_recipe_s(tmp_path):
    few = ["synthetic.videos=1", "synthetic.audio_files=0", "synthetic.min_shots=1", "synthetic.max_shots=1"]
    none = [f"synthetic.defects.{name}=0" for name in asdict(DefectCounts())]
    nava("synthetic", "-o", tmp_path / "media", *few, *none, "synthetic.flash_share=0", "synthetic.other_kinds=[tone]")
    labels = [json.loads(line) for line in (tmp_path / "media/labels.jsonl").read_text().splitlines()]
    assert {shot["kind"] for label in labels for shot in label["shots"]} == {"tone"}
    said = nava("synthetic", "-o", tmp_path / "other", "synthetic.vidoes=1", code=2)
    assert "vidoes" in said
    assert not (tmp_path / "other").exists()
