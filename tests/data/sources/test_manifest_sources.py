import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nava.artifacts.source_manifest import IgnoreReason, Segment
from nava.data.media_root import FolderRoot, media_root
from nava.data.sources.candidates import sort_names
from nava.data.sources.manifest import read_manifest
from nava.runtime.errors import InputError

MEDIA = ["a.mp4", "b/c.wav", "d.mp4", "d.vtt", "words/a.vtt", "notes.txt"]


def read(tmp_path, text, name="clips.csv", media=MEDIA):
    (tmp_path / name).write_text(text)
    folder = FolderRoot(tmp_path)
    return read_manifest(folder, name, folder, sort_names(list(media), []))


def test_rows_name_media_with_their_licence_origin_and_weight(tmp_path):
    text = "path,licence,origin,weight\nb/c.wav,CC0-1.0,a friend,2.5\n./a.mp4,,,\n"
    first, second = read(tmp_path, text).found
    assert (first.path, first.licence, first.origin, first.weight) == ("a.mp4", "", "", 1.0)
    assert (second.path, second.licence, second.origin, second.weight) == ("b/c.wav", "CC0-1.0", "a friend", 2.5)


def test_rows_of_one_file_are_its_spans_in_order_of_time(tmp_path):
    text = "path,start_s,end_s,caption\na.mp4,3,4.25,a cat\na.mp4,0.5,2,\nd.mp4,,,a dog\n"
    film, whole = read(tmp_path, text).found
    assert film.segments == (Segment(500_000, 2_000_000), Segment(3_000_000, 4_250_000, '{"caption":"a cat"}'))
    assert (whole.segments, whole.hints) == ((), '{"caption":"a dog"}')


@pytest.mark.parametrize("name", ["clips.jsonl", "clips.parquet"])
def test_other_formats_say_the_same(tmp_path, name):
    rows = [{"path": "a.mp4", "start_s": 1, "end_s": 2.5, "hints": '{"score": 3}'}, {"path": "d.mp4"}]
    if name.endswith("jsonl"):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    folder = FolderRoot(tmp_path)
    film, whole = read_manifest(folder, name, folder, sort_names(MEDIA, [])).found
    assert film.segments == (Segment(1_000_000, 2_500_000, '{"score":3}'),)
    assert whole.path == "d.mp4"


def test_hints_may_be_an_object(tmp_path):
    (found,) = read(tmp_path, '{"path": "a.mp4", "hints": {"b": 1, "a": [2]}}', "c.jsonl").found
    assert found.hints == '{"a":[2],"b":1}'


def test_transcripts_are_those_named_or_those_beside(tmp_path):
    text = "path,transcript\na.mp4,words/a.vtt\nd.mp4,\nb/c.wav,\n"
    assert [item.sidecar_path for item in read(tmp_path, text).found] == ["words/a.vtt", None, "d.vtt"]


def test_an_address_below_the_media_root_is_a_path(tmp_path):
    (tmp_path / "clips.csv").write_text("uri\ns3://bucket/media/b/c.wav\n")
    root = media_root("s3://bucket/media?endpoint_url=http://host:1")
    found = read_manifest(FolderRoot(tmp_path), "clips.csv", root, sort_names(MEDIA, [])).found
    assert [item.path for item in found] == ["b/c.wav"]
    (tmp_path / "clips.csv").write_text(f"uri\nfile://{tmp_path}/a.mp4\n{tmp_path}/d.mp4\n")
    found = read_manifest(FolderRoot(tmp_path), "clips.csv", FolderRoot(tmp_path), sort_names(MEDIA, [])).found
    assert [item.path for item in found] == ["a.mp4", "d.mp4"]


def test_what_is_missing_or_no_media_is_listed_with_its_rows(tmp_path):
    rows = [
        "path,start_s,end_s",
        "gone.mp4,0,1",
        "gone.mp4,1,2",
        "gone.mp4,2,3",
        "gone.mp4,3,4",
        "notes.txt,,",
        "a.mp4,,",
    ]
    result = read(tmp_path, "\n".join(rows))
    assert [item.path for item in result.found] == ["a.mp4"]
    assert [(item.path, item.reason, item.detail) for item in result.ignored] == [
        ("gone.mp4", IgnoreReason.MEDIA_MISSING, "named in clips.csv, row 1, 2, 3 and 1 more"),
        ("notes.txt", IgnoreReason.NOT_MEDIA, "named in clips.csv, row 5"),
    ]


def test_a_row_that_says_the_same_again_is_listed(tmp_path):
    result = read(tmp_path, "path,start_s,end_s\na.mp4,0,1\nd.mp4,,\na.mp4,0,1\nd.mp4,,\n")
    assert [(item.path, item.reason, item.detail) for item in result.ignored] == [
        ("clips.csv, row 3", IgnoreReason.DUPLICATE_ROW, "of a.mp4"),
        ("clips.csv, row 4", IgnoreReason.DUPLICATE_ROW, "of d.mp4"),
    ]
    assert result.found[0].segments == (Segment(0, 1_000_000),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\n../secret.mp4\n", r"clips\.csv, row 1: field 'path' is '\.\./secret\.mp4', which leads out"),
        ("path\na/../../x.mp4\n", "leads out of the media root"),
        ("path\n/etc/passwd\n", "leads out of the media root"),
        ("path\ns3://other/a.mp4\n", "leads out of the media root"),
        ("uri\nfile:///etc/passwd\n", "which is not below the media root"),
        ("uri\nhttp://169.254.169.254/latest\n", "which is not below the media root"),
        ("path,transcript\na.mp4,../a.vtt\n", r"field 'transcript' is '\.\./a\.vtt', which leads out"),
        ("path,transcript\na.mp4,notes.txt\n", "must name a WebVTT file"),
        ("path,transcript\na.mp4,none.vtt\n", "there is no such file in the media root"),
        ("path,uri\n,\n", "one of the fields 'path' and 'uri' must name the media file"),
        ("path,start_s,end_s\na.mp4,1,\n", "a span needs both its start and its end"),
        ("path,start_s,end_s\na.mp4,2,2\n", "ends at 2.0 s, which is not after its start at 2.0 s"),
        ("path,start_s,end_s\na.mp4,-1,2\n", "field 'start_s' is '-1'; a time cannot be below 0"),
        ("path,start_s,end_s\na.mp4,zero,2\n", r"row 1: field 'start_s' is 'zero'; it must be a number"),
        ("path,weight\na.mp4,0\n", "field 'weight' is '0'; it must be above 0"),
        ("path,hints\na.mp4,{\n", "field 'hints' is no JSON"),
        ("path,hints\na.mp4,3\n", "field 'hints' is 3; it must be a JSON object"),
        ('path,hints\na.mp4,"{""a"": NaN}"\n', "field 'hints' cannot be kept as JSON"),
        ("path,licence\na.mp4,CC0-1.0\na.mp4,MIT\n", r"row 2: field 'licence' differs from clips\.csv, row 1"),
        (
            "path,start_s,end_s\na.mp4,0,1\na.mp4,,\n",
            r"row 2: clips\.csv, row 1 and this row name the same file, one the whole",
        ),
        ("path\n", "has no rows: nothing to ingest"),
        ("videoID,timestamp\nx,y\n", "unknown column 'timestamp'"),
    ],
)
def test_wrong_rows_refuse_the_whole_and_name_row_and_field(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_the_first_five_wrong_rows_are_shown_and_the_others_counted(tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, "path\na.mp4\n" + "../x\n" * 7)
    assert str(caught.value).startswith("7 row(s) cannot be used:\n  clips.csv, row 2: field 'path'")
    assert str(caught.value).endswith("and 2 more")


def test_the_labels_of_the_generator_are_no_manifest(tmp_path):
    label = {"path": "a.mp4", "cuts_s": [1.0], "transcript": [{"speaker": "Ada", "text": "words of the truth"}]}
    with pytest.raises(InputError, match="unknown column 'cuts_s'"):
        read(tmp_path, json.dumps(label), "labels.jsonl")
