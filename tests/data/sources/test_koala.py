import json

import pytest

from nava.artifacts.source_manifest import IgnoreReason, Segment
from nava.data.media_root import FolderRoot
from nava.data.sources.candidates import sort_names
from nava.data.sources.koala import read_koala
from nava.runtime.errors import InputError

HEADER = "videoID,url,timestamp,caption,clarity_score,aesthetic_score,motion_score,video_training_suitability_score\n"
URL = "https://www.youtube.com/watch?v=w_HPjTkEUJg"
TIMES = "\"['0:01:38.348', '0:01:42.602']\""


def line(clip="w_HPjTkEUJg_48", times=TIMES, caption='"A white car, driving."', scores="0.8023,4.82,3.94,4.31"):
    return f"{clip},{URL},{times},{caption},{scores}\n"


def read(tmp_path, *lines, media=("films/w_HPjTkEUJg.mp4",), header=HEADER):
    (tmp_path / "Koala_36M_1.csv").write_text(header + "".join(lines))
    folder = FolderRoot(tmp_path)
    return read_koala(folder, ["Koala_36M_1.csv"], folder, sort_names(list(media), []))


def test_rows_are_spans_of_the_video_of_their_id(tmp_path):
    earlier = line("w_HPjTkEUJg_47", "\"['0:00:00.000', '0:01:38.348']\"", caption="")
    (film,) = read(tmp_path, line(), earlier).found
    assert film.path == "films/w_HPjTkEUJg.mp4"
    first, second = film.segments
    assert (first.t0_us, first.t1_us) == (0, 98_348_000)
    assert (second.t0_us, second.t1_us) == (98_348_000, 102_602_000)
    assert json.loads(second.hints) == {
        "videoID": "w_HPjTkEUJg_48",
        "url": URL,
        "caption": "A white car, driving.",
        "clarity_score": 0.8023,
        "aesthetic_score": 4.82,
        "motion_score": 3.94,
        "video_training_suitability_score": 4.31,
    }
    assert "caption" not in json.loads(first.hints)
    assert json.loads(film.hints) == {"video": "w_HPjTkEUJg"}


def test_a_clip_that_is_cut_already_is_used_whole(tmp_path):
    result = read(tmp_path, line(), line("w_HPjTkEUJg_49"), media=["w_HPjTkEUJg.mp4", "cut/w_HPjTkEUJg_48.mp4"])
    cut, film = result.found
    assert (cut.path, cut.segments) == ("cut/w_HPjTkEUJg_48.mp4", ())
    assert json.loads(cut.hints)["caption"] == "A white car, driving."
    assert [json.loads(segment.hints)["videoID"] for segment in film.segments] == ["w_HPjTkEUJg_49"]


def test_hours_are_read(tmp_path):
    (film,) = read(tmp_path, line(times="\"['1:02:03', '10:00:00.5']\"")).found
    assert film.segments[0].t0_us == 3_723_000_000
    assert film.segments[0].t1_us == 36_000_500_000


def test_metadata_of_a_few_columns_are_enough(tmp_path):
    (film,) = read(tmp_path, f"w_HPjTkEUJg_48,{TIMES}\n", header="videoID,timestamp\n").found
    assert film.segments == (Segment(98_348_000, 102_602_000, '{"videoID":"w_HPjTkEUJg_48"}'),)


def test_missing_videos_are_listed_once_with_their_rows(tmp_path):
    result = read(tmp_path, line(), line("gone_A-b_1"), line("gone_A-b_2"))
    assert [(item.path, item.reason, item.detail) for item in result.ignored] == [
        ("gone_A-b", IgnoreReason.MEDIA_MISSING, "named in Koala_36M_1.csv, row 2, 3")
    ]


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        (line(clip="no clip number"), "field 'videoID' is 'no clip number'"),
        (line(clip="../../etc/passwd_1"), "field 'videoID' is '../../etc/passwd_1'"),
        (line(times=""), "field 'timestamp' is None; it must be two times"),
        (line(times="0:01"), "field 'timestamp' is '0:01'"),
        (line(times="\"__import__('os'), '0:01:42.602'\""), "field 'timestamp'"),
        (line(times="\"['0:01:42', '0:01:38']\""), "which is not after its start"),
        (line(scores="high,4.8,3.9,4.3"), "field 'clarity_score' is 'high'; it must be a number"),
        (line(scores="nan,4.8,3.9,4.3"), "field 'clarity_score' is 'nan'"),
    ],
)
def test_a_row_that_cannot_be_used_is_listed_and_does_not_stop_the_rest(tmp_path, row, detail):
    result = read(tmp_path, line(), row)
    assert len(result.found) == 1
    (ignored,) = result.ignored
    assert (ignored.path, ignored.reason) == ("Koala_36M_1.csv, row 2", IgnoreReason.INVALID_ROW)
    assert detail in ignored.detail


def test_metadata_without_one_usable_row_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"1 row\(s\) cannot be used:\n  Koala_36M_1\.csv, row 1: field 'timestamp'"):
        read(tmp_path, line(times=""))
    with pytest.raises(InputError, match="no rows"):
        read(tmp_path)
    with pytest.raises(InputError, match="there is no column 'timestamp'"):
        read(tmp_path, header="videoID,url\n")
