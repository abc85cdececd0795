"""`nava train` from the outside: runs that go on, that fail in one line, and what their folder says of them."""

import json
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from nava.artifacts.model_package import load_package
from nava.runtime.storage import read_json
from tests.console.train_runs import (
    SETTINGS,
    arguments,
    lasting,
    nava,
    one_line,
    process,
    rows,
    train,
    until,
)
from tests.evaluation.tiny_corpus import write_tiny_corpus


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_corpus(tmp_path_factory.mktemp("corpus"), audio_only=6).shards


@pytest.fixture(scope="module")
def finished(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of eight steps."""
    out = tmp_path_factory.mktemp("finished") / "run"
    done = train(shards, out, "--max-steps", "8", "training.sample_every_steps=8", "training.validate_every_steps=4")
    assert done.exit_code == 0, done.output
    return out


def test_a_run_leaves_rows_a_result_a_record_and_a_page(finished: Path, shards: Path) -> None:
    assert [row["step"] for row in rows(finished)] == list(range(1, 9))
    assert {"step", "loss", "lr", "grad_norm", "batches", "tokens_per_s", "tflops"} <= set(rows(finished)[0])
    assert (finished / "result" / "model.safetensors").is_file()
    record = read_json(finished / "run_record.json")
    assert record["config"] == read_json(finished / "config.json")
    assert len(record["shards_sha256"]) == 64
    assert "<svg" in (finished / "training.html").read_text()


def test_what_it_says_at_the_end(shards: Path, tmp_path: Path) -> None:
    done = train(shards, tmp_path / "run", "--max-steps", "2")
    assert done.exit_code == 0
    first, *_, last = done.output.strip().splitlines()
    assert first == f"stage 1 of recipe demo: 2 steps from a new model; 1 process(es) on this machine; {tmp_path}/run"
    assert last == f"next: nava train export {tmp_path}/run -o PACKAGE"


def test_made_longer_it_is_as_if_it_had_been_that_long_from_the_start(shards: Path, tmp_path: Path) -> None:
    for steps in ("4", "8"):
        done = train(shards, tmp_path / "two", "--max-steps", steps)
        assert done.exit_code == 0
    assert "goes on after step 4 of 8" in done.output
    assert train(shards, tmp_path / "one", "--max-steps", "8").exit_code == 0
    assert lasting(tmp_path / "two") == lasting(tmp_path / "one")
    files = [tmp_path / name / "result" / "model.safetensors" for name in ("one", "two")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_asked_again_it_does_nothing_again(shards: Path, tmp_path: Path) -> None:
    train(shards, tmp_path / "run", "--max-steps", "3")
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    assert train(shards, tmp_path / "run", "--max-steps", "3").exit_code == 0
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_a_folder_with_more_steps_is_not_cut_short(finished: Path, shards: Path) -> None:
    refused = train(shards, finished, "--max-steps", "5")
    assert refused.exit_code == 2
    assert "has 8 steps already, more than the 5 asked for" in one_line(refused.stderr)
    assert json.loads(nava("train", "status", str(finished), "--json").output)["state"] == "finished"


@pytest.mark.parametrize(
    ("more", "difference"),
    [
        (("training.learning_rate=1e-5",), "training.learning_rate was 0.004 and is 1e-05"),
        (("--seed", "4"), "seed was 0 and is 4"),
    ],
)
def test_a_folder_of_another_run_is_refused(finished: Path, shards: Path, more: tuple, difference: str) -> None:
    refused = train(shards, finished, "--max-steps", "8", *more)
    assert refused.exit_code == 2
    assert difference in one_line(refused.stderr)


def test_settings_that_change_no_result_may_change(finished: Path, shards: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    assert train(shards, copy, "--max-steps", "9", "training.checkpoint_every_steps=2").exit_code == 0
    assert rows(copy)[-1]["step"] == 9


def test_a_stage_starts_from_the_one_before(finished: Path, shards: Path, tmp_path: Path) -> None:
    done = train(shards, tmp_path / "two", "--max-steps", "2", "--init", str(finished), stage=2)
    assert done.exit_code == 0, done.output
    assert read_json(tmp_path / "two" / "job.json")["previous"] == str(finished / "result")
    first = read_json(tmp_path / "two" / "result" / "validation.json")["first"]["tasks"]
    assert first == read_json(finished / "result" / "validation.json")["last"]["tasks"]


def test_a_stage_starts_from_a_package_and_from_its_weights(finished: Path, shards: Path, tmp_path: Path) -> None:
    package = tmp_path / "package"
    exported = nava("train", "export", str(finished), "-o", str(package), "--key-dir", str(tmp_path / "keys"))
    assert exported.exit_code == 0, exported.output
    losses = []
    for name, init in (("package", package), ("file", package / "model.safetensors")):
        done = train(shards, tmp_path / f"from-{name}", "--max-steps", "1", "--init", str(init), stage=3)
        assert done.exit_code == 0, done.output
        losses.append(read_json(tmp_path / f"from-{name}" / "result" / "validation.json")["first"]["total"])
    assert losses[0] == losses[1]


def test_another_architecture_than_the_packages_is_refused(finished: Path, shards: Path, tmp_path: Path) -> None:
    refused = train(shards, tmp_path / "run", "--init", str(finished), "model.eps=1e-5", stage=3)
    assert refused.exit_code == 2
    assert "set model.eps=1e-06" in one_line(refused.stderr)


def test_the_package_is_verified_and_says_what_it_is(finished: Path, tmp_path: Path) -> None:
    package = tmp_path / "package"
    given = ("train", "export", str(finished), "-o", str(package), "--key-dir", str(tmp_path / "keys"))
    made = nava(*given)
    assert made.exit_code == 0
    assert "next: nava generate --package" in made.output
    loaded = load_package(package, next((tmp_path / "keys").glob("*.pub*")))
    assert set(loaded.description.sources) == {"checkpoint", "shards"}
    assert "stage 1 of recipe demo, 8 steps" in (package / "README.md").read_text()
    assert nava(*given).exit_code == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("--data", "/nowhere"), "no latent shards there, index.parquet is missing"),
        (("--init", "/nowhere.safetensors"), "--init /nowhere.safetensors: there is nothing there"),
        (("--recipe", "dmo"), "unknown recipe 'dmo'"),
        (("--data", "nowhere://x/y"), "nowhere://x/y"),
        (
            ("--nproc", "2"),
            "2 processes cannot share a step of 1 micro-batch(es) with loader.run_length=1: set "
            "training.micro_batches_per_step=2 loader.run_length=2; training.micro_batch_size=2 keeps the step at 4 "
            "clips",
        ),
        (
            ("--nproc", "2", "training.micro_batches_per_step=2"),
            "2 processes cannot share a step of 2 micro-batch(es) with loader.run_length=1: set loader.run_length=2",
        ),
        (
            ("training.lora.rank=2",),
            "stage 1 of this recipe trains adapters (training.lora) on weights: give them with",
        ),
        (("training.first_stage=3",), "this recipe begins with stage 3 (training.first_stage), from weights"),
        (("training.zero_stage=7",), "training.zero_stage is 7"),
        (("tracking.uri=http://me:secret@host",), "tracking.uri is '…'"),
        (("model.text_len=5",), "model.text_len is 5, but the latents have"),
        (("model.video_channels=5",), "model.video_channels is 5, but the latents have 12"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(shards: Path, tmp_path: Path, changes: tuple, message: str) -> None:
    refused = train(shards, tmp_path / "run", "--max-steps", "2", *changes)
    assert refused.exit_code == 2
    assert message in one_line(refused.stderr)
    assert "secret" not in refused.stderr


def test_a_folder_that_cannot_be_made_or_is_the_data_s_is_refused(shards: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = train(shards, tmp_path / "file" / "run")
    assert refused.exit_code == 2
    assert "cannot be written" in one_line(refused.stderr)
    for place in (shards, shards / "run"):
        refused = train(shards, place)
        assert refused.exit_code == 2
        assert "lies in the latent shards of --data" in one_line(refused.stderr)
        assert not (place / "job.json").exists()


def test_a_missing_shard_is_named_before_anything_starts(shards: Path, tmp_path: Path) -> None:
    copy = tmp_path / "shards"
    shutil.copytree(shards, copy)
    victim = sorted(copy.rglob("0*.safetensors"))[0]
    victim.unlink()
    refused = train(copy, tmp_path / "run")
    assert refused.exit_code == 2
    assert f"lacks 1 shard(s), the first is {victim.relative_to(copy)}" in one_line(refused.stderr)
    assert not (tmp_path / "run").exists()


def test_out_of_memory_is_one_line_with_what_helps(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1 GiB free.")

    monkeypatch.setattr("nava.training.stage.create_engine", fail)
    failed = train(shards, tmp_path / "run")
    assert failed.exit_code == 1
    assert "out of GPU memory: CUDA out of memory. Lower training.micro_batch_size" in one_line(failed.stderr)
    status = json.loads(nava("train", "status", str(tmp_path / "run"), "--json").output)
    assert status["state"] == "failed"
    assert status["error"].startswith("out of GPU memory")
    assert "OutOfMemoryError" in (tmp_path / "run" / "error-rank0.txt").read_text()


def test_two_runs_do_not_share_a_folder(shards: Path, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = train(shards, tmp_path / "run")
    assert refused.exit_code == 2
    assert "another `nava train run` works in" in one_line(refused.stderr)


def test_processes_of_an_earlier_run_that_do_not_end_are_no_wrong_input(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr("nava.training.worker._PATIENCE_S", 0.0)
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".leader-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = train(shards, tmp_path / "run", "training.guard.grace_period_s=0.2")
    assert refused.exit_code == 1
    assert "an earlier run is still at work in" in refused.stderr.strip().splitlines()[-1]


def test_samples_have_picture_and_sound(finished: Path) -> None:
    from nava.generation.media import read_mp4

    folder = finished / "samples" / "step-00000008"
    listed = read_json(folder / "samples.json")
    assert [sample["file"] for sample in listed] == ["0.mp4", "1.mp4", "2.mp4"]
    media = read_mp4(folder / "0.mp4")
    assert len(media.frames)
    assert len(media.samples)


def test_samples_that_fail_do_not_end_the_training(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no codec\nhere")

    monkeypatch.setattr("nava.training.samples.load_video_codec", fail)
    done = train(shards, tmp_path / "run", "--max-steps", "2", "training.sample_every_steps=1")
    assert done.exit_code == 0
    assert "warning: samples of step 1: no codec here" in done.output
    assert lasting(tmp_path / "run")[-1]["step"] == 2


def test_samples_change_nothing_about_the_training(finished: Path, shards: Path, tmp_path: Path) -> None:
    assert train(shards, tmp_path / "run", "--max-steps", "8").exit_code == 0
    assert lasting(tmp_path / "run") == lasting(finished)


def test_a_dead_mlflow_costs_a_warning(shards: Path, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = train(
        shards, tmp_path / "run", "--max-steps", "3", f"tracking.uri=http://127.0.0.1:{port}", "tracking.every_s=0.2",
        "tracking.timeout_s=2",
    )  # fmt: skip
    assert done.exit_code == 0
    assert f"warning: MLflow at http://127.0.0.1:{port} has not got all rows" in done.output
    assert len(rows(tmp_path / "run")) == 3


def test_sigkill_then_the_same_command(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    given = arguments(shards, out, "--max-steps", "30")
    running = process(given)
    try:
        until(lambda: (out / "checkpoints").is_dir() and any((out / "checkpoints").glob("step-*")))
        assert json.loads(nava("train", "status", str(out), "--json").output)["state"] in ("running", "finished")
    finally:
        running.kill()
        running.communicate()
    status = json.loads(nava("train", "status", str(out), "--json").output)
    assert status["state"] in ("interrupted", "finished")
    assert train(shards, out, "--max-steps", "30").exit_code == 0
    assert train(shards, tmp_path / "straight", "--max-steps", "30").exit_code == 0
    assert lasting(out) == lasting(tmp_path / "straight")


def test_sigterm_saves_and_says_so(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    running = process(arguments(shards, out, "--max-steps", "100000"))
    try:
        until(lambda: (out / "metrics.jsonl").is_file() and len(rows(out)) > 1)
        running.send_signal(signal.SIGTERM)
        _, told = running.communicate(timeout=120)
    finally:
        running.kill()
    assert running.returncode == 143
    assert "was asked to stop (SIGTERM)" in told.strip().splitlines()[-1]
    status = json.loads(nava("train", "status", str(out), "--json").output)
    assert status["state"] == "stopped"
    assert status["checkpoint"]["step"] == status["step"]


def test_status_in_words_and_its_page(finished: Path) -> None:
    (finished / "training.html").unlink()
    told = nava("train", "status", str(finished), "--page")
    assert told.exit_code == 0
    assert told.output.startswith("finished: stage 1 of recipe demo, 1 process(es)\nstep 8 of 8 (100 %)")
    assert "last checkpoint: step 8" in told.output
    assert (finished / "training.html").is_file()


def test_status_of_no_run(tmp_path: Path) -> None:
    refused = nava("train", "status", str(tmp_path))
    assert refused.exit_code == 2
    assert "no training in" in one_line(refused.stderr)


def test_export_of_a_run_without_result(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nava.training.stage.create_engine", lambda *_: 1 / 0)
    failed = train(shards, tmp_path / "run")
    assert failed.exit_code == 1
    assert "ZeroDivisionError" in one_line(failed.stderr)
    refused = nava("train", "export", str(tmp_path / "run"), "-o", str(tmp_path / "package"))
    assert refused.exit_code == 2
    assert "has no result yet" in one_line(refused.stderr)


def test_status_reads_without_torch(finished: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from nava.cli import main; "
        f"main(['train', 'status', {str(finished)!r}], standalone_mode=False); "
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)


def test_the_settings_of_these_tests_are_settings() -> None:
    assert all("=" in setting for setting in SETTINGS)
