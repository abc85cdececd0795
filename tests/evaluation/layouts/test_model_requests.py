"""What is written for a model: its own format after rewriting, a record of it, reasons for what it cannot be asked."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from nava.evaluation.benchmark.item import Item, Spoken
from nava.evaluation.benchmark.layouts import seed_tts_items
from nava.evaluation.benchmark.task import load_task
from nava.evaluation.layouts import requests as writing
from nava.evaluation.layouts.asked import check_requests, items_sha256, read_request_file
from nava.evaluation.layouts.inputs import ovi_stem, release_stem
from nava.evaluation.layouts.requests import RequestSettings
from nava.evaluation.layouts.rewritten import plain_line
from nava.rewriting.result import Maker, RewriteError
from nava.rewriting.rules import RuleRewriter
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree
from tests.evaluation.layouts.scenes import ask, scenes


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    return scenes(tmp_path / "data")


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("A dog and/or a cat", "A_dog_and_or_a_cat"),
        ("He says, <S>Hi there.<E> Audio: wind", "He_says,_Hi_there._Audio:_wind"),
        ("x" * 60, "x" * 50),
        ("<S>" + "y" * 60 + "<E>", "y" * 50),
    ],
)
def test_ovi_leaves_of_a_prompt(prompt: str, stem: str) -> None:
    assert ovi_stem(prompt) == stem


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("Two faces speak in turn", "idx7_Two_faces_speak_in_t"),
        ("A dog. It runs to a ball", "idx7_A_dog"),
        ("a/b c" + "z" * 30, "idx7_a_b_c" + "z" * 15),
    ],
)
def test_the_release_leaves_of_a_prompt(prompt: str, stem: str) -> None:
    assert release_stem(7, prompt) == stem


def test_reasons_are_told_and_counted(items: list[Item], tmp_path: Path) -> None:
    speech = ask("cosyvoice2", items, tmp_path / "speech")
    assert [entry.item_id for entry in speech.asked] == ["talk-0", "talk-1"]
    assert speech.reasons == {
        "there is no speech for a speech model to speak": 6,
        "a speech model takes one reference voice, 0 are given": 1,
    }
    assert ask("mova", items, tmp_path / "mova").reasons == {
        "MOVA always begins with a picture, and the item has none": 1
    }
    people = ask("dreamid-omni", items, tmp_path / "people")
    assert sum(people.reasons.values()) == 7
    (two_people,) = [reason for reason in people.reasons if "of each speaker" in reason]
    assert people.reasons[two_people] == 1
    written = json.loads((tmp_path / "people" / "inputs" / "requests.json").read_text())
    assert written["counts"] == {"asked": 2, "not_taken": 7, "reasons": people.reasons}
    assert len(written["doubts"]) == 3


def test_a_speech_model_that_lacks_the_transcript_says_so(items: list[Item], tmp_path: Path) -> None:
    bare = [replace(item, reference_text="") for item in items[:1]]
    with pytest.raises(InputError, match=r"for no item of scenes\.v1: the reference voice .* needs its transcript"):
        ask("cosyvoice", bare, tmp_path / "out")


def test_what_a_model_has_no_place_for_is_listed(items: list[Item], tmp_path: Path) -> None:
    def left_out(model: str, settings: RequestSettings | None = None) -> dict[str, tuple[str, ...]]:
        requests = ask(model, items, tmp_path / model, settings)
        return {entry.item_id: entry.left_out for entry in requests.asked}

    assert left_out("ovi-1.1")["talk-0"] == ("voices",)
    assert left_out("nava")["talk-0"] == ()
    assert left_out("nava", RequestSettings(with_picture=False, with_voice=False))["talk-0"] == (
        "first_frame",
        "voices",
    )
    assert left_out("cosyvoice")["talk-0"] == ("visual", "first_frame")


def test_one_voice_is_given_to_one_speaker_only(items: list[Item], tmp_path: Path) -> None:
    pair = [replace(item, reference_voice=items[0].reference_voice) for item in items if item.item_id == "dialog-0"]
    same = replace(items[0], speech=(Spoken("One.", "Ada"), Spoken("Two.", "Ada"), Spoken("Three.", "Ada")))
    asked = {entry.item_id: entry for entry in ask("nava-release", [*pair, same], tmp_path / "out").asked}
    assert "spk_wavs" not in asked["dialog-0"].inputs
    assert asked["dialog-0"].left_out == ("voices",)
    # The release documents two at most.
    assert len(asked["talk-0"].inputs["spk_wavs"]) == 2


def test_without_pictures_ovi_s_lines_are_of_its_mode_t2v(items: list[Item], tmp_path: Path) -> None:
    ask("ovi-1.1", items, tmp_path / "out", RequestSettings(with_picture=False))
    inputs = tmp_path / "out" / "inputs"
    assert not (inputs / "i2v.csv").exists()
    with (inputs / "t2v.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(items)
    assert {line["image_path"] for line in lines} == {""}
    assert [entry.batch for entry in read_request_file(inputs).asked] == ["t2v"] * len(items)


def test_a_portrait_stands_in_where_the_item_has_no_picture(items: list[Item], tmp_path: Path) -> None:
    voiced = [replace(items[0], first_frame=None)]
    with pytest.raises(InputError, match="give one for all with --portrait"):
        ask("dreamid-omni", voiced, tmp_path / "out")
    with pytest.raises(InputError, match="--portrait: there is no file"):
        ask("dreamid-omni", voiced, tmp_path / "out", RequestSettings(portrait=tmp_path / "none.png"))
    portrait = tmp_path / "data" / "frame.png"
    (asked,) = ask("dreamid-omni", voiced, tmp_path / "out", RequestSettings(portrait=portrait)).asked
    assert asked.inputs["picture"] == str(portrait)


def test_the_hash_follows_what_the_model_gets_and_not_where_it_lies(items: list[Item], tmp_path: Path) -> None:
    def hashes(items: list[Item], name: str) -> list[str]:
        writing._content.cache_clear()
        return [entry.sha256 for entry in ask("mova", items, tmp_path / name).asked]

    first = hashes(items, "a")
    assert hashes(scenes(tmp_path / "elsewhere"), "b") == first
    assert len(set(first)) == len(first)
    changed = hashes([replace(items[0], prompt="Another face."), *items[1:]], "c")
    assert (changed[0] != first[0], changed[1:]) == (True, first[1:])
    (tmp_path / "data" / "frame.png").write_bytes(b"another picture")
    assert not set(hashes(items, "d")) & set(first)


def test_the_same_call_writes_the_same_files(items: list[Item], tmp_path: Path) -> None:
    ask("nava-release", items, tmp_path / "out")
    before = sha256_tree(tmp_path / "out")
    ask("nava-release", items, tmp_path / "out")
    assert sha256_tree(tmp_path / "out") == before
    # Items that are gone leave no file behind: DreamID-Omni would take it for a case.
    ask("mova", items, tmp_path / "out")
    assert not (tmp_path / "out" / "inputs" / "prompts.jsonl").exists()


class Choosy(RuleRewriter):
    """Fails on one item, counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @property
    def maker(self) -> Maker:
        return Maker("choosy", "1", "model-x")

    def write(self, request, began_s):  # type: ignore[no-untyped-def]
        self.asked.append(request.prompt)
        if "disc 11" in request.prompt:
            raise RewriteError("no words for it")
        return replace(super().write(request, began_s), made_by=self.maker)


def test_a_prompt_that_could_not_be_rewritten_is_a_reason(
    items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewriter = Choosy()
    monkeypatch.setattr(writing, "make_rewriter", lambda config: rewriter)
    requests = ask("ltx-2.3", items, tmp_path / "out")
    assert requests.reasons == {"its prompt could not be rewritten: no words for it": 1}
    assert {entry.made_by for entry in requests.asked} == {"choosy:model-x 1"}
    assert len(rewriter.asked) == len(items)
    # What is rewritten is not asked again, for this model or the next; what failed is.
    ask("mova", items, tmp_path / "out")
    assert rewriter.asked[len(items) :] == ["/A disc 11 swings."]


def test_a_speech_model_needs_no_scene_and_no_endpoint_is_asked(
    items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewriter = Choosy()
    monkeypatch.setattr(writing, "make_rewriter", lambda config: rewriter)
    assert ask("cosyvoice", items, tmp_path / "out").rewriter == "rules 1"
    assert rewriter.asked == []


def test_a_file_that_is_gone_is_a_reason(items: list[Item], tmp_path: Path) -> None:
    gone = replace(items[0], first_frame=tmp_path / "gone.png")
    requests = ask("nava", [gone, items[1]], tmp_path / "out")
    assert requests.not_taken[0].item_id == "talk-0"
    assert requests.not_taken[0].reason == f"its file {tmp_path / 'gone.png'} is not there"


def test_a_list_cannot_hold_its_own_separator(items: list[Item], tmp_path: Path) -> None:
    odd = replace(items[0], speech=(Spoken("this | that", "Ada"),))
    requests = ask("cosyvoice", [odd, items[1]], tmp_path / "out")
    assert requests.reasons == {"its text or path holds a |, which meta.lst cannot": 1}


def test_seed_tts_words_are_no_scene(tmp_path: Path) -> None:
    (tmp_path / "meta.lst").write_text("utt-1|Some call me nature.|v.wav|Hello there.\nutt-2|No voice text.\n")
    (tmp_path / "v.wav").write_bytes(b"x")
    items = seed_tts_items(load_task("seed_tts_en"), tmp_path)
    assert [item.reference_text for item in items] == ["Some call me nature.", ""]
    assert plain_line(items[0], with_picture=True)["task"] == "T2A"
    requests = ask("cosyvoice2", items, tmp_path / "out")
    assert (tmp_path / "out" / "inputs" / "meta.lst").read_text() == (
        f"utt-1|Some call me nature.|{(tmp_path / 'v.wav').resolve()}|Hello there.\n"
    )
    assert [entry.item_id for entry in requests.not_taken] == ["utt-2"]
    (scene,) = [entry for entry in ask("nava", items, tmp_path / "scene").asked if entry.item_id == "utt-1"]
    assert scene.inputs["prompt"] == "Audio: <S>Hello there.<E>"


def test_the_transcript_of_a_voice_does_not_make_other_items(items: list[Item]) -> None:
    assert items_sha256([replace(item, reference_text="other") for item in items]) == items_sha256(items)
    assert items_sha256(items[1:]) != items_sha256(items)


def test_requests_of_another_model_or_benchmark_are_refused(items: list[Item], tmp_path: Path) -> None:
    ask("mova", items, tmp_path / "out")
    requests = read_request_file(tmp_path / "out" / "inputs" / "requests.json")
    check_requests(requests, "mova", items)
    with pytest.raises(InputError, match=r"--requests are for mova, --layout is ltx-2\.3"):
        check_requests(requests, "ltx-2.3", items)
    with pytest.raises(InputError, match=r"written for scenes\.v1 with other items"):
        check_requests(requests, "mova", items[1:])


def test_what_is_no_request_file_is_said(items: list[Item], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no requests\.json"):
        read_request_file(tmp_path)
    file = tmp_path / "requests.json"
    for text in ("[]", "{", '{"schema_version": 1}'):
        file.write_text(text)
        with pytest.raises(InputError, match="is no request file"):
            read_request_file(file)
    ask("mova", items, tmp_path / "out")
    value = json.loads((tmp_path / "out" / "inputs" / "requests.json").read_text())
    file.write_text(json.dumps({**value, "schema_version": 2}))
    with pytest.raises(InputError, match="schema_version must be 1"):
        read_request_file(file)
    file.write_text(json.dumps({**value, "asked": [*value["asked"], value["asked"][0]]}))
    with pytest.raises(InputError, match="items are there twice: talk-0"):
        read_request_file(file)


def test_an_unknown_model_is_said(items: list[Item], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no requests can be written for 'sora'; there are ovi-1\.0"):
        ask("sora", items, tmp_path / "out")
