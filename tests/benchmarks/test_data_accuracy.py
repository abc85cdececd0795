"""The scorer on fabricated manifests whose figures are known."""

import json

import pytest

from benchmarks import data_accuracy, data_accuracy_media
from benchmarks.data_accuracy_corpus import Corpus, merge_spans, pool, read_corpus
from benchmarks.data_accuracy_cuts import boundaries, match, score_cuts
from benchmarks.data_accuracy_report import EXAMPLES, markdown_table, terminal_table, to_json
from benchmarks.data_accuracy_scores import (
    score,
    score_duplicates,
    score_integrity,
    score_spoilt,
    score_subtitles,
    score_synchrony,
)
from benchmarks.data_accuracy_sound import confusion, score_sound
from benchmarks.data_accuracy_statistics import Score, Tally, bootstrap_f1, share, wilson
from nava.artifacts.clip_manifest import write_clips
from nava.data.synthetic.labels import (
    CutLabel,
    FileLabel,
    ShotLabel,
    SubtitleLabel,
    UtteranceLabel,
    WordLabel,
    write_labels,
)

SHOT_S = 2.5


def label_of(path="video/a.mp4", shots=1, joins=(), kind="talk", **values):
    """A film of shots of 2.5 s each."""
    label = FileLabel(path, "video", width=640, height=360, fps="25", duration_s=shots * SHOT_S, **values)
    label.shots = [ShotLabel(kind, SHOT_S * i, SHOT_S * (i + 1), 0, 0) for i in range(shots)]
    kinds = joins or ["hard"] * (shots - 1)
    half = {"hard": 0.0}
    label.cuts = [
        CutLabel(SHOT_S * (i + 1), name, SHOT_S * (i + 1) - half.get(name, 0.3), SHOT_S * (i + 1) + half.get(name, 0.3))
        for i, name in enumerate(kinds)
    ]
    return label


def row_of(path="video/a.mp4", scene=0, start_s=None, end_s=None, reason=None, **values):
    start_s = SHOT_S * scene if start_s is None else start_s
    end_s = start_s + SHOT_S if end_s is None else end_s
    status = "kept" if reason is None else "dropped"
    return {
        "clip_id": f"{path}-{start_s}",
        "src_path": path,
        "scene": scene,
        "scene_t0_us": round(start_s * 1e6),
        "scene_t1_us": round(end_s * 1e6),
        "t0_us": round(start_s * 1e6) + 100_000,
        "t1_us": round(end_s * 1e6) - 100_000,
        "status": status,
        "drop_reason": reason,
        **values,
    }


def broken_row(path, reason):
    row = dict.fromkeys(row_of(), None)
    return {**row, "clip_id": path, "src_path": path, "status": "quarantined", "drop_reason": reason}


def corpus_of(*pairs, min_av_conf=0.2):
    return Corpus({label.path: label for label, _ in pairs}, {label.path: rows for label, rows in pairs}, min_av_conf)


def named(scores, name):
    (found,) = [one for one in scores if one.name == name]
    return found


# Statistics.


def test_wilson_gives_the_published_interval():
    low, high = wilson(81, 263)  # Newcombe 1998, table I: 0.2553 to 0.3662
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10)[1] == 1.0


def test_f1_of_one_missed_cut_out_of_ten():
    assert Tally(9, 0, 1).f1 == pytest.approx(18 / 19)
    assert Tally().f1 is None
    assert Tally(1, 2, 3) + Tally(4, 5, 6) == Tally(5, 7, 9)


def test_the_bootstrap_repeats_and_widens_with_unlike_sources():
    alike, unlike = [Tally(9, 0, 1)] * 10, [Tally(10, 0, 0)] * 9 + [Tally(0, 0, 10)]
    assert bootstrap_f1(alike) == pytest.approx((18 / 19, 18 / 19))
    low, high = bootstrap_f1(unlike)
    assert low < 18 / 19 < high
    assert bootstrap_f1(unlike) == (low, high)
    assert bootstrap_f1([]) == (0.0, 1.0)


def test_a_promise_about_nothing_is_not_kept():
    assert share("x", [], at_least=0.5).holds is False
    assert share("x", []).holds is None
    assert share("x", [(False, "a"), (True, "b")], at_most=0.4, wrong=True).examples == ("b",)
    assert share("x", [(False, "a"), (True, "b")], at_least=0.5).holds is True


def test_spans_that_touch_or_are_near_are_one():
    assert merge_spans([(2, 3), (0, 1), (1, 1.5)]) == [(0, 1.5), (2, 3)]
    assert merge_spans([(2, 3), (0, 1)], gap_s=1.0) == [(0, 3)]


# Cuts.


def test_ten_cuts_all_found():
    label = label_of(shots=11)
    scores = score_cuts(corpus_of((label, [row_of(scene=i) for i in range(11)])))
    assert named(scores, "cuts: F1").value == 1.0
    assert named(scores, "cuts: F1").n == 10
    assert named(scores, "cuts: F1").holds


def test_one_missed_cut_out_of_ten():
    rows = [row_of(scene=i) for i in range(9)] + [row_of(scene=9, start_s=22.5, end_s=27.5)]
    scores = score_cuts(corpus_of((label_of(shots=11), rows)))
    assert named(scores, "cuts: F1").value == pytest.approx(18 / 19)
    assert named(scores, "cuts: recall").value == 0.9
    assert named(scores, "cuts: precision").value == 1.0
    assert named(scores, "cuts: F1").examples == ("missed hard video/a.mp4 25.00 s",)


def test_one_false_cut_in_a_shot():
    rows = [row_of(start_s=0.0, end_s=1.0), row_of(scene=1, start_s=1.0, end_s=2.5), row_of(scene=2, start_s=2.5)]
    scores = score_cuts(corpus_of((label_of(shots=2), rows)))
    assert named(scores, "cuts: precision").value == 0.5
    assert named(scores, "cuts: F1").value == pytest.approx(2 / 3)
    assert named(scores, "cuts: F1").examples == ("false video/a.mp4 1.00-1.00 s",)


@pytest.mark.parametrize(("shift_s", "found"), [(0.09, True), (-0.09, True), (0.2, False)])
def test_a_hard_cut_is_found_within_a_tenth_of_a_second(shift_s, found):
    rows = [row_of(end_s=2.5 + shift_s), row_of(scene=1, start_s=2.5 + shift_s)]
    matched = match(label_of(shots=2), rows)
    assert bool(matched.found) == found
    assert bool(matched.false) != found


def test_what_lies_dark_between_two_scenes_is_a_fade():
    rows = [row_of(end_s=2.3), row_of(scene=1, start_s=2.7)]
    scores = score_cuts(corpus_of((label_of(shots=2, joins=["fade"]), rows)))
    assert named(scores, "cuts: fades through black and white found").value == 1.0
    assert named(scores, "cuts: fade found").n == 1
    assert named(scores, "cuts: precision").value == 1.0


def test_a_missed_dissolve_counts_in_f1_but_not_in_that_of_hard_cuts():
    rows = [row_of(end_s=5.0), row_of(scene=1, start_s=5.0)]
    scores = score_cuts(corpus_of((label_of(shots=3, joins=["dissolve", "hard"]), rows)))
    assert named(scores, "cuts: F1").value == pytest.approx(2 / 3)
    assert named(scores, "cuts: F1 without dissolves").value == 1.0
    assert named(scores, "cuts: F1 of hard cuts alone").value == 1.0
    assert named(scores, "cuts: dissolve found").value == 0.0


def test_one_boundary_is_not_two_cuts():
    label = label_of(shots=2)
    label.cuts.append(CutLabel(2.55, "hard", 2.55, 2.55))
    matched = match(label, [row_of(), row_of(scene=1)])
    assert (len(matched.found), len(matched.missed), len(matched.false)) == (1, 1, 0)


def test_a_good_file_that_was_rejected_misses_its_cuts():
    scores = score_cuts(corpus_of((label_of(shots=3), [broken_row("video/a.mp4", "damaged")])))
    assert named(scores, "cuts: recall").value == 0.0


def test_broken_files_and_copies_have_no_cuts_to_find():
    broken = label_of("b.mp4", shots=3, defect="damaged")
    copied = label_of("c.mp4", shots=3, defect="near_duplicate", duplicate_of="video/a.mp4")
    silent = label_of("d.mp4", shots=3, defect="without_audio")
    scores = score_cuts(
        corpus_of((broken, []), (copied, []), (silent, []), (label_of(shots=2), [row_of(), row_of(scene=1)]))
    )
    assert named(scores, "cuts: F1").n == 1


def test_clips_of_one_scene_have_no_boundary_between_them():
    rows = [row_of(end_s=5.0, clip_id=str(i), t0_us=i) for i in range(3)]
    assert boundaries(rows) == []
    assert boundaries([row_of(scene=1, start_s=2.5)]) == [(2.5, 2.5)]


# Broken files.


def broken_pair(path, defect="garbage", reason="undecodable", detail="noise"):
    return FileLabel(path, "none", defect=defect, detail=detail), [broken_row(path, reason)]


def test_broken_files_and_reasons():
    scores = score_integrity(
        corpus_of(
            broken_pair("a"),
            broken_pair("b", detail="broken off", reason="truncated"),
            broken_pair("c", reason="timed_out"),
            broken_pair("d", defect="damaged", reason="damaged", detail="zeroed"),
            (label_of("e", defect="damaged", detail="flipped"), [row_of("e")]),
        )
    )
    undecodable = named(scores, "integrity: undecodable files quarantined with the reason")
    assert (undecodable.n, undecodable.value) == (3, pytest.approx(2 / 3))
    assert undecodable.examples == ("c (noise): timed_out",)
    assert named(scores, "integrity: damaged files quarantined").value == 0.5
    assert named(scores, "integrity: undecodable, broken off").value == 1.0


def test_a_file_without_a_record_is_lost_whatever_it_is():
    scores = score_integrity(corpus_of((label_of("a"), []), (FileLabel("b", "none", defect="garbage"), [])))
    assert named(scores, "integrity: other files quarantined, failed or lost").value == 1.0
    assert named(scores, "integrity: undecodable files quarantined with the reason").value == 0.0


def test_a_good_file_in_quarantine_breaks_the_promise_and_a_slightly_damaged_one_is_counted_too():
    slight = label_of("b", defect="slightly_damaged", detail="zeroed: 1 of 300 video packets")
    scores = score_integrity(corpus_of((label_of("a"), [row_of("a")]), (slight, [broken_row("b", "damaged")])))
    good = named(scores, "integrity: other files quarantined, failed or lost")
    assert (good.value, good.holds) == (0.5, False)
    assert named(scores, "integrity: slightly damaged files quarantined").value == 1.0


# Subtitles.


def subtitled(path="s", box=(100, 300, 500, 340), start_s=0.0, end_s=SHOT_S):
    return label_of(path, defect="subtitled", detail="white", subtitles=[SubtitleLabel(start_s, end_s, "text", box)])


def test_subtitles_found_dropped_cropped_and_missed():
    crop = {"x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 0.8}
    middle = {"x0": 0.2, "y0": 0.0, "x1": 0.8, "y1": 1.0}
    scores = score_subtitles(
        corpus_of(
            (subtitled("a"), [row_of("a", reason="subtitle_text")]),
            (subtitled("b"), [row_of("b", crop=crop)]),
            (subtitled("c"), [row_of("c", crop=middle)]),
            (subtitled("d"), [row_of("d", reason="silent")]),
            (subtitled("e", end_s=0.3), [row_of("e")]),
        )
    )
    found = named(scores, "subtitles: found in clips that have them")
    assert (found.n, found.value) == (3, pytest.approx(2 / 3))
    assert found.examples[0].startswith("c 0.10-2.40 s")
    assert named(scores, "subtitles: white") == Score("subtitles: white", *_values(found), examples=found.examples)


def _values(one):
    return one.value, one.n, one.low, one.high


def test_clean_clips_dropped_or_cropped_for_text_are_false():
    band = {"x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 0.85}
    even = {"x0": 0.0, "y0": 0.1, "x1": 1.0, "y1": 0.9}
    scores = score_subtitles(
        corpus_of(
            (label_of("a"), [row_of("a", reason="subtitle_text")]),
            (label_of("b"), [row_of("b", crop=band)]),
            (label_of("c"), [row_of("c", crop=even)]),
            (label_of("d"), [row_of("d")]),
        )
    )
    false = named(scores, "subtitles: found in clips that have none")
    assert (false.n, false.value, false.holds) == (4, 0.5, False)


# Duplicates.


def duplicate_corpus(*changes):
    """An original with one clip, and a copy for each (detail, whether it was found)."""
    pairs = [(label_of("o"), [row_of("o")])]
    for number, (detail, found) in enumerate(changes):
        path = f"c{number}"
        defect = "altered_copy" if detail in ("cropped", "mirrored") else "near_duplicate"
        label = label_of(path, defect=defect, detail=detail, duplicate_of="o")
        row = row_of(path, reason="near_duplicate" if found else None, dup_of="o-0.0" if found else None)
        pairs.append((label, [row]))
    return corpus_of(*pairs)


def test_copies_found_by_change():
    scores = score_duplicates(
        duplicate_corpus(("rescaled", True), ("rescaled", False), ("brightened", True), ("mirrored", False))
    )
    found = named(scores, "duplicates: re-encoded copies found")
    assert (found.n, found.value, found.holds) == (3, pytest.approx(2 / 3), False)
    assert named(scores, "duplicates: rescaled copies found").value == 0.5
    assert named(scores, "duplicates: mirrored copies found").value == 0.0
    assert named(scores, "duplicates: clips falsely called copies").value == 0.0


def test_it_does_not_matter_which_of_the_two_is_kept():
    corpus = duplicate_corpus(("rescaled", False), ("brightened", True))
    corpus.rows["o"][0].update(status="dropped", drop_reason="near_duplicate", dup_of="c0-0.0")
    corpus.rows["c1"][0]["dup_of"] = "c0-0.0"
    scores = score_duplicates(corpus)
    assert named(scores, "duplicates: re-encoded copies found").value == 1.0
    assert named(scores, "duplicates: clips falsely called copies").value == 0.0


def test_another_part_of_the_original_is_a_false_copy():
    original, copied = (
        label_of("o", shots=2),
        label_of("c", 2, defect="near_duplicate", duplicate_of="o", detail="rescaled"),
    )
    first, second = row_of("o"), row_of("o", scene=1)
    wrong = row_of("c", scene=1, reason="near_duplicate", dup_of=first["clip_id"])
    scores = score_duplicates(corpus_of((original, [first, second]), (copied, [wrong])))
    assert named(scores, "duplicates: re-encoded copies found").value == 0.0
    assert named(scores, "duplicates: clips falsely called copies").value == pytest.approx(1 / 3)


def test_clips_dropped_before_were_not_compared():
    corpus = duplicate_corpus(("rescaled", False))
    corpus.rows["o"][0].update(status="dropped", drop_reason="silent")
    assert named(score_duplicates(corpus), "duplicates: re-encoded copies found").n == 0


# Offsets.


def test_offsets_confident_and_right():
    rows = [
        row_of(scene=0, av_offset_s=0.05, av_conf=0.5),
        row_of(scene=1, av_offset_s=-0.2, av_conf=0.5, reason="audio_video_offset"),
        row_of(scene=2, av_offset_s=0.5, av_conf=0.1),
        row_of(scene=3, av_offset_s=None, av_conf=None),
    ]
    late = label_of("l", defect="shifted", av_offset_s=0.4)
    found = row_of("l", av_offset_s=0.45, av_conf=0.9, reason="audio_video_offset")
    scores = score_synchrony(corpus_of((label_of(shots=4), rows), (late, [found])))
    confident = named(scores, "offset: talk, dialogue and impact clips judged confident")
    assert (confident.n, confident.value) == (5, 0.6)
    near = named(scores, "offset: confident ones within 80 ms of the truth")
    assert (near.n, near.value) == (3, pytest.approx(2 / 3))
    assert "-0.200 s, confidence 0.50, truth +0.000 s" in near.examples[0]
    assert named(scores, "offset: shifted clips dropped for it").value == 1.0
    assert named(scores, "offset: clips in time dropped for it").value == 0.25


def test_only_whole_talk_dialogue_and_impacts_are_asked():
    music = label_of("m", kind="music")
    static = label_of("s", defect="static")
    scores = score_synchrony(corpus_of((music, [row_of("m")]), (static, [row_of("s")])))
    assert named(scores, "offset: talk, dialogue and impact clips judged confident").n == 0


# Filters.


def test_spoilt_and_good_clips():
    scores = score_spoilt(
        corpus_of(
            (label_of("q", defect="quiet", detail="-40 dB"), [row_of("q", reason="too_quiet")]),
            (label_of("r", defect="quiet", detail="-40 dB"), [row_of("r")]),
            (label_of("g"), [row_of("g"), row_of("g", scene=1, reason="blurred")]),
            (label_of("f", detail="rotated"), [row_of("f"), row_of("f", scene=1, reason="too_short")]),
        )
    )
    assert named(scores, "filters: quiet dropped with the reason").value == 0.5
    assert named(scores, "filters: clips of good files kept").value == pytest.approx(2 / 3)
    assert named(scores, "filters: clips of good files of unusual form kept").value == 1.0
    assert named(scores, "filters: clips of good files dropped, blurred").value == pytest.approx(1 / 3)


# Sound.


def speaking(path, *speakers, kind="talk"):
    label = label_of(path, kind=kind)
    for number, speaker in enumerate(speakers):
        start = 0.2 + number
        words = [WordLabel("word", start, start + 0.9)]
        label.transcript.append(UtteranceLabel(speaker, "voice", start, start + 0.9, "word", words))
    return label


def test_tags_and_speakers():
    corpus = corpus_of(
        (speaking("a", "Ada"), [row_of("a", audio_tags=["single_speaker"], speakers=1)]),
        (speaking("b", "Ada", "Ben", kind="dialog"), [row_of("b", audio_tags=["single_speaker"], speakers=1)]),
        (label_of("c", kind="music"), [row_of("c", audio_tags=["music", "ambient"], speakers=0)]),
        (label_of("d", kind="rain"), [row_of("d", audio_tags=["ambient"], speakers=0)]),
        (label_of("e", kind="singing"), [row_of("e", audio_tags=None)]),
    )
    scores = score_sound(corpus)
    assert named(scores, "sound: clips whose tags name what is heard").value == 0.75
    assert named(scores, "sound: multi_speaker recognised").value == 0.0
    assert named(scores, "speakers: number right").value == 0.75
    assert named(scores, "speakers: 2 counted as such").value == 0.0
    assert confusion(corpus)["music"] == {"ambient+music": 1}
    assert set(confusion(corpus)) == {"single_speaker", "multi_speaker", "music", "ambient"}


def test_sound_with_a_transcript_beside_it_is_not_judged():
    told = speaking("a", "Ada")
    told.sidecar = "a.vtt"
    scores = score_sound(corpus_of((told, [row_of("a", audio_tags=["music"], speakers=3, speech_ratio=1.0)])))
    assert {one.n for one in scores} == {0}


def test_voice_activity():
    spans = [{"speaker": "Ada", "t0_s": 0.1, "t1_s": 1.1, "text": ""}]  # of the clip, which starts at 0.1 s
    corpus = corpus_of(
        (speaking("a", "Ada"), [row_of("a", audio_tags=["single_speaker"], speech_ratio=0.4, speech=spans)]),
        (speaking("b", "Ada"), [row_of("b", audio_tags=["ambient"], speech_ratio=0.0)]),
        (label_of("c", kind="singing"), [row_of("c", audio_tags=["single_speaker"], speech_ratio=0.6)]),
    )
    scores = score_sound(corpus)
    assert named(scores, "speech: clips called speech that are").value == 0.5
    assert named(scores, "speech: clips with speech called so").value == 0.5
    inside = named(scores, "speech: steps of 10 ms inside spans that are speech")
    assert (inside.n, inside.value) == (100, 0.9)
    assert named(scores, "speech: steps of 10 ms of speech inside spans").value == 1.0


# Reading, reporting, running.


@pytest.fixture
def written(tmp_path):
    """A curated folder of two good sources and a missed subtitle, with its labels."""
    folder, truth = tmp_path / "curated", tmp_path / "raw"
    folder.mkdir()
    write_labels(truth, [label_of("a.mp4", shots=2), subtitled("s.mp4")])
    rows = [row_of("a.mp4"), row_of("a.mp4", scene=1), row_of("s.mp4")]
    filled = {"modality": "av", "src_id": "src", "src_sha256": "0", "stage": "filters"}
    write_clips(folder, [{**row, **filled} for row in rows])
    return folder, truth


def test_a_folder_and_its_labels_are_read(written):
    folder, truth = written
    corpus = read_corpus(folder, truth, 0.2)
    assert sorted(corpus.labels) == ["a.mp4", "s.mp4"]
    assert len(corpus.rows["a.mp4"]) == 2
    assert read_corpus(folder, truth / "labels.jsonl", 0.2).labels == corpus.labels


def test_seeds_are_pooled_under_names_of_their_own(written):
    folder, truth = written
    both = pool([read_corpus(folder, truth, 0.2, name) for name in ("seed0", "seed1")])
    assert sorted(both.labels) == ["seed0/a.mp4", "seed0/s.mp4", "seed1/a.mp4", "seed1/s.mp4"]
    assert named(score(both), "cuts: F1").n == 2


def test_the_command_scores_a_folder_and_ends_with_1_when_a_promise_is_broken(written, tmp_path, capsys):
    folder, truth = written
    arguments = ["--curated", str(folder), "--labels", str(truth), "--out", str(tmp_path / "out")]
    assert data_accuracy.main(arguments) == 1
    shown = capsys.readouterr().out
    assert "subtitles: found in clips that have them" in shown
    assert "BROKEN\n    s.mp4 0.10-2.40 s" in shown
    written_json = json.loads((tmp_path / "out" / "data_accuracy.json").read_text())
    by_name = {one["name"]: one for one in written_json["scores"]}
    assert by_name["cuts: F1"]["holds"] is True
    assert by_name["subtitles: found in clips that have them"]["value"] == 0.0
    assert len(written_json["commit"]) == 40
    assert "| cuts: F1 | 1 | 1.000 |" in (tmp_path / "out" / data_accuracy.TABLE).read_text()


def test_a_folder_without_labels_is_refused(written):
    with pytest.raises(SystemExit):
        data_accuracy.main(["--curated", str(written[0])])


def test_tables_show_promises_and_the_first_examples():
    broken = share("x", [(False, f"case {i}") for i in range(EXAMPLES + 2)], at_least=0.9)
    text = terminal_table([broken, share("y", [(True, "")], at_least=0.9), share("z", [])])
    assert "BROKEN" in text
    assert f"case {EXAMPLES - 1}\n    and 2 more" in text
    assert "holds" in text
    assert markdown_table([broken]).count("\n") == 3
    assert to_json([broken], {}, "command", [0])["scores"][0]["holds"] is False


def test_the_benchmark_generates_curates_and_reads_each_seed(monkeypatch, tmp_path, written):
    commands = []
    monkeypatch.setattr(data_accuracy, "_run", lambda *arguments: commands.append(arguments))
    monkeypatch.setattr(data_accuracy, "read_corpus", lambda *_: read_corpus(*written, 0.2, f"seed{len(commands)}"))
    data_accuracy.main(["--seeds", "3", "4", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")])
    assert [command[1] for command in commands] == ["synthetic", "curate"] * 2
    assert commands[2][commands[2].index("--seed") + 1] == "4"
    assert commands[1][commands[1].index("--source") + 1] == str(tmp_path / "work" / "seed3" / "raw" / "media")


# Real media.


def test_distributions_that_are_not_installed_carry_nothing(monkeypatch):
    monkeypatch.setattr(data_accuracy_media, "DISTRIBUTIONS", ("no-such-distribution",))
    assert data_accuracy_media.real_media() == []


def test_real_media_of_installed_packages_are_found_and_linked(tmp_path):
    pytest.importorskip("skimage")
    files = data_accuracy_media.real_media()
    assert any(file.path.stem == "astronaut" and not file.is_media for file in files)
    placed = data_accuracy_media.link_media(tmp_path)
    assert len(placed) == sum(file.is_media for file in files)
    assert {path.name for path in placed} == {file.path.name for file in files if file.is_media}
    assert data_accuracy_media.link_media(tmp_path) == placed
