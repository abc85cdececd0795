import json
import shutil
from pathlib import Path

import pytest

from nava.artifacts.source_manifest import IgnoreReason, read_sources, write_sources
from nava.config.source import CollectionConfig, SourceConfig
from nava.data.media_files import local_copy
from nava.data.media_root import BucketRoot
from nava.data.sources import content_hashes
from nava.data.sources.scan import probe_sources, scan_sources
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes, sha256_file, sha256_tree
from tests.data.conftest import fill, put_s3, write_wav

VTT = "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v Ada>Look.\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "holiday"
    for name, level in (("beach.wav", 100), ("day 2/Küste.WAV", 200), ("voice.wav", 300)):
        write_wav(root / name, level)
    (root / "beach.vtt").write_text(VTT)
    (root / "notes.txt").write_text("not media")
    return root


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files of a test count as long settled, so that their hashes are kept."""
    monkeypatch.setattr(content_hashes, "_TICK_NS", -(10**15))


def scan(tmp_path, uri="", cache="cache", **settings):
    return scan_sources(SourceConfig(uri=str(uri), **settings), tmp_path / cache)


def reasons(listing):
    return {(item.collection, item.path): item.reason for item in listing.ignored}


def test_a_folder_becomes_sources_and_reasons(tmp_path, folder):
    listing = scan(tmp_path, folder, licence="CC-BY-4.0", origin="my camera")
    assert [source.path for source in listing.sources] == ["beach.wav", "day 2/Küste.WAV", "voice.wav"]
    assert {(source.licence, source.origin, source.etag) for source in listing.sources} == {
        ("CC-BY-4.0", "my camera", "")
    }
    for source in listing.sources:
        assert (source.sha256, source.size_bytes) == (
            sha256_file(folder / source.path),
            (folder / source.path).stat().st_size,
        )
    assert [source.transcript for source in listing.sources] == [VTT, None, None]
    assert listing.sources[0].sidecar_path == "beach.vtt"
    assert reasons(listing) == {("", "notes.txt"): IgnoreReason.NOT_MEDIA}
    assert listing.media_roots == {"": str(folder.resolve())}


def test_nothing_is_written_beside_the_media(tmp_path, folder):
    before = sha256_tree(folder)
    scan(tmp_path, folder)
    assert sha256_tree(folder) == before


def test_files_with_the_same_bytes_are_one_source(tmp_path, folder):
    shutil.copy(folder / "beach.wav", folder / "copy of beach.wav")
    listing = scan(tmp_path, folder)
    (copy,) = [item for item in listing.ignored if item.reason == IgnoreReason.EXACT_DUPLICATE]
    assert (copy.path, copy.duplicate_of, copy.detail) == (
        "copy of beach.wav",
        listing.sources[0].source_id,
        "as beach.wav",
    )
    assert len(listing.sources) == 3


@pytest.mark.parametrize("text", [b"1\n00:00:01,000 --> 00:00:02,000\nSubRip\n", b"WEBVTT\n\ncaf\xe9"])
def test_a_transcript_that_cannot_be_read_costs_its_text_only(tmp_path, folder, text):
    (folder / "beach.vtt").write_bytes(text)
    listing = scan(tmp_path, folder)
    assert (listing.sources[0].transcript, listing.sources[0].sidecar_path) == (None, None)
    assert reasons(listing)["", "beach.vtt"] == IgnoreReason.SIDECAR_UNREADABLE


def test_a_second_scan_of_a_grown_folder_reads_only_what_is_new(tmp_path, folder):
    first = scan(tmp_path, folder)
    assert (first.read_files, first.read_bytes) == (3, sum(source.size_bytes for source in first.sources))
    new = write_wav(folder / "new.wav", 400)
    second = scan(tmp_path, folder)
    assert (second.read_files, second.read_bytes) == (1, new.stat().st_size)
    assert [source for source in second.sources if source.path != "new.wav"] == first.sources
    assert scan(tmp_path, folder, cache="another").sources == second.sources


def test_broken_media_are_sources_for_curation_to_judge(tmp_path, folder):
    (folder / "text.mp4").write_text("This is a note, not a film.")
    (folder / "empty.mp4").write_bytes(b"")
    assert {"text.mp4", "empty.mp4"} <= {source.path for source in scan(tmp_path, folder).sources}


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bucket_gives_the_same_sources_as_a_folder(tmp_path, folder, s3_bucket, memory_bucket):
    put_s3(s3_bucket, files_of(folder))
    fill(memory_bucket, files_of(folder))
    local = scan(tmp_path, folder)
    for uri in (s3_bucket, memory_bucket):
        remote = scan(tmp_path, uri)
        assert [(item.source_id, item.path, item.transcript) for item in remote.sources] == [
            (item.source_id, item.path, item.transcript) for item in local.sources
        ]
        assert reasons(remote) == reasons(local)
        assert all(source.etag for source in remote.sources)


def test_a_bucket_is_read_once_and_then_only_what_is_new(tmp_path, s3_bucket):
    put_s3(s3_bucket, {"a.wav": b"one", "b.wav": b"two"})
    assert scan(tmp_path, s3_bucket).read_files == 2
    put_s3(s3_bucket, {"b.wav": b"TWO", "c.wav": b"three"})
    second = scan(tmp_path, s3_bucket)
    assert (second.read_files, second.read_bytes) == (2, 8)
    assert [source.sha256 for source in second.sources] == [sha256_bytes(data) for data in (b"one", b"TWO", b"three")]


def test_transcripts_of_a_bucket_are_not_fetched_again(tmp_path, folder, s3_bucket, monkeypatch):
    put_s3(s3_bucket, files_of(folder))
    first = scan(tmp_path, s3_bucket)
    monkeypatch.setattr(BucketRoot, "open", lambda *_: pytest.fail("fetched again"))
    assert scan(tmp_path, s3_bucket).sources == first.sources


def test_a_worker_opens_a_source_by_what_the_listing_says(tmp_path, folder, s3_bucket):
    put_s3(s3_bucket, files_of(folder))
    for uri in (str(folder), s3_bucket):
        listing = scan(tmp_path, uri)
        for source in listing.sources:
            copy = local_copy(listing.media_roots[""], source.path, source.sha256, tmp_path / "scratch")
            assert sha256_file(copy) == source.sha256


def test_the_endpoint_may_come_from_the_settings(tmp_path, s3_bucket, s3_endpoint):
    put_s3(s3_bucket, {"a.wav": b"one"})
    listing = scan(tmp_path, s3_bucket.partition("?")[0], endpoint_url=s3_endpoint)
    assert listing.media_roots == {"": s3_bucket}


def test_a_manifest_in_a_bucket_names_media_beside_it(tmp_path, s3_bucket):
    manifest = b"path,licence,start_s,end_s\na.wav,MIT,0,1.5\ngone.wav,MIT,,\n"
    put_s3(s3_bucket, {"a.wav": b"one", "unnamed.wav": b"two", "clips.csv": manifest})
    uri = s3_bucket.replace("?", "/clips.csv?")
    listing = scan(tmp_path, uri)
    assert [(item.path, item.licence, len(item.segments)) for item in listing.sources] == [("a.wav", "MIT", 1)]
    assert reasons(listing) == {("", "gone.wav"): IgnoreReason.MEDIA_MISSING}


def test_a_manifest_here_may_name_media_in_a_bucket(tmp_path, s3_bucket):
    put_s3(s3_bucket, {"a.wav": b"one"})
    (tmp_path / "clips.jsonl").write_text('{"path": "a.wav", "origin": "there"}\n')
    listing = scan(tmp_path, tmp_path / "clips.jsonl", media=s3_bucket, licence="MIT", origin="here")
    assert [(source.licence, source.origin) for source in listing.sources] == [("MIT", "there")]
    assert listing.media_roots == {"": s3_bucket}


def test_koala_metadata_may_be_one_file_or_a_folder_of_them(tmp_path, folder):
    for number, clip in enumerate(("beach_1", "voice_2"), start=1):
        text = f"videoID,timestamp\n{clip},\"['0:00:00.000', '0:00:00.050']\"\n"
        (folder / f"Koala_36M_{number}.csv").write_text(text)
    both = scan(tmp_path, folder, kind="koala")
    assert [(source.path, source.segments[0].t1_us) for source in both.sources] == [
        ("beach.wav", 50_000),
        ("voice.wav", 50_000),
    ]
    assert [source.path for source in scan(tmp_path, folder / "Koala_36M_1.csv", kind="koala").sources] == ["beach.wav"]


def test_ted_metadata_give_the_transcript(tmp_path, folder):
    (tmp_path / "stm").mkdir()
    (tmp_path / "stm" / "voice.stm").write_text("voice 1 Ada 0.00 0.09 <o,,> hello\n")
    (source,) = scan(tmp_path, tmp_path / "stm", kind="ted", media=str(folder)).sources
    assert (source.path, source.sidecar_path) == ("voice.wav", None)
    assert "<v Ada>hello" in source.transcript


# Mixtures.


def mixture(tmp_path, folder, long=8, short=2, **changes):
    for i in range(long):
        write_wav(tmp_path / "long" / f"{i:02d}.wav", 1000 + i)
    for i in range(short):
        write_wav(tmp_path / "short" / f"{i:02d}.wav", 2000 + i)
    parts = [
        CollectionConfig("own", str(tmp_path / "long"), share=0.5, licence="MIT", origin="me"),
        CollectionConfig("bought", str(tmp_path / "short"), share=0.5, licence="EULA", origin="them"),
    ]
    return SourceConfig(mixture=parts, **changes)


def test_a_mixture_has_its_shares_and_lists_what_it_left(tmp_path, folder):
    listing = scan_sources(mixture(tmp_path, folder), tmp_path / "cache")
    assert [(part.name, part.realised_share, part.sources, part.available) for part in listing.mixture] == [
        ("own", 0.5, 2, 8),
        ("bought", 0.5, 2, 2),
    ]
    assert {(source.collection, source.licence, source.origin) for source in listing.sources} == {
        ("own", "MIT", "me"),
        ("bought", "EULA", "them"),
    }
    left = [item for item in listing.ignored if item.reason == IgnoreReason.MIXTURE_SHARE]
    assert (len(left), {item.collection for item in left}) == (6, {"own"})
    assert listing.media_roots == {"own": str(tmp_path / "long"), "bought": str(tmp_path / "short")}


def test_what_is_not_drawn_is_not_read(tmp_path, folder):
    assert scan_sources(mixture(tmp_path, folder), tmp_path / "cache").read_files == 4


def test_a_file_of_two_collections_is_a_source_of_the_first_and_costs_the_other_its_share(tmp_path, folder):
    config = mixture(tmp_path, folder, long=2)
    shutil.copy(tmp_path / "long" / "00.wav", tmp_path / "short" / "00.wav")
    listing = scan_sources(config, tmp_path / "cache")
    (copy,) = [item for item in listing.ignored if item.reason == IgnoreReason.EXACT_DUPLICATE]
    assert (copy.collection, copy.path, copy.detail) == ("bought", "00.wav", "as 00.wav of own")
    assert [round(part.realised_share, 3) for part in listing.mixture] == [0.667, 0.333]
    assert any("share 0.333 (wanted 0.500)" in line for line in listing.lines())


def test_another_seed_draws_others(tmp_path, folder):
    drawn = [
        {source.path for source in scan_sources(config, tmp_path / "cache").sources if source.collection == "own"}
        for config in (mixture(tmp_path, folder, mixture_seed=seed) for seed in (0, 0, 3))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_same_path_in_two_collections_is_two_rows_of_the_manifest(tmp_path, folder):
    listing = scan_sources(mixture(tmp_path, folder), tmp_path / "cache")
    write_sources(tmp_path / "manifest", listing.sources, listing.ignored)
    assert read_sources(tmp_path / "manifest") == sorted(listing.sources, key=lambda item: (item.collection, item.path))


# What cannot be used.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "source.uri is empty; give a folder, a bucket, a manifest or a source.mixture"),
        ({"uri": "{tmp}/missing"}, "does not exist"),
        ({"uri": "{tmp}/holiday/voice.wav"}, "is not a folder"),
        ({"uri": "{tmp}/clips.csv"}, r"clips\.csv cannot be read: No such file"),
        ({"uri": "{tmp}/holiday", "kind": "manifest"}, "is no manifest; wanted is a file ending in .csv"),
        ({"uri": "{tmp}/holiday", "kind": "koala"}, "no metadata of kind koala in .*holiday"),
        ({"uri": "{tmp}/holiday", "kind": "ted"}, "no metadata of kind ted"),
        ({"uri": "memory://nothing-of-nava"}, "nothing lies below memory://nothing-of-nava|cannot be read"),
        ({"uri": "nosuchstore://a"}, "nosuchstore://a cannot be read"),
    ],
)
def test_what_cannot_be_scanned_is_refused(tmp_path, folder, settings, message):
    values = {name: value.replace("{tmp}", str(tmp_path)) for name, value in settings.items()}
    with pytest.raises(InputError, match=message):
        scan_sources(SourceConfig(**values), tmp_path / "cache")


def unusable(tmp_path: Path) -> dict[str, tuple[str, str]]:
    """Sources without usable media, and what a probe must say."""
    for name in ("empty", "texts", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    (tmp_path / "broken" / "a.mp4").write_text("ffconcat version 1.0\nfile b.wav\n")
    (tmp_path / "broken" / "b.wav").write_bytes(b"\0" * 100)
    return {
        "empty": (str(tmp_path / "empty"), r"no media files in .* \(0 other entries\)"),
        "texts": (str(tmp_path / "texts"), r"no media files in .* \(1 other entries\); wanted are files .*\.mp4"),
        "broken": (str(tmp_path / "broken"), r"2 file\(s\) look like media by name, .* \(first: a.mp4\)"),
    }


@pytest.mark.parametrize("kind", ["empty", "texts", "broken"])
def test_a_probe_refuses_what_has_no_usable_media(tmp_path, kind):
    uri, message = unusable(tmp_path)[kind]
    with pytest.raises(InputError, match=message):
        probe_sources(SourceConfig(uri=uri))


def test_a_probe_takes_what_can_be_used_and_writes_nothing(tmp_path, folder, memory_bucket):
    (folder / "a broken one.mp4").write_bytes(b"nothing")
    fill(memory_bucket, {"a.wav": b"never fetched"})
    before = sha256_tree(tmp_path)
    for config in (SourceConfig(), SourceConfig(uri=str(folder)), SourceConfig(uri=memory_bucket)):
        probe_sources(config)
    assert sha256_tree(tmp_path) == before


def test_the_truth_of_the_generator_is_never_opened(tmp_path, folder, monkeypatch):
    """Labels lie beside the media folder; a scan of either folder may list them, and must not read them."""
    out = tmp_path / "generated"
    shutil.copytree(folder, out / "media")
    (out / "labels.jsonl").write_text(json.dumps({"path": "beach.wav", "text": "the truth"}))
    (out / "truth").mkdir()
    (out / "truth" / "beach.wav.json").write_text("{}")
    opened = []
    path_open = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *args, **kwargs: opened.append(self) or path_open(self, *args, **kwargs)
    )
    for uri in (out / "media", out):
        listing = scan(tmp_path, uri, cache=f"cache-{uri.name}")
        assert len(listing.sources) == 3
        assert "the truth" not in repr(listing.sources)
    names = {path.relative_to(out).as_posix() for path in opened if path.is_relative_to(out)}
    assert "media/beach.wav" in names
    assert not {name for name in names if name.startswith(("labels", "truth"))}
    assert reasons(listing)["", "labels.jsonl"] == IgnoreReason.NOT_MEDIA
