from collections import Counter
from dataclasses import asdict, fields, replace
from fractions import Fraction

import pytest

from nava.config.synthetic import DefectCounts, SyntheticConfig
from nava.data.synthetic.plan import FADE_S, FRAME_RATES, SIZES, FilePlan, plan_corpus
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json

NO_DEFECTS = DefectCounts(*[0] * 10)


def videos(plans: list[FilePlan]) -> list[FilePlan]:
    return [plan for plan in plans if plan.modality == "video" and not plan.defect]


def test_the_demo_has_the_promised_size():
    plans = plan_corpus(SyntheticConfig(), seed=0)
    raw = [plan for plan in plans if plan.path.startswith("video/")]
    shots = [shot for plan in videos(plans) for shot in plan.shots]
    clips = sum(2 if shot.min_duration_s >= 4.3 else 1 for shot in shots)
    assert 150 <= len(raw) <= 170
    assert sum(plan.modality == "audio" for plan in plans) == 40
    assert 500 <= clips <= 640
    assert sum(shot.kind == "flash" for shot in shots) >= 320


@pytest.mark.parametrize("seed", range(4))
def test_at_least_half_of_the_clean_paired_clips_flash(seed):
    shots = [shot for plan in videos(plan_corpus(SyntheticConfig(), seed)) for shot in plan.shots]
    clips = Counter()
    for shot in shots:
        clips[shot.kind == "flash"] += 2 if shot.min_duration_s >= 4.3 else 1
    assert clips[True] > 1.2 * clips[False]


def test_every_kind_of_shot_and_every_look_of_a_flash_occurs():
    shots = [shot for plan in videos(plan_corpus(SyntheticConfig(), 0)) for shot in plan.shots]
    assert {shot.kind for shot in shots} == {"flash", "impact", "talk", "dialog", "music", "tone", "rain", "silent"}
    looks = Counter((shot.colour, shot.side, shot.pitch_hz) for shot in shots if shot.kind == "flash")
    assert len(looks) == 4 * 2 * 3
    assert max(looks.values()) - min(looks.values()) <= 1


def test_a_corpus_may_hold_other_kinds_of_shots_than_the_demo_s():
    plans = plan_corpus(SyntheticConfig(flash_share=0.5, other_kinds=["impact"], defects=NO_DEFECTS), 0)
    kinds = Counter(shot.kind for plan in videos(plans) for shot in plan.shots)
    assert set(kinds) == {"flash", "impact"}
    assert abs(kinds["flash"] - kinds["impact"]) <= 1


def test_every_shot_has_room_for_a_clip_of_49_frames():
    for plan in videos(plan_corpus(SyntheticConfig(), 0)):
        for shot in plan.shots:
            assert shot.min_duration_s - shot.lead_s - shot.tail_s >= 2.15 - 1e-6


def test_sizes_and_rates_are_mixed_and_encodable():
    plans = videos(plan_corpus(SyntheticConfig(), 0))
    assert {(plan.stage.width, plan.stage.height) for plan in plans} == set(SIZES)
    assert (
        {plan.stage.fps for plan in plans}
        == set(FRAME_RATES)
        == {Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30)}
    )
    assert all(plan.stage.width % 2 == 0 and plan.stage.height % 2 == 0 for plan in plans)
    assert {plan.channels for plan in plans} == {1, 2}


def test_every_defect_occurs_as_often_as_configured():
    config = SyntheticConfig()
    counts = Counter(plan.defect for plan in plan_corpus(config, 0))
    assert {name: counts[name] for name in asdict(config.defects)} == asdict(config.defects)


def test_a_smoke_corpus_still_has_every_defect_once():
    config = SyntheticConfig(videos=6, audio_files=2, defects=DefectCounts(*[1] * len(fields(DefectCounts))))
    plans = plan_corpus(config, 0)
    assert Counter(plan.defect for plan in plans if plan.defect) == dict.fromkeys(asdict(config.defects), 1)


def test_near_duplicates_come_last_and_copy_clean_videos():
    plans = plan_corpus(SyntheticConfig(), 0)
    clean = {plan.path for plan in videos(plans)}
    copies = [plan for plan in plans if plan.copy_of]
    assert plans[-len(copies) :] == copies
    assert len(copies) == len({plan.copy_of for plan in copies}) == SyntheticConfig().defects.near_duplicate
    assert {plan.copy_of for plan in copies} <= clean


def test_names_say_nothing_about_what_is_in_a_file():
    plans = plan_corpus(SyntheticConfig(), 0)
    assert len({plan.path for plan in plans}) == len(plans)
    defective = [int(plan.path[7:11]) for plan in plans if plan.defect and plan.path.startswith("video/")]
    assert min(defective) < 40
    assert max(defective) > 110


def test_fades_lie_between_two_shots_and_only_there():
    for plan in videos(plan_corpus(SyntheticConfig(fade_share=0.5), 0)):
        assert plan.shots[0].lead_s == 0.0
        assert plan.shots[-1].tail_s == 0.0
        assert all(a.tail_s == b.lead_s for a, b in zip(plan.shots, plan.shots[1:], strict=False))
        assert {shot.tail_s for shot in plan.shots} <= {0.0, FADE_S}


def test_the_share_of_fades_is_exact():
    plans = videos(plan_corpus(SyntheticConfig(fade_share=0.25), 0))
    transitions = sum(len(plan.shots) - 1 for plan in plans)
    assert sum(shot.tail_s > 0 for plan in plans for shot in plan.shots) == round(0.25 * transitions)


def test_the_same_seed_plans_the_same_and_another_seed_does_not():
    config = SyntheticConfig(videos=5, audio_files=3)
    assert plan_corpus(config, 7) == plan_corpus(config, 7)
    assert plan_corpus(config, 7) != plan_corpus(config, 8)


def test_workers_do_not_enter_the_plan():
    one, four = (plan_corpus(SyntheticConfig(videos=3, workers=count), 0) for count in (1, 4))
    assert one == four


def test_a_plan_is_identified_by_all_it_holds():
    plan = plan_corpus(SyntheticConfig(videos=1, audio_files=0, defects=NO_DEFECTS), 0)[0]
    digest = sha256_json(plan.to_json())
    changed = [
        replace(plan, seed=1),
        replace(plan, channels=3 - plan.channels),
        replace(plan, sidecar=not plan.sidecar),
    ]
    changed.append(replace(plan, shots=(replace(plan.shots[0], colour="none"), *plan.shots[1:])))
    assert digest not in {sha256_json(other.to_json()) for other in changed}


def test_an_empty_corpus_is_no_error():
    assert plan_corpus(SyntheticConfig(videos=0, audio_files=0, defects=NO_DEFECTS), 0) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"videos": -1}, "synthetic.videos is -1"),
        ({"flash_share": 1.5}, "synthetic.flash_share is 1.5"),
        ({"fade_share": -0.1}, "synthetic.fade_share"),
        ({"min_shots": 0}, "synthetic.min_shots"),
        ({"min_shots": 4, "max_shots": 3}, "synthetic.max_shots"),
        ({"min_shot_s": 1.0}, "synthetic.min_shot_s is 1.0"),
        ({"min_shot_s": 5.0}, "synthetic.long_shot_s"),
        ({"workers": 0}, "synthetic.workers is 0"),
        ({"videos": 0}, "near_duplicate needs synthetic.videos"),
        ({"defects": DefectCounts(quiet=-2)}, "synthetic.quiet is -2"),
    ],
)
def test_settings_out_of_range_are_named(values, message):
    with pytest.raises(InputError, match=message):
        plan_corpus(SyntheticConfig(**values), 0)
