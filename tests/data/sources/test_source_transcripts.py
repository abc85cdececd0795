import pytest

from nava.data.media_root import FolderRoot, media_root
from nava.data.sources.transcripts import MAX_TRANSCRIPT_BYTES, Cue, read_webvtt, webvtt
from nava.data.speech.transcript import parse_transcript
from tests.data.conftest import fill


def test_what_is_written_is_what_curation_reads(tmp_path):
    cues = [Cue("Ada", 0.25, 1.5, "Look at\nthat."), Cue("Bob <b>", 3661.0, 3662.0, "No & never --> <v Eve>mine")]
    first, second = parse_transcript(webvtt(cues))
    assert (first.speaker, first.text, first.words[0].t0_s, first.words[-1].t1_s) == ("Ada", "Look at that.", 0.25, 1.5)
    assert (second.speaker, second.text) == ("Bob b", "No never -- v Eve mine")
    assert second.words[0].t0_s == 3661.0


def test_a_transcript_is_read_with_any_line_ends_and_a_mark(tmp_path, memory_bucket):
    data = b"\xef\xbb\xbfWEBVTT\r\n\r00:01.000 --> 00:02.000\rCaf\xc3\xa9\r\n"
    (tmp_path / "a.vtt").write_bytes(data)
    fill(memory_bucket, {"a.vtt": data})
    for root in (FolderRoot(tmp_path), media_root(memory_bucket)):
        assert read_webvtt(root, "a.vtt") == "WEBVTT\n\n00:01.000 --> 00:02.000\nCafé\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1\n00:01,000 --> 00:02,000\nSubRip\n", "does not begin with WEBVTT"),
        (b"WEBVTT\n\ncaf\xe9", "not UTF-8 .* at byte 11"),
        (b"WEBVTT\n" + b"x" * MAX_TRANSCRIPT_BYTES, "larger than 4000000 bytes"),
    ],
)
def test_what_is_no_transcript_is_refused(tmp_path, data, message):
    (tmp_path / "a.vtt").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_webvtt(FolderRoot(tmp_path), "a.vtt")
