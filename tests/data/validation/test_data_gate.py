"""The data gate: a good manifest passes, and whatever is broken is named with its records."""

import json

import pytest

from nava.artifacts.clip_manifest import count_statuses, write_clips
from nava.artifacts.gate_verdict import read_verdict
from nava.artifacts.source_manifest import Source, write_sources
from nava.config.curation import CurationConfig
from nava.config.validation import ValidationConfig
from nava.data.curation.publish import RECORD_FILE
from nava.data.validation.step import judge, validate
from nava.runtime.errors import GateFailed, InputError
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_bytes, sha256_file
from nava.runtime.step import Step
from nava.runtime.storage import write_json

CLIP = CurationConfig().clip
SUBTITLE = {"x0": 0.3, "y0": 0.85, "x1": 0.7, "y1": 0.93, "text": "Where are you", "score": 0.99, "time_s": 0.5}


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
        "audio_sha256": sha256_bytes(f"{name}wav".encode()),
        "audio_sr": 16_000,
        "audio_channels": 1,
        "n_samples_16k": 33_280,
        "n_samples_48k": 99_840,
        "audio_48k_path": f"media/{name}.flac",
        "audio_48k_sha256": sha256_bytes(f"{name}flac".encode()),
        "embedding_backend": "dct3d",
        "audio_tags": ["ambient"],
        "speakers": 0,
        "asr_backend": "none",
        "subsets": ["stage1"],
        "caption_backend": "rules.v1",
        "prompt": "Visual: A red bar.\nAudio: A low tone.",
        "t0_us": 0,
        "t1_us": 2_041_667,
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
        scores = {
            "sharpness": 20.0,
            "static_ratio": 0.2,
            "av_offset_s": 0.0,
            "av_conf": 0.5,
            "exposure": 0.9,
            "blockiness": 1.0,
        }
        scene = {"scene": 0, "scene_t0_us": 0, "scene_t1_us": 2_100_000, "text_check": "no_text_like_edges"}
        files = {"video_path": f"media/{name}.mp4", "video_sha256": sha256_bytes(f"{name}mp4".encode())}
        row |= picture | scores | scene | files
    return row | values


def lost(name, of, status="dropped", reason="silent", **values):
    row = {"clip_id": name, "modality": "av", "status": status, "drop_reason": reason, "detail": "because"}
    return row | {"stage": "filters"} | source(of) | values


def good_rows():
    spoken = {"speaker": "Ada", "t0_s": 0.1, "t1_s": 0.9, "text": "hello"}
    return [
        kept("a", "one"),
        kept(
            "b",
            "one",
            caption="A face speaks. <S>hello<E>",
            speech=[spoken],
            asr_backend="sidecar",
            speakers=1,
            audio_tags=["single_speaker"],
        ),
        kept("c", "two", split="heldout", av_offset_s=0.7, av_conf=0.05),
        kept("d", "three", modality="audio"),
        lost("e", "two"),
        lost("f", "four", status="quarantined", reason="truncated"),
        lost("g", "one", reason="near_duplicate", dup_of="a"),
    ]


def write_folder(folder, rows, sources=("one", "two", "three", "four"), counts=None, without=()):
    """A curated folder: rows, their media (but for `without`), the source manifest and the record."""
    (folder / "media").mkdir(parents=True)
    for row in rows:
        for column in ("video_path", "audio_path", "audio_48k_path"):
            if row.get(column) and (row["clip_id"], column) not in without:
                (folder / row[column]).write_bytes(f"{row['clip_id']}{row[column].rpartition('.')[2]}".encode())
    write_clips(folder, rows)
    write_json(folder / RECORD_FILE, {"counts": counts or count_statuses(rows)})
    described = [Source(f"src-{name}", f"{name}.mp4", sha256_bytes(name.encode()), 9, None, "", "") for name in sources]
    write_sources(folder, described)
    return Handle.of_path("clips", folder)


@pytest.fixture
def gate(tmp_path):
    """Writes rows with media, validates them, and returns the verdict."""

    def run(rows, sources=("one", "two", "three", "four"), counts=None, without=(), curation=None, **config):
        clips = write_folder(tmp_path / "clips", rows, sources, counts, without)
        sections = {"validation": config, "curation": curation or {}}
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


CASES = [
    ("a", {"n_samples_16k": 33_279}, "samples"),
    ("d", {"n_samples_16k": 33_600}, "samples"),
    ("a", {"n_samples_48k": 99_839}, "samples"),
    ("a", {"n_samples_16k": None}, "n_samples_16k is there"),
    ("a", {"audio_48k_path": None}, "audio_48k_path is there"),
    ("a", {"audio_sr": 48_000}, "rate"),
    ("a", {"n_frames": 48}, "length of the recipe"),
    ("a", {"n_frames": None}, "n_frames is there"),
    ("a", {"fps": 25.0}, "frame rate"),
    ("a", {"width": 96}, "size of a bucket"),
    ("a", {"duration_s": 2.5}, "duration is that"),
    ("a", {"t1_us": 0}, "clips end after"),
    ("a", {"scene_t1_us": 0}, "scenes end after"),
    ("a", {"t0_us": 0, "scene_t0_us": 60_000}, "within their scene"),
    ("a", {"exposure": 0.0}, "black nor white"),
    ("a", {"blockiness": 9.0}, "blocks"),
    ("a", {"text_check": None}, "looked at for text"),
    ("a", {"ocr_boxes": [SUBTITLE]}, "no subtitle is left"),
    ("a", {"crop": {"x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 1.2}}, "inside the picture"),
    ("a", {"embedding_backend": None}, "has been compared"),
    ("a", {"audio_tags": None}, "has audio tags"),
    ("a", {"audio_tags": ["applause"]}, "of the list"),
    ("a", {"audio_tags": ["single_speaker"]}, "one speaker"),
    ("b", {"audio_tags": ["ambient"]}, "one speaker"),
    ("b", {"asr_backend": "none"}, "without recognition"),
    ("b", {"asr_backend": None}, "who recognised"),
    ("b", {"speech": [{"speaker": "Ada", "t0_s": 1.0, "t1_s": 2.2, "text": "hello"}]}, "kept duration"),
    ("b", {"caption": "Nobody speaks. <S>hello<E>"}, "nobody speaks has a span"),
    ("a", {"prompt": None}, "has a prompt"),
    ("a", {"prompt": "Visual: A bar.\nAudio: <S>hel<S>lo<E>"}, "in prompts are closed"),
    ("a", {"caption_backend": None}, "what made it"),
    ("a", {"subsets": None}, "in a subset"),
    ("a", {"subsets": ["stage9"]}, "subsets are of the list"),
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
    ("e", {"detail": None}, "why in a sentence"),
    ("g", {"dup_of": "e"}, "near-duplicate names a kept clip"),
    ("g", {"dup_of": "nobody"}, "near-duplicate names a kept clip"),
    ("g", {"dup_of": None}, "near-duplicate names a kept clip"),
    ("a", {"video_path": None}, "video_path is there"),
    ("d", {"audio_path": None}, "audio_path is there"),
    ("a", {"audio_sha256": "0" * 64}, "byte for byte"),
    ("a", {"audio_48k_sha256": "0" * 64}, "byte for byte"),
    ("a", {"video_sha256": "short"}, "hash"),
]


@pytest.fixture(scope="module")
def many_faults(tmp_path_factory):
    """One corpus with every fault, each on a record of its own beside the good ones: its verdict by record."""
    base = {row["clip_id"]: row for row in good_rows()}
    rows = list(base.values())
    for number, (clip_id, values, _) in enumerate(CASES):
        name = f"case{number:02d}"
        row = dict(base[clip_id]) | {"clip_id": name}
        for kind, suffix in (("video", "mp4"), ("audio", "wav"), ("audio_48k", "flac")):
            if row.get(f"{kind}_path"):
                row[f"{kind}_path"] = f"media/{name}.{suffix}"
                row[f"{kind}_sha256"] = sha256_bytes(f"{name}{suffix}".encode())
        rows.append(row | values)
    folder = tmp_path_factory.mktemp("faults")
    return judge(write_folder(folder / "clips", rows).path, ValidationConfig(), CurationConfig())


@pytest.mark.parametrize("number", range(len(CASES)))
def test_what_is_broken_is_named_with_its_record(many_faults, number):
    _, _, word = CASES[number]
    named = [rule for rule in many_faults.failed_rules if f"case{number:02d}" in rule.offending]
    assert any(word in rule.rule for rule in named), [rule.rule for rule in named]
    assert all(rule.observed is not None and rule.expected is not None for rule in named)


def test_good_records_are_named_by_no_rule_but_the_one_about_their_source(many_faults):
    assert not {"a", "b", "c", "d", "e", "f", "g"} & {
        name for rule in many_faults.failed_rules if "two splits" not in rule.rule for name in rule.offending
    }


def test_only_the_broken_rule_fails(gate):
    verdict = gate(broken("d", lufs=-55.0))
    assert [rule.rule for rule in verdict.failed_rules] == ["sound: sound is loud enough"]


def test_every_offending_record_is_named(gate):
    rows = [*good_rows(), *(kept(f"quiet{number:02d}", "one", lufs=-70.0) for number in range(30))]
    (rule,) = gate(rows).failed_rules
    assert len(rule.offending) == 30


def test_a_source_in_two_splits_is_refused(gate):
    (rule,) = gate(broken("b", split="heldout")).failed_rules
    assert "two splits" in rule.rule
    assert rule.offending == ["a", "b"]


def test_a_missing_file_is_refused(gate):
    (rule,) = gate(good_rows(), without=[("b", "audio_path")]).failed_rules
    assert "byte for byte" in rule.rule
    assert rule.offending == ["b"]


def test_scenes_that_overlap_are_refused(gate):
    rows = [*good_rows(), kept("h", "one", scene=1, scene_t0_us=1_900_000, scene_t1_us=9_000_000, t0_us=1_900_000)]
    rows[-1]["t1_us"] = rows[-1]["t0_us"] + 2_041_667
    (rule,) = gate(rows).failed_rules
    assert "do not overlap" in rule.rule
    assert rule.offending == ["h"]


def test_a_keeper_may_lie_in_an_earlier_corpus_only_if_there_was_one(gate, tmp_path):
    rows = [*broken("g", dup_of="elsewhere"), lost("h", "one", reason="near_duplicate", dup_of="h")]
    verdict = gate(rows, curation={"duplicates": {"against": ["/earlier/signatures"]}})
    assert verdict.passed


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
    (rule,) = gate(good_rows(), sources=("one", "two", "three", "four", "five")).failed_rules
    assert (rule.observed, rule.expected, rule.offending) == ("4 of 5", 5, ["src-five"])


def test_a_corpus_of_sound_alone_has_no_rules_about_pictures(gate):
    rows = [kept("a", "one", modality="audio"), kept("b", "two", split="heldout", modality="audio")]
    assert gate(rows, sources=("one", "two")).passed


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
    clips = Handle.of_path("clips", tmp_path / "clips")
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
    assert all(CLIP.samples_16k(frames) / CLIP.sample_rate_hz >= frames / CLIP.fps for frames in CLIP.frame_counts)
