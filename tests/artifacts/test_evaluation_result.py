import json
from dataclasses import asdict, replace

import pytest

from nava.artifacts import evaluation_result
from nava.artifacts.evaluation_result import (
    Estimate,
    EvaluationResult,
    GalleryClip,
    MetricEntry,
    SampleRecord,
    Statement,
)


def metric(name="av_sync_flash_gap", **changes):
    fields = {
        "name": name,
        "label": "Synchrony gap, flash",
        "description": "paired minus shuffled",
        "protocol": "corr.v1",
        "backend": "nava.evaluation.synchrony",
        "direction": "higher",
        "unit": "r",
        "status": "ok",
        "eligible": 32,
        "value": 0.5,
        "ci_low": 0.4,
        "ci_high": 0.6,
        "n": 32,
        "coverage": 1.0,
        "baseline_untrained": Estimate(0.0, -0.05, 0.05, 32),
    }
    return MetricEntry(**{**fields, **changes})


def skipped(name, **changes):
    empty = dict.fromkeys(("value", "ci_low", "ci_high", "n", "coverage", "baseline_untrained"))
    return metric(name, status="skipped", reason="only 2 clips", **{**empty, **changes})


def result(**changes):
    fields = {
        "protocol": "p1",
        "seed": 7,
        "checkpoint": {"sha256": "a", "weights_sha256": "b"},
        "shards_sha256": "c",
        "sampler": {"solver": "unipc", "steps": 20},
        "variants": [],
        "families": [],
        "metrics": [metric(primary=True), skipped("other", primary=True), metric("third")],
        "statements": [Statement("flash", True, "learned")],
        "gallery": [GalleryClip("clips/a.mp4", "A red bar", 1, "guided", "flash", "c1")],
    }
    return EvaluationResult(**{**fields, **changes})


def written(tmp_path, evaluated=None, samples=()):
    (tmp_path / "clips").mkdir(exist_ok=True)
    (tmp_path / "clips" / "a.mp4").write_bytes(b"clip")
    evaluation_result.write(tmp_path, evaluated or result(), samples)
    return tmp_path


def test_read_returns_what_was_written(tmp_path):
    samples = [
        SampleRecord(
            "s1", "c1", "flash", "guided", 3, "A red bar", None, {"corr": 0.5, "pitch": None}, {"pitch": "silent"}
        ),
        SampleRecord(
            "s2", "c1", "flash", "real", None, "A red bar", {"attribute": "colour", "old": "red", "new": "blue"}
        ),
    ]
    directory = written(tmp_path, samples=samples)
    assert evaluation_result.read(directory) == result()
    assert list(evaluation_result.read_samples(directory)) == samples


def test_the_same_result_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written(tmp_path / name, samples=[SampleRecord("s1", "c1", "flash", "guided", 3, "p")])
    for name in ("summary.json", "samples.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert not list(tmp_path.rglob("*.part*"))


def test_summary_has_the_documented_keys(tmp_path):
    summary = json.loads((written(tmp_path) / "summary.json").read_text())
    documented = {
        "schema_version",
        "protocol",
        "seed",
        "checkpoint",
        "shards_sha256",
        "sampler",
        "variants",
        "families",
        "metrics",
    }
    assert set(summary) == documented | {"statements", "gallery"}
    for entry in summary["metrics"]:
        assert set(entry) == set(asdict(metric()))
    for key in summary["metrics"][0]:
        assert f'"{key}"' in evaluation_result.__doc__


def test_primary_keeps_skipped_metrics_so_that_a_gate_sees_them():
    assert [(entry.name, entry.measured) for entry in result().primary()] == [
        ("av_sync_flash_gap", True),
        ("other", False),
    ]


def test_metric_by_name():
    assert result().metric("third") == metric("third")
    assert result().metric("absent") is None


def test_another_version_is_refused():
    with pytest.raises(ValueError, match="version 2"):
        EvaluationResult.from_dict(result().to_dict() | {"schema_version": 2})


def test_repeated_metric_names_are_refused():
    with pytest.raises(ValueError, match="third"):
        result(metrics=[metric("third"), metric("third")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "failed"}, "status"),
        ({"direction": "up"}, "direction"),
        ({"status": "skipped"}, "says why"),
        ({"value": None}, "finite"),
        ({"ci_low": float("nan")}, "finite"),
    ],
)
def test_inconsistent_metrics_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(metric(), **changes)


def test_a_gallery_clip_that_does_not_exist_is_refused_and_leaves_no_result(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"clips/a\.mp4"):
        evaluation_result.write(tmp_path, result(), [])
    assert list(tmp_path.iterdir()) == []


def test_a_directory_without_summary_is_not_a_result(tmp_path):
    (tmp_path / "samples.jsonl").write_text("")
    with pytest.raises(FileNotFoundError):
        evaluation_result.read(tmp_path)


def test_nan_in_a_sample_is_refused_before_a_summary_exists(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        written(tmp_path, samples=[SampleRecord("s1", "c1", "flash", "guided", 3, "p", None, {"corr": float("nan")})])
    assert not (tmp_path / "summary.json").exists()
