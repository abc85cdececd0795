"""The data gate: a good manifest passes, and whatever is broken is named with its records."""

import json

import pytest

from nava.artifacts.clip_manifest import count_statuses, write_clips
from nava.artifacts.gate_verdict import read_verdict
from nava.config.curation import CurationConfig
from nava.config.validation import ValidationConfig
from nava.data.validation.step import validate
from nava.runtime.errors import GateFailed, InputError
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_bytes, sha256_file
from nava.runtime.step import Step

CLIP = CurationConfig().clip


def source(name):
    return {"src_id": f"src-{name}", "src_sha256": sha256_bytes(name.encode()), "src_path": f"{name}.mp4"}


def kept(name, of, split="train", modality="av", **values):
    row = {
        "clip_id": name,
        "modality": modality,
        "status": "kept",
        "stage": "filters",
        "split": split,
        "audio_path": f"media/{name}.wav",
        "audio_sha256": sha256_bytes(f"{name}.wav".encode()),
        "audio_sr": 16_000,
        "audio_channels": 1,
        "n_samples": 33_280,
        "lufs": -20.0,
        "clip_ratio": 0.0,
        "silence_ratio": 0.1,
        "caption": "A red bar on the left flashes, with a low tone at each flash.",
        "speech": [],
        "tags": ["flash"],
        **source(of),
    }
    if modality == "av":
        picture = {"n_frames": 49, "fps": 24.0, "width": 64, "height": 64, "duration_s": 49 / 24}
        scores = {"sharpness": 20.0, "static_ratio": 0.2, "av_offset_s": 0.0, "av_confidence": 0.5}
        files = {"video_path": f"media/{name}.mp4", "video_sha256": sha256_bytes(f"{name}.mp4".encode())}
        row |= picture | scores | files
    return row | values


def lost(name, of, status="dropped", reason="silent", **values):
    row = {"clip_id": name, "modality": "av", "status": status, "drop_reason": reason, "detail": "because"}
    return row | {"stage": "filters"} | source(of) | values


def good_rows():
    spoken = {"speaker": "Ada", "t0_s": 0.1, "t1_s": 0.9, "text": "hello"}
    return [
        kept("a", "one"),
        kept("b", "one", caption="A face speaks. <S>hello<E>", speech=[spoken]),
        kept("c", "two", split="heldout", av_offset_s=0.7, av_confidence=0.05),
        kept("d", "three", modality="audio"),
        lost("e", "two"),
        lost("f", "four", status="failed", reason="truncated"),
        lost("g", "one", reason="near_duplicate", dup_of="a"),
    ]


@pytest.fixture
def gate(tmp_path):
    """Writes rows with media, validates them, and returns the verdict."""

    def run(rows, sources=4, counts=None, **config):
        folder = tmp_path / "clips"
        (folder / "media").mkdir(parents=True)
        for row in rows:
            for column in ("video_path", "audio_path"):
                if row.get(column):
                    (folder / row[column]).write_bytes(f"{row['clip_id']}{row[column][-4:]}".encode())
        write_clips(folder, rows)
        clips = Handle.of_path("clips", folder, counts=counts or count_statuses(rows), sources=sources)
        sections = {"validation": config, "curation": {}}
        step = Step("validate", tmp_path, "run", sections, seed=0, key="k" * 64, workdir=tmp_path / "work")
        try:
            return read_verdict(validate(step, clips))
        except GateFailed as failure:
            return read_verdict(failure.verdict)

    return run


def test_a_good_corpus_passes_every_rule(gate):
    verdict = gate(good_rows())
    assert verdict.passed
    assert [rule.rule for rule in verdict.rules if rule.passed is not True] == []
    assert len(verdict.rules) > 30
    assert not any(rule.offending for rule in verdict.rules)


def broken(clip_id, **values):
    rows = good_rows()
    next(row for row in rows if row["clip_id"] == clip_id).update(values)
    return rows


@pytest.mark.parametrize(
    ("clip_id", "values", "word"),
    [
        ("a", {"n_samples": 33_279}, "samples"),
        ("a", {"n_samples": None}, "n_samples was measured"),
        ("a", {"audio_sr": 48_000}, "rate"),
        ("a", {"n_frames": 48}, "frames"),
        ("a", {"n_frames": None}, "n_frames was measured"),
        ("a", {"fps": 25.0}, "frame rate"),
        ("a", {"width": 96}, "width"),
        ("a", {"height": 32}, "height"),
        ("a", {"split": None}, "in a split"),
        ("a", {"split": "test"}, "known split"),
        ("a", {"modality": "video"}, "modality"),
        ("a", {"lufs": -55.0}, "loud enough"),
        ("d", {"lufs": None}, "lufs was measured"),
        ("a", {"clip_ratio": 0.2}, "clipped"),
        ("d", {"silence_ratio": 1.0}, "silence"),
        ("a", {"static_ratio": 1.0}, "move"),
        ("c", {"static_ratio": 1.0}, "move"),
        ("a", {"sharpness": 1.0}, "sharp"),
        ("a", {"av_offset_s": -0.3}, "go together"),
        ("a", {"caption": None}, "has a caption"),
        ("a", {"caption": "Bar"}, "length"),
        ("a", {"caption": "A bar. " * 400}, "length"),
        ("b", {"caption": "A face. <S>hel<S>lo<E>"}, "nested"),
        ("b", {"caption": "A face. <S>hello"}, "closed"),
        ("b", {"caption": "A face, silent."}, "utterance"),
        ("a", {"drop_reason": "silent"}, "reason to be dropped"),
        ("a", {"dup_of": "c"}, "near-duplicate of another"),
        ("e", {"drop_reason": None}, "not kept has a reason"),
        ("e", {"drop_reason": "bad taste"}, "fixed list"),
        ("g", {"dup_of": "e"}, "near-duplicate names a kept clip"),
        ("g", {"dup_of": "nobody"}, "near-duplicate names a kept clip"),
        ("g", {"dup_of": None}, "near-duplicate names a kept clip"),
        ("a", {"video_path": None}, "has a video file"),
        ("d", {"audio_path": None}, "has a sound file"),
        ("a", {"audio_sha256": "0" * 64}, "byte for byte"),
        ("a", {"video_sha256": "short"}, "hash"),
    ],
)
def test_what_is_broken_is_named_with_its_record(gate, clip_id, values, word):
    verdict = gate(broken(clip_id, **values))
    assert not verdict.passed
    named = [rule for rule in verdict.failed_rules if word in rule.rule]
    assert named, [rule.rule for rule in verdict.failed_rules]
    assert all(rule.offending == [clip_id] for rule in named)
    assert all(rule.observed is not None and rule.expected is not None for rule in named)


def test_only_the_broken_rule_fails(gate):
    verdict = gate(broken("d", lufs=-55.0))
    assert [rule.rule for rule in verdict.failed_rules] == ["kept clips: sound is loud enough"]


def test_every_offending_record_is_named(gate):
    rows = [*good_rows(), *(kept(f"quiet{number:02d}", "one", lufs=-70.0) for number in range(30))]
    (rule,) = gate(rows).failed_rules
    assert len(rule.offending) == 30


def test_a_source_in_two_splits_is_refused(gate):
    (rule,) = gate(broken("b", split="heldout")).failed_rules
    assert "two splits" in rule.rule
    assert rule.offending == ["a", "b"]


def test_a_missing_file_is_refused(tmp_path):
    folder = tmp_path / "clips"
    (folder / "media").mkdir(parents=True)
    rows = good_rows()
    for row in rows:
        for column in ("video_path", "audio_path"):
            if row.get(column) and (row["clip_id"], column) != ("b", "audio_path"):
                (folder / row[column]).write_bytes(f"{row['clip_id']}{row[column][-4:]}".encode())
    write_clips(folder, rows)
    clips = Handle.of_path("clips", folder, counts=count_statuses(rows), sources=4)
    step = Step("validate", tmp_path, "run", {"validation": {}, "curation": {}}, seed=0, workdir=tmp_path / "work")
    with pytest.raises(GateFailed, match=r"byte for byte.*records b"):
        validate(step, clips)


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"min_kept_clips": 5}, "at least 5"),
        ({"min_train_clips": 4}, "clips to train: at least 4"),
        ({"min_heldout_clips": 2}, "clips to heldout: at least 2"),
        ({"max_not_kept_share": 0.4}, "share"),
    ],
)
def test_bounds_of_the_corpus_are_settings(gate, config, word):
    (rule,) = gate(good_rows(), **config).failed_rules
    assert word in rule.rule


def test_an_empty_split_is_refused(gate):
    verdict = gate(broken("c", split="train"))
    assert any("heldout" in rule.rule for rule in verdict.failed_rules)


def test_accounts_that_do_not_add_up_are_refused(gate):
    counts = {"in": 8, "kept": 5, "dropped": 2, "failed": 1, "quarantined": 0}
    (rule,) = gate(good_rows(), counts=counts).failed_rules
    assert "as curation counted" in rule.rule
    assert rule.observed["kept"] == 4


def test_a_source_without_a_record_is_noticed(gate):
    (rule,) = gate(good_rows(), sources=5).failed_rules
    assert (rule.observed, rule.expected) == (4, 5)


def test_a_corpus_of_sound_alone_has_no_rules_about_pictures(gate):
    rows = [kept("a", "one", modality="audio"), kept("b", "two", split="heldout", modality="audio")]
    assert gate(rows, sources=2).passed


def test_the_message_names_the_rule_and_the_first_records(tmp_path, gate):
    verdict = gate([*good_rows(), *(kept(f"q{number}", "one", lufs=-70.0) for number in range(5))])
    message = verdict.message()
    assert "sound is loud enough" in message
    assert "q0, q1, q2 and 2 more" in message


def test_the_verdict_has_json_and_a_page_that_needs_no_network(tmp_path, gate):
    gate(broken("a", lufs=-55.0))
    folder = tmp_path / "work/verdict"
    assert json.loads((folder / "verdict.json").read_text())["passed"] is False
    page = (folder / "verdict.html").read_text()
    assert "sound is loud enough" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_the_same_clips_give_the_same_verdict(tmp_path, gate):
    gate(good_rows())
    first = sha256_file(tmp_path / "work/verdict/verdict.json")
    clips = Handle.of_path("clips", tmp_path / "clips", counts=count_statuses(good_rows()), sources=4)
    step = Step("validate", tmp_path, "run", {"validation": {}, "curation": {}}, seed=0, workdir=tmp_path / "again")
    handle = validate(step, clips)
    assert sha256_file(handle.path / "verdict.json") == first
    assert handle.meta["passed"] is True


def test_a_handle_of_another_kind_is_refused(tmp_path):
    tmp_path.joinpath("x").write_text("x")
    step = Step("validate", tmp_path, "run", {"validation": {}, "curation": {}}, seed=0, workdir=tmp_path)
    with pytest.raises(InputError, match="clips"):
        validate(step, Handle.of_path("sources", tmp_path / "x"))


def test_the_defaults_want_both_splits():
    config = ValidationConfig()
    assert min(config.min_train_clips, config.min_heldout_clips) >= 1
    assert CLIP.frames / CLIP.fps <= CLIP.samples / CLIP.sample_rate_hz
