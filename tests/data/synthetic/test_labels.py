import json

import pytest

from nava.data.synthetic.labels import (
    LABELS_NAME,
    CutLabel,
    FileLabel,
    ShotLabel,
    SubtitleLabel,
    UtteranceLabel,
    WordLabel,
    file_label,
    read_labels,
    webvtt,
    write_labels,
)


def make_label(path: str = "video/a.mp4") -> FileLabel:
    words = [WordLabel("Hello", 0.1, 0.4), WordLabel("there", 0.4, 0.9)]
    return FileLabel(
        path,
        "video",
        sha256="f" * 64,
        cuts=[CutLabel(2.2, "hard", 2.2, 2.2)],
        shots=[
            ShotLabel("flash", 0.0, 2.2, 0, 55, "red", "left", 720, events_s=[0.5]),
            ShotLabel("talk", 2.2, 4.4, 55, 110),
        ],
        transcript=[UtteranceLabel("Ada", "en-us+f2", 0.1, 0.9, "Hello there.", words)],
        subtitles=[SubtitleLabel(0.0, 2.2, "Hello there.", (10, 90, 60, 110))],
    )


def test_labels_are_read_back_as_they_were_written_by_path(tmp_path):
    labels = [make_label("b.mp4"), make_label("a.mp4")]
    assert write_labels(tmp_path, labels) == tmp_path / LABELS_NAME
    assert read_labels(tmp_path) == labels[::-1]


def test_each_line_is_json_with_its_schema_version(tmp_path):
    write_labels(tmp_path, [make_label()])
    lines = (tmp_path / LABELS_NAME).read_text().splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["schema_version"] == 1


@pytest.mark.parametrize("version", [0, 2, None])
def test_another_schema_version_is_refused(version):
    value = make_label().to_json() | {"schema_version": version}
    with pytest.raises(ValueError, match="schema version"):
        file_label(value)


def test_reading_leaves_the_json_value_alone():
    value = make_label().to_json()
    copy = json.loads(json.dumps(value))
    file_label(value)
    assert json.loads(json.dumps(value)) == copy


def test_webvtt_has_a_cue_with_a_voice_for_each_utterance():
    second = UtteranceLabel("Ben", "en-us+m1", 61.25, 3725.0, "Only to the shop.", [])
    assert webvtt([*make_label().transcript, second]) == (
        "WEBVTT\n\n"
        "00:00:00.100 --> 00:00:00.900\n<v Ada>Hello there.\n\n"
        "00:01:01.250 --> 01:02:05.000\n<v Ben>Only to the shop.\n"
    )


def test_times_are_rounded_to_milliseconds_without_sixty_seconds():
    part = UtteranceLabel("Ada", "", 0.0004, 59.9996, "x", [])
    assert "00:00:00.000 --> 00:01:00.000" in webvtt([part])
