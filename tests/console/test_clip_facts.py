"""What is known of a record: why it ended as it did, where it lies, what it repeats, whether its files are its own."""

import json
from pathlib import Path

import pytest

from nava.console.clip_facts import clip_lines, clip_page, clip_value
from nava.console.clip_media_links import EmbeddedLinks, ServedLinks, media_facts, page_name, still_facts
from nava.console.curated_folder import CuratedFolder
from nava.pages.clip_page import ClipPage
from nava.pages.media import EmbedBudget
from tests.console.small_corpus import BROKEN, COPY, KEPT, SOUND, TITLED, dropped, record, write_corpus, write_tables


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> CuratedFolder:
    return CuratedFolder(write_corpus(tmp_path_factory.mktemp("facts") / "corpus"))


def page(folder: CuratedFolder, clip_id: str) -> ClipPage:
    return clip_page(folder, clip_id, ServedLinks(), "/")


def test_a_kept_clip_says_what_it_passed(folder: CuratedFolder) -> None:
    kept = page(folder, KEPT)
    assert kept.sentence == (
        "Kept: it passes all 9 rules that apply and repeats no better clip. Split train, for stage1, stage2, stage3."
    )
    assert kept.also == []
    assert "all 3 rules that apply" in page(folder, SOUND).sentence


def test_a_dropped_clip_says_where_why_and_what_else(folder: CuratedFolder) -> None:
    titled = page(folder, TITLED)
    assert titled.sentence == "Dropped at the stage 'filters' as subtitle_text: it is subtitle_text."
    assert titled.also == ["too_quiet"]
    broken = page(folder, BROKEN)
    assert broken.sentence.startswith("Quarantined at the stage 'integrity' as undecodable")
    assert broken.also == []


def test_without_recorded_settings_nothing_is_claimed(tmp_path: Path) -> None:
    write_tables(tmp_path, [record(KEPT, "one")], recorded=False)
    assert "not recorded" in page(CuratedFolder(tmp_path), KEPT).sentence


def test_the_place_in_the_source_with_its_other_clips(folder: CuratedFolder) -> None:
    kept = page(folder, KEPT)
    assert [(span.t0_s, span.t1_s, span.current) for span in kept.scenes] == [(0.0, 2.0, True)]
    assert [(span.t0_s, span.t1_s, span.current) for span in kept.clips] == [(0.1, 1.1, True), (1.2, 2.0, False)]
    assert [(span.tone, span.href) for span in kept.clips] == [("good", ""), ("warn", f"/clips/{COPY}")]
    assert kept.source_end_s == 2.0
    assert "near_duplicate" in kept.clips[1].label
    whole = page(folder, BROKEN)
    assert (whole.scenes, whole.clips, whole.source_end_s) == ([], [], 0.0)


def test_scores_are_placed_among_those_of_the_corpus(tmp_path: Path) -> None:
    write_tables(
        tmp_path, [record(f"{number:024}", "one", t0_us=number, sharpness=float(number)) for number in range(101)]
    )
    facts = page(CuratedFolder(tmp_path), f"{75:024}")
    sharp = next(check for check in facts.checks if check.column == "sharpness")
    assert sharp.rank == pytest.approx(75 / 101)
    assert sharp.usual == (5.0, 95.0)
    assert sharp.span is not None
    assert sharp.span[0] <= 3.5 <= sharp.span[1]
    assert next(check for check in facts.checks if check.column == "lufs").usual == (-20.0, -20.0)


def test_words_speech_and_tags_with_who_gave_them(folder: CuratedFolder) -> None:
    kept = page(folder, KEPT)
    assert [(one.speaker, one.text) for one in kept.speech] == [("Ada", "Come in."), ("Ben", "")]
    assert kept.speech_backend == "sidecar"
    groups = {group.label: group for group in kept.tags}
    assert groups["Sound"].unproven
    assert not groups["Measured by the captioner"].unproven
    assert groups["Picture"].tags == []
    assert page(folder, TITLED).tags == []


def test_duplicates_name_each_other(folder: CuratedFolder) -> None:
    copy, kept = page(folder, COPY), page(folder, KEPT)
    assert [(one.clip_id, one.status) for one in copy.related] == [(KEPT, "kept")]
    assert copy.related[0].cosine == pytest.approx(0.99)
    assert copy.checks[-1].column == "dup_cosine"
    assert [(one.clip_id, one.href) for one in kept.related] == [(COPY, f"/clips/{COPY}")]
    assert kept.related[0].media.video == f"/clips/{COPY}/video"
    assert page(folder, SOUND).related_label == "No other clip repeats it."
    assert page(folder, TITLED).related_label == "It was not compared with other clips."


def test_many_copies_are_counted_and_a_keeper_may_be_elsewhere(tmp_path: Path) -> None:
    copies = [
        dropped(f"dd{number:022}", "two", "near_duplicate", "duplicates", t0_us=number, dup_of=KEPT)
        for number in range(6)
    ]
    far = dropped("ee" * 12, "three", "near_duplicate", "duplicates", dup_of="gone" * 6)
    write_tables(tmp_path, [record(KEPT, "one"), *copies, far])
    folder = CuratedFolder(tmp_path)
    kept = page(folder, KEPT)
    assert (len(kept.related), kept.related_more) == (4, 2)
    assert kept.related_label == "6 clips repeat it and were dropped:"
    assert page(folder, "ee" * 12).related_label == f"Repeats {'gone' * 6}, which is a clip of another corpus."


def test_files_are_held_against_their_hashes(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path)
    (corpus / "media" / f"{KEPT}.wav").write_bytes(b"other")
    (corpus / "media" / f"{KEPT}.flac").unlink()
    states = {Path(file.path).suffix: file.state for file in page(CuratedFolder(corpus), KEPT).files}
    assert states == {".mp4": "as hashed", ".wav": "NOT those that were hashed", ".flac": "missing"}


def test_media_of_each_kind_of_record(folder: CuratedFolder) -> None:
    links = ServedLinks()
    kept = media_facts(folder, folder.row(KEPT), links, traced=True)
    assert (kept.video, kept.sound, kept.poster) == (f"/clips/{KEPT}/video", "", f"/clips/{KEPT}/thumbnail")
    assert (kept.note, kept.shape) == ("", "square")
    assert kept.traces.count("tone-") == 2
    sound = media_facts(folder, folder.row(SOUND), links, traced=True)
    assert (sound.video, sound.sound) == ("", f"/clips/{SOUND}/sound")
    assert sound.traces.count("tone-") == 1
    copy = media_facts(folder, folder.row(COPY), links)
    assert copy.note.startswith("From the work of the curation")
    assert copy.traces == ""
    assert media_facts(folder, folder.row(TITLED), links).note == "The corpus has no media of what was not kept."
    assert media_facts(folder, folder.row(BROKEN), links).note == "No clip was cut from this file."


@pytest.mark.parametrize(("size", "shape"), [((128, 64), "wide"), ((64, 128), "tall"), ((64, 60), "square")])
def test_the_shape_of_the_picture(folder: CuratedFolder, size: tuple[int, int], shape: str) -> None:
    row = record("x" * 24, "one", width=size[0], height=size[1])
    assert still_facts(folder, row, ServedLinks()).shape == shape


def test_a_page_carries_its_media_as_far_as_the_budget_goes(folder: CuratedFolder) -> None:
    row = folder.row(KEPT)
    whole = media_facts(folder, row, EmbeddedLinks(EmbedBudget(1 << 24)))
    assert whole.video.startswith("data:video/mp4;base64,")
    assert whole.poster.startswith("data:image/jpeg;base64,")
    none = media_facts(folder, row, EmbeddedLinks(EmbedBudget(10)))
    assert (none.video, none.sound) == ("", "")
    assert "too large" in none.note


def test_a_kept_clip_whose_media_were_not_pulled_says_so(tmp_path: Path) -> None:
    write_tables(tmp_path, [record(KEPT, "one", video_path="media/x.mp4")], recorded=False)
    folder = CuratedFolder(tmp_path)
    assert media_facts(folder, folder.row(KEPT), ServedLinks()).note == "The media are not in this folder."


def test_pages_beside_each_other_are_linked_only_where_they_exist(tmp_path: Path) -> None:
    links = EmbeddedLinks(EmbedBudget(0), tmp_path)
    assert links.clip(KEPT) == ""
    (tmp_path / f"{KEPT}.html").touch()
    assert links.clip(KEPT) == f"{KEPT}.html"
    assert "/" not in page_name("../../outside")


def test_everything_is_json(folder: CuratedFolder) -> None:
    value = json.loads(json.dumps(clip_value(folder, KEPT), allow_nan=False))
    assert value["clip"]["caption"] == "A red square. <S>Come in.<E>"
    assert value["repeated_by"] == [COPY]
    assert value["clips_of_source"] == [KEPT, COPY]
    assert value["source"]["licence"] == "CC0-1.0"
    assert {check["column"]: check["passed"] for check in value["checks"]}["lufs"] is True
    assert len(value["files"]) == 3
    for clip_id in folder.ids:
        json.dumps(clip_value(folder, clip_id), allow_nan=False)


def test_the_terminal_shows_scores_bounds_and_verdicts(folder: CuratedFolder) -> None:
    lines = clip_lines(page(folder, TITLED))
    assert lines[0] == f"{TITLED}  dropped"
    loud = next(line for line in lines if line.strip().startswith("Loudness"))
    assert loud.split() == ["Loudness", "−60", "LUFS", "at", "least", "−50", "FAIL"]
    assert "and would not have been kept for: too_quiet" in lines
    spoken = clip_lines(page(folder, KEPT))
    assert "    0.10 to   0.50 s  Ada: Come in." in spoken
    assert any("(not transcribed)" in line for line in spoken)
    assert any("yamnet:abc (unproven)" in line for line in spoken)
