"""The accounts of the report add up, its stages are those of a curation, its distributions hold every record."""

from pathlib import Path
from typing import Any

import pytest

from nava.config.annotation import AnnotationConfig
from nava.config.curation import CurationConfig
from nava.config.speech import SpeechConfig
from nava.console.clip_media_links import EmbeddedLinks, ServedLinks
from nava.console.corpus_facts import STAGE_ORDER, ReportSize, corpus_report, record_page
from nava.console.curated_folder import CuratedFolder
from nava.data.curation.plan import DUPLICATES, CurationPlan
from nava.pages.corpus_report_page import CorpusReport, RecordQuery
from nava.pages.media import EmbedBudget
from nava.runtime.storage import write_json
from tests.console.small_corpus import (
    BROKEN,
    COPY,
    KEPT,
    SOUND,
    TITLED,
    dropped,
    record,
    rows,
    validated,
    write_corpus,
    write_tables,
)

SIZE = ReportSize(gallery=8, records=100)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("facts") / "corpus")


def facts(folder: Path, size: ReportSize = SIZE, **options: Any) -> CorpusReport:
    return corpus_report(CuratedFolder(folder), ServedLinks(), size, **options)


def test_stages_stand_in_the_order_of_a_curation() -> None:
    plan = CurationPlan(CurationConfig(), SpeechConfig(), AnnotationConfig())
    looking, words = ([stage.name for stage in stages] for stages in (plan.look, plan.words))
    ran = [*looking, plan.filters.name, DUPLICATES, *words]
    assert [name for name in STAGE_ORDER if name in ran] == ran
    assert set(STAGE_ORDER) == set(plan.versions)


def test_accounts_add_up(corpus: Path) -> None:
    report = facts(corpus)
    assert report.counts == {"in": 5, "kept": 2, "dropped": 2, "failed": 0, "quarantined": 1}
    assert report.reasons == {"near_duplicate": 1, "subtitle_text": 1, "undecodable": 1}
    assert report.sources == 4
    assert report.ignored == {"exact_duplicate": 1, "not_media": 1}
    assert ("again.mp4", "exact_duplicate", "src-x") in report.ignored_files
    assert report.kept_s == {"with pictures": 1.0, "sound alone": 1.0}


def test_each_stage_closes_what_it_closed_and_passes_on_the_rest(corpus: Path) -> None:
    stages = {stage.name: stage for stage in facts(corpus).stages}
    assert list(stages) == ["integrity", "filters", "duplicates", "captions"]
    assert [stages[name].entered for name in stages] == [5, 4, 3, 2]
    assert stages["filters"].closed == {"subtitle_text": 1}
    last = stages["captions"]
    assert last.entered - sum(last.closed.values()) == 2


def test_speed_counts_sources_before_the_filters_and_clips_after_them(corpus: Path) -> None:
    report = facts(corpus)
    stages = {stage.name: stage for stage in report.stages}
    # Three sources with scenes or clips: to 2.0 s, to 1.1 s (sound alone, without scenes) and to 2.0 s.
    assert report.source_s == pytest.approx(5.1)
    assert stages["integrity"].media_s == pytest.approx(5.1)
    assert stages["integrity"].cpu_s == 0.5
    assert stages["captions"].media_s == pytest.approx(2.0)
    assert report.cpu_s == 0.75


def test_a_stage_of_ones_own_stands_before_the_filters(tmp_path: Path) -> None:
    write_tables(tmp_path, [record(KEPT, "one"), dropped(COPY, "two", "stage_error", "my_stage", status="failed")])
    names = [stage.name for stage in facts(tmp_path).stages]
    assert names.index("my_stage") == names.index("filters") - 1


def test_a_file_that_was_never_cut_counts_by_its_length(tmp_path: Path) -> None:
    never = {"t0_us": None, "t1_us": None, "scene_t1_us": None, "scene_t0_us": None, "duration_s": 7.5}
    write_tables(tmp_path, [record(KEPT, "one"), dropped("src-x", "two", "no_audio_track", "integrity", **never)])
    assert facts(tmp_path).source_s == pytest.approx(9.5)


def test_distributions_hold_every_record_once(tmp_path: Path) -> None:
    many = [record(f"{number:024}", "one", t0_us=number, sharpness=float(number)) for number in range(200)]
    lost = [dropped(f"b{number:023}", "two", "silent", "filters", t0_us=number, sharpness=-9e9) for number in range(3)]
    blind = [record("c" * 24, "three", sharpness=None)]
    write_tables(tmp_path, [*many, *lost, *blind])
    sharp = next(one for one in facts(tmp_path).distributions if one.column == "sharpness")
    assert (sum(sharp.kept), sum(sharp.not_kept), sharp.missing) == (200, 3, 1)
    assert sharp.bounds == (3.5,)
    assert sharp.median == 99.5
    assert list(sharp.edges) == sorted(sharp.edges)


def test_asked_for_distributions_are_there_with_their_thresholds(corpus: Path) -> None:
    found = {one.column: one for one in facts(corpus).distributions}
    assert {"duration_s", "sharpness", "motion", "lufs", "av_conf"} <= set(found)
    assert found["av_offset_s"].bounds == (-0.12, 0.12)
    assert found["motion"].bounds == ()
    assert found["duration_s"].missing == 1


def test_kinds_are_of_kept_clips_with_who_named_them(corpus: Path) -> None:
    found = {one.label: one for one in facts(corpus).categories}
    assert found["Sound"].counts == {"multi_speaker": 1, "": 1}
    assert found["Sound"].backends == ["yamnet:abc (unproven)"]
    assert found["Licence"].counts == {"CC0-1.0": 2}
    assert found["Subset"].counts == {"stage1": 2, "stage2": 2, "stage3": 1}
    assert found["Collection"].counts == {}


@pytest.mark.parametrize(("passed", "outdated"), [(True, False), (False, False), (True, True)])
def test_the_gate_says_what_does_not_hold(tmp_path: Path, passed: bool, outdated: bool) -> None:
    write_tables(tmp_path, rows())
    validated(tmp_path, passed=passed, outdated=outdated)
    gate = facts(tmp_path, gate_href="/gate").gate
    assert gate is not None
    assert (gate.passed, gate.rules, gate.outdated, gate.href) == (passed, 2, outdated, "/gate")
    assert gate.failed == ([] if passed else ["loud <b>enough</b>"])


def test_a_corpus_that_nobody_validated_has_no_gate(corpus: Path) -> None:
    assert facts(corpus).gate is None


def test_the_gallery_is_spread_over_the_kept_clips(tmp_path: Path) -> None:
    many = [record(f"{number:024}", "one", t0_us=number) for number in range(100)]
    write_tables(tmp_path, [*many, dropped("f" * 24, "one", "silent", "filters", t0_us=200)])
    chosen = [int(card.clip_id) for card in facts(tmp_path, ReportSize(4, 0)).gallery]
    assert chosen == [0, 33, 66, 99]
    assert len(facts(tmp_path, ReportSize(500, 0)).gallery) == 100


def test_without_players_the_gallery_shows_what_has_a_picture(corpus: Path) -> None:
    embedded = corpus_report(CuratedFolder(corpus), EmbeddedLinks(EmbedBudget(1 << 20)), SIZE)
    assert [card.clip_id for card in embedded.gallery] == [KEPT]
    assert embedded.gallery[0].media.poster.startswith("data:image/jpeg")
    assert embedded.gallery[0].media.video == ""
    assert {card.clip_id for card in facts(corpus).gallery} == {KEPT, SOUND}


def test_records_that_were_not_kept_carry_reason_and_detail(corpus: Path) -> None:
    report = facts(corpus)
    assert {card.clip_id for card in report.records} == {COPY, TITLED, BROKEN}
    titled = next(card for card in report.records if card.clip_id == TITLED)
    assert (titled.reason, titled.text, titled.href) == ("subtitle_text", "it is subtitle_text", f"/clips/{TITLED}")
    assert len(facts(corpus, ReportSize(0, 2)).records) == 2


def test_an_empty_corpus_has_a_report(tmp_path: Path) -> None:
    write_tables(tmp_path, [])
    report = facts(tmp_path)
    assert report.counts["in"] == 0
    assert (report.gallery, report.records, report.distributions) == ([], [], [])


def test_a_pulled_corpus_has_a_report_without_cost_and_thresholds(tmp_path: Path) -> None:
    write_tables(tmp_path, [record(KEPT, "one")], recorded=False)
    report = facts(tmp_path)
    assert (report.cpu_s, report.sources, report.ignored) == (None, 1, {})
    assert all(one.bounds == () for one in report.distributions)


def test_thresholds_of_the_filters_are_among_what_it_was_made_with(corpus: Path) -> None:
    made = facts(corpus).facts
    assert made["min_lufs"] == -50.0
    assert made["settings sha256"] == "f" * 64


def test_records_come_in_pages(tmp_path: Path) -> None:
    write_tables(tmp_path, [record(f"{number:024}", "one", t0_us=number) for number in range(25)])
    folder = CuratedFolder(tmp_path)
    for page, first, count in ((1, 0, 10), (3, 20, 5), (99, 20, 5)):
        cards, found, pages = record_page(folder, RecordQuery(page=page), ServedLinks(), 10)
        assert (int(cards[0].clip_id), len(cards), found, pages) == (first, count, 25, 3)
    cards, found, pages = record_page(folder, RecordQuery(words="nowhere"), ServedLinks(), 10)
    assert (cards, found, pages) == ([], 0, 1)


def test_costs_of_nothing_are_no_cost(tmp_path: Path) -> None:
    write_tables(tmp_path, [record(KEPT, "one")])
    write_json(tmp_path / "curation-cost.json", {"cpu_s": {}, "worked": {}})
    assert facts(tmp_path).cpu_s is None
