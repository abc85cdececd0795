import json

import pytest

from nava.artifacts.source_manifest import IgnoreReason, Segment
from nava.data.media_root import FolderRoot
from nava.data.sources.candidates import sort_names
from nava.data.sources.ted import read_ted
from nava.data.speech.transcript import parse_transcript
from nava.runtime.errors import InputError

STM = """;; a comment
AlGore_2009 1 inter_segment_gap 0 16.00 <o,,unknown>
AlGore_2009 1 AlGore 16.00 20.12 <o,f0,male> last year <sil> it 's (2) {NOISE} these two slides
AlGore_2009 1 AlGore 20.12 24.50 <NA> so that
AlGore_2009 1 AlGore 24.50 30.00 <o,f0,male> ignore_time_segment_in_scoring
AlGore_2009 1 Host 31.25 33.00 <o,f0,female> thank you
"""
YAML = """- {duration: 3.5, offset: 16.09, rW: 9, uW: 0, speaker_id: spk.767, wav: ted_767.wav}
- {duration: 2.0, offset: 20.0, rW: 2, uW: 0, speaker_id: spk.767, wav: ted_767.wav}
- {duration: 1.25, offset: 0.5, rW: 3, uW: 0, speaker_id: spk.3, wav: ted_3.wav}
"""
WORDS = "There was a day, about 10 years ago,\nwhen I asked a friend.\nHello & <welcome>.\n"


def read(tmp_path, files, media):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    folder = FolderRoot(tmp_path)
    names = [name for name in files if not name.endswith(".en")]
    return read_ted(folder, names, folder, sort_names(list(media), []))


def spoken(tmp_path, transcript):
    """What curation reads out of a transcript."""
    return [(part.speaker, part.text, part.words[0].t0_s) for part in parse_transcript(transcript)]


def test_a_talk_of_ted_lium_has_its_words_and_leaves_out_what_nobody_wrote_down(tmp_path):
    (talk,) = read(tmp_path, {"stm/AlGore_2009.stm": STM}, ["sph/AlGore_2009.sph"]).found
    assert talk.path == "sph/AlGore_2009.sph"
    assert talk.segments == (Segment(16_000_000, 24_500_000), Segment(31_250_000, 33_000_000))
    assert json.loads(talk.hints) == {"talk": "AlGore_2009", "speakers": ["AlGore", "Host"]}
    assert spoken(tmp_path, talk.transcript) == [
        ("AlGore", "last year it's these two slides", 16.0),
        ("AlGore", "so that", 20.12),
        ("Host", "thank you", 31.25),
    ]


def test_the_label_of_a_line_is_optional_and_noise_alone_is_no_gap(tmp_path):
    stm = "t 1 Ada 0.0 1.0 one two\nt 1 Ada 1.0 2.0 <o,,> {NOISE}\nt 1 Ada 2.0 3.0 <o,,> three\n"
    (talk,) = read(tmp_path, {"t.stm": stm}, ["t.mp4"]).found
    assert talk.segments == (Segment(0, 3_000_000),)
    assert [text for _, text, _ in spoken(tmp_path, talk.transcript)] == ["one two", "three"]


def test_talks_of_must_c_are_split_by_their_sound_file(tmp_path):
    files = {"train/txt/train.yaml": YAML, "train/txt/train.en": WORDS}
    third, first = read(tmp_path, files, ["train/wav/ted_767.wav", "films/ted_3.mp4"]).found
    assert (third.path, first.path) == ("films/ted_3.mp4", "train/wav/ted_767.wav")
    assert first.segments == (Segment(16_090_000, 22_000_000),)
    assert spoken(tmp_path, first.transcript) == [
        ("spk.767", "There was a day, about 10 years ago,", 16.09),
        ("spk.767", "when I asked a friend.", 20.0),
    ]
    assert spoken(tmp_path, third.transcript) == [("spk.3", "Hello welcome .", 0.5)], "no mark-up from outside"


def test_a_talk_whose_media_are_missing_is_listed(tmp_path):
    result = read(tmp_path, {"a.stm": STM}, ["other.wav"])
    assert [(item.path, item.reason, item.detail) for item in result.ignored] == [
        ("AlGore_2009", IgnoreReason.MEDIA_MISSING, "named in a.stm, row 3, 6")
    ]


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("AlGore_2009 1 AlGore 40.0", "4 fields where an STM line has at least 5"),
        ("AlGore_2009 1 AlGore 41.0 40.0 <o,,> backwards", "which is not after its start"),
        ("AlGore_2009 1 AlGore x 40.0 <o,,> when", "field 'start' is 'x'; it must be a number"),
        ("Mute_2010 1 Mute 1.0 2.0 <o,,> ignore_time_segment_in_scoring", "no line of the talk Mute_2010 has words"),
    ],
)
def test_a_line_that_cannot_be_used_is_listed_and_does_not_stop_the_rest(tmp_path, line, detail):
    result = read(tmp_path, {"a.stm": f"{STM}{line}\n"}, ["AlGore_2009.wav"])
    assert len(result.found) == 1
    (ignored,) = result.ignored
    assert (ignored.path, ignored.reason) == ("a.stm, row 7", IgnoreReason.INVALID_ROW)
    assert detail in ignored.detail


def test_an_entry_of_must_c_without_its_fields_is_listed(tmp_path):
    yaml = YAML.replace("offset: 20.0, ", "").replace("wav: ted_3.wav", "rate: 1")
    result = read(tmp_path, {"t.yaml": yaml, "t.en": WORDS}, ["ted_767.wav"])
    assert [(item.path, item.detail) for item in result.ignored] == [
        ("t.yaml, row 2", "the fields 'offset' and 'duration' must give the line's time in seconds"),
        ("t.yaml, row 3", "field 'wav' is missing; it must name the talk's sound file"),
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"t.yaml": YAML, "t.en": "one\ntwo\n"}, r"t\.yaml lists 3 lines and t\.en has 2"),
        ({"t.yaml": "a: 1", "t.en": "one\n"}, r"t\.yaml lists no lines"),
        ({"t.yaml": "- {a: [", "t.en": "one\n"}, r"t\.yaml: not YAML"),
        ({"t.yaml": "- !!python/object/apply:os.system [ls]", "t.en": "one\n"}, r"t\.yaml: not YAML"),
        ({"t.yaml": YAML}, r"t\.en cannot be read"),
        ({"t.stm": b"a 1 b 0 1 <o,,> word\nb 1 c 0 1 <o,,> caf\xe9\n"}, r"t\.stm, row 2: not UTF-8"),
        ({"t.stm": "nonsense\n"}, r"1 row\(s\) cannot be used:\n  t\.stm, row 1: 1 fields"),
        ({"t.stm": ";; nothing\n"}, "describe no talk"),
    ],
)
def test_what_is_no_such_corpus_is_refused(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, files, ["a.wav"])
