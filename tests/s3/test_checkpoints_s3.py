"""Checkpoints in a bucket of an S3 service over a socket: kept, pruned, fetched, and passed over if damaged."""

from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from nava.runtime.hashing import sha256_tree
from nava.training.stage import StageJob, run_stage
from tests.training.test_stage import stage_job


def job_in(folder: Path, address: str, said: list[str]) -> StageJob:
    job = stage_job(folder, "plain")
    training = replace(job.training, checkpoint_uri=address, keep_checkpoints=2)
    return replace(job, training=training, log=said.append)


def test_a_new_machine_goes_on_from_the_newest_whole_checkpoint_of_the_bucket(
    bucket: str, s3_service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_clients: None
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_service)
    client, address, said = boto3.client("s3", endpoint_url=s3_service), f"s3://{bucket}/runs", []

    def objects() -> list[str]:
        return sorted(entry["Key"] for entry in client.list_objects_v2(Bucket=bucket)["Contents"])

    first = run_stage(job_in(tmp_path / "first", address, said))
    here = sorted(path.name for path in (tmp_path / "first" / "checkpoints").iterdir() if path.name.startswith("step-"))
    assert sorted({key.split("/")[2] for key in objects()}) == here == ["step-00000004", "step-00000006"]

    again = run_stage(job_in(tmp_path / "second", address, said))
    assert any("checkpoint step-00000006 was fetched from" in line for line in said)
    assert "stage 2: goes on after step 6 of 6" in said
    assert sha256_tree(again) == sha256_tree(first)

    # A bit is wrong in the newest one: the one before is used, and what is damaged is replaced by the run that goes on.
    [state] = [key for key in objects() if key.endswith("step-00000006/state-00000.safetensors")]
    whole = client.get_object(Bucket=bucket, Key=state)["Body"].read()
    client.put_object(Bucket=bucket, Key=state, Body=whole[:-1] + bytes([whole[-1] ^ 4]))
    said.clear()
    third = run_stage(job_in(tmp_path / "third", address, said))
    assert any("checkpoint step-00000004 was fetched from" in line for line in said)
    assert "stage 2: goes on after step 4 of 6" in said
    assert sha256_tree(third) == sha256_tree(first)
    assert client.get_object(Bucket=bucket, Key=state)["Body"].read() == whole


def test_a_service_that_refuses_costs_a_warning_and_no_checkpoint(
    bucket: str, s3_service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_clients: None
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_service)
    said: list[str] = []
    run_stage(job_in(tmp_path, f"s3://{bucket}-of-nobody/runs", said))
    assert any("step-00000006 is complete here, but not in the bucket" in line for line in said), said
    assert (tmp_path / "checkpoints" / "step-00000006" / "manifest.json").is_file()
