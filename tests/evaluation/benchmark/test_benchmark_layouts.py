"""Published layouts: read as they are, and refused by file, line and field where they are wrong."""

import json
from pathlib import Path

import pytest

from nava.evaluation.benchmark.item import NEEDS
from nava.evaluation.benchmark.layouts import load_items
from nava.evaluation.benchmark.task import load_task
from nava.runtime.errors import InputError

VERSE, SEED_EN, SEED_ZH = load_task("verse_bench"), load_task("seed_tts_en"), load_task("seed_tts_zh")


def verse(folder: Path, subset: str, name: str, *files: str, **fields: object) -> None:
    place = folder / subset
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.json").write_text(json.dumps({"video_prompt": "a street", **fields}))
    for suffix in files:
        (place / f"{name}.{suffix}").write_bytes(b"x")


def test_verse_bench_items_have_what_lies_beside_them(tmp_path: Path) -> None:
    verse(
        tmp_path,
        "set1",
        "12",
        "jpg",
        audio_prompt=["rain", "wind"],
        speech_prompt={"speaker": "a man", "text": " Hi! "},
    )
    verse(
        tmp_path, "set2", "12", "jpg", "wav", "mp4", audio_prompt=["a car"], speech_prompt={"speaker": "", "text": ""}
    )
    verse(tmp_path, "set3", "7", "jpg", speech_prompt={"speaker": "她", "text": "今天天气很好"})
    first, second, third = load_items(VERSE, tmp_path)
    assert [item.item_id for item in (first, second, third)] == ["set1-12", "set2-12", "set3-7"]
    assert (first.spoken_text, first.speech[0].speaker, first.audio_prompt, first.language) == (
        "Hi!",
        "a man",
        "rain",
        "en",
    )
    assert first.first_frame == tmp_path / "set1" / "12.jpg"
    assert first.reference_audio is None
    assert second.reference_audio == tmp_path / "set2" / "12.wav"
    assert not NEEDS["speech_text"](second)
    assert third.language == "zh"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"video_prompt": 3}, "set1/1.json: field video_prompt must be text"),
        ({"audio_prompt": [3]}, "set1/1.json: field audio_prompt must be a list of texts"),
        ({"speech_prompt": "hello"}, "set1/1.json: field speech_prompt must have speaker and text"),
    ],
)
def test_a_wrong_verse_bench_record_is_named(tmp_path: Path, fields: dict, message: str) -> None:
    verse(tmp_path, "set1", "1", **fields)
    with pytest.raises(InputError, match=message):
        load_items(VERSE, tmp_path)
    (tmp_path / "set1" / "1.json").write_text("{")
    with pytest.raises(InputError, match=r"set1/1\.json is not JSON"):
        load_items(VERSE, tmp_path)


def test_seed_tts_lists_are_read_in_all_their_forms(tmp_path: Path) -> None:
    (tmp_path / "meta.lst").write_text(
        "a|what he says|prompts/a.wav|what is to be said|wavs/a.wav\n"
        "b|what she says|prompts/b.wav|something else\n"
        "c|two fields\n"
        "d.wav|three fields|prompts/d.wav\n"
    )
    a, b, c, d = load_items(SEED_EN, tmp_path)
    assert (a.item_id, a.spoken_text, a.language) == ("a", "what is to be said", "en")
    assert (a.reference_voice, a.reference_audio) == (tmp_path / "prompts/a.wav", tmp_path / "wavs/a.wav")
    assert (b.spoken_text, b.reference_audio) == ("something else", None)
    assert (c.spoken_text, c.reference_voice) == ("two fields", None)
    assert (d.item_id, d.spoken_text, d.reference_voice) == ("d", "three fields", tmp_path / "prompts/d.wav")


def test_a_seed_tts_list_may_lie_in_a_folder_of_its_language(tmp_path: Path) -> None:
    (tmp_path / "zh").mkdir()
    (tmp_path / "zh" / "meta.lst").write_text("a|提示|p.wav|今天\n")
    (item,) = load_items(SEED_ZH, tmp_path)
    assert (item.language, item.reference_voice) == ("zh", tmp_path / "zh" / "p.wav")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("only", r"meta.lst line 2: 1 fields between \|"),
        ("../a|text", "meta.lst line 2: utterance '../a' is no file name"),
        ("a|t|/etc/passwd|text", "meta.lst line 2: prompt_wav '/etc/passwd' must lie beside the list"),
        ("a|t|../../x.wav|text", "must lie beside the list"),
        ("a|t|p.wav|text|../x.wav", "the true recording '../x.wav' must lie beside the list"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "meta.lst").write_text(f"ok|fine\n{line}\n")
    with pytest.raises(InputError, match=message):
        load_items(SEED_EN, tmp_path)


def test_what_is_there_twice_or_not_at_all_is_said(tmp_path: Path) -> None:
    (tmp_path / "meta.lst").write_text("a|one\na|two\n")
    with pytest.raises(InputError, match="items are there twice: a"):
        load_items(SEED_EN, tmp_path)
    with pytest.raises(InputError, match="holds no item of verse_bench"):
        load_items(VERSE, tmp_path)
    with pytest.raises(InputError, match=r"has no meta\.lst"):
        load_items(SEED_ZH, tmp_path / "..")
    with pytest.raises(InputError, match="is no folder"):
        load_items(VERSE, tmp_path / "nowhere")
