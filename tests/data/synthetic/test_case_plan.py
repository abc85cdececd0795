"""The plan of the labelled corpus: enough of everything, and nothing of it changes the demo's."""

from collections import Counter
from dataclasses import asdict, fields
from itertools import pairwise

import pytest

from nava.config.composition import compose
from nava.config.synthetic import CaseCounts, DefectCounts, SyntheticConfig
from nava.data.synthetic.case_plan import COPIES, FORMS, RECORDING_SUFFIXES, SPOILT, plan_cases
from nava.data.synthetic.damage import UNDECODABLE
from nava.data.synthetic.labels import EXPECTED_OUTCOMES
from nava.data.synthetic.plan import plan_corpus
from nava.data.synthetic.subtitles import STYLES
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.step import typed_section


def config_of(**counts):
    return SyntheticConfig(videos=0, audio_files=0, defects=DefectCounts(*[0] * 10), cases=CaseCounts(**counts))


@pytest.fixture(scope="module")
def labelled():
    return typed_section(SyntheticConfig, compose("labelled").config["synthetic"])


@pytest.fixture(scope="module")
def plans(labelled):
    return plan_cases(labelled, seed=0)


def of(plans, case):
    return [plan for plan in plans if plan.case == case]


def test_the_demo_has_no_cases_and_they_change_nothing_of_it():
    demo = SyntheticConfig()
    with_cases = SyntheticConfig(cases=CaseCounts(transitions=2, rescaled=1))
    assert plan_cases(demo, 0) == []
    assert plan_corpus(demo, 0) == plan_corpus(with_cases, 0)
    assert compose("smoke").config["synthetic"]["cases"] == asdict(CaseCounts())


def test_the_labelled_corpus_is_as_large_as_the_promises_need(plans, labelled):
    assert Counter(plan.case for plan in plans) == asdict(labelled.cases)
    assert plan_corpus(labelled, 0) == []
    assert len(plans) >= 60
    assert len(of(plans, "subtitled")) >= 40
    joins = Counter(kind for plan in of(plans, "transitions") for kind in plan.joins)
    assert joins["hard"] >= 30
    assert min(joins["fade"], joins["fade_white"], joins["dissolve"]) >= 5


def test_every_form_of_every_case_occurs(plans):
    assert {plan.form for plan in of(plans, "forms")} == set(FORMS)
    assert {plan.form for plan in of(plans, "spoilt")} == set(SPOILT)
    assert {plan.path.rpartition(".")[2] for plan in of(plans, "recordings")} == set(RECORDING_SUFFIXES)
    assert len(of(plans, "undecodable")) >= len(UNDECODABLE)
    assert len(of(plans, "subtitled")) >= len(STYLES)
    kinds = {shot.kind for plan in plans for shot in plan.shots}
    assert kinds == {"talk", "dialog", "impact", "music", "singing", "landscape", "rain", "tone", "flash", "silent"}


def test_subtitles_have_pictures_as_large_as_uploads(plans):
    assert {(plan.stage.width, plan.stage.height) for plan in of(plans, "subtitled")} >= {(640, 360), (360, 640)}
    assert min(plan.stage.width * plan.stage.height for plan in of(plans, "subtitled")) >= 640 * 360


def test_joins_have_room_in_the_shots_beside_them(plans):
    for plan in of(plans, "transitions"):
        assert len(plan.joins) == len(plan.shots) - 1
        for kind, (before, after) in zip(plan.joins, pairwise(plan.shots), strict=True):
            assert before.tail_s == after.lead_s
            assert (before.tail_s > 0) == (kind != "hard")
        for shot in plan.shots:
            assert shot.min_duration_s - shot.lead_s - shot.tail_s >= 1.2 - 1e-6


def test_copies_come_last_and_have_clean_originals_of_their_own(plans):
    copies = [plan for plan in plans if plan.case in COPIES]
    assert copies == plans[-len(copies) :]
    by_path = {plan.path: plan for plan in plans}
    originals = [by_path[plan.copy_of] for plan in copies]
    assert all(original.case in ("synchronous", "transitions") for original in originals)
    assert len({original.path for original in originals}) == len(copies)
    assert {plan.defect for plan in copies} == {"near_duplicate", "altered_copy"}
    assert {plan.case for plan in copies if plan.defect == "altered_copy"} == {"cropped", "mirrored", "with_logo"}


def test_every_defect_has_an_expected_outcome(plans):
    assert {plan.defect for plan in plans} <= set(EXPECTED_OUTCOMES)
    assert set(asdict(DefectCounts())) <= set(EXPECTED_OUTCOMES)
    statuses = {status for status, _ in EXPECTED_OUTCOMES.values()}
    assert statuses == {"kept", "dropped", "quarantined", ""}


def test_a_path_does_not_tell_the_case(plans):
    assert len({plan.path for plan in plans}) == len(plans)
    order = [plan.case for plan in sorted(plans, key=lambda plan: plan.path.rpartition("/")[2])]
    changes = sum(a != b for a, b in pairwise(order))
    assert changes > len(plans) / 2


def test_no_transcript_tells_what_should_be_heard(plans):
    assert not any(plan.sidecar for plan in plans)


def test_a_plan_depends_on_the_seed_alone(labelled):
    one, again, other = (sha256_json([plan.to_json() for plan in plan_cases(labelled, seed)]) for seed in (3, 3, 4))
    assert one == again != other


def test_copies_without_films_are_refused():
    with pytest.raises(InputError, match="copies but no films"):
        plan_cases(config_of(brightened=1), 0)


@pytest.mark.parametrize("name", [item.name for item in fields(CaseCounts)])
def test_a_negative_count_is_refused(name):
    with pytest.raises(InputError, match=f"synthetic.cases.{name} is -1; it must be at least 0"):
        config_of(**{name: -1}).check()
