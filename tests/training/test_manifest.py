"""The manifests of the paper's training: those in infra/ are what the code renders now, and they fit together."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from nava.config.composition import compose
from nava.config.launch import LaunchConfig
from nava.launch.command import TrainingCommand
from nava.launch.train_job import RANK_LOGS, train_job
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json, write_text
from nava.training.job_file import read_job
from nava.training.job_launch import launch_job
from nava.training.manifest import PAGE, main, render_manifests, write_manifests
from tests.console.train_runs import SETTINGS, rows
from tests.evaluation.tiny_corpus import write_tiny_corpus

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "training"
# The paper's pictures start from Wan2.2-5B.
INIT = "/workspace/weights/nava-from-wan.safetensors"
RENDER = f"python -m nava.training.manifest --recipe paper --init {INIT}"


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return render_manifests("paper", init=INIT)


@pytest.fixture(scope="module")
def objects(files: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    return {name: list(yaml.safe_load_all(text)) for name, text in files.items() if name.endswith(".yaml")}


def without_style(html: str) -> str:
    """A page without its style sheet and the hash of it: those change with every page's."""
    html = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    return re.sub(r'http-equiv="Content-Security-Policy" content="[^"]*"', "", html)


def test_the_files_in_infra_are_what_the_code_renders(files: dict[str, str]) -> None:
    kept = {path.relative_to(FOLDER).as_posix(): path.read_text() for path in FOLDER.rglob("*") if path.is_file()}
    assert sorted(kept) == sorted(files), f"render again: {RENDER}"
    for name, text in files.items():
        same = without_style(kept[name]) == without_style(text) if name == PAGE else kept[name] == text
        assert same, f"infra/training/{name} is old; render again: {RENDER}"


def test_what_is_applied_once_is_all_but_the_jobs(objects: dict[str, list[dict[str, Any]]]) -> None:
    (kustomization,) = objects["kustomization.yaml"]
    once = {name for name in objects if "/" not in name and name != "kustomization.yaml"}
    assert set(kustomization["resources"]) == once


def test_jobs_refer_to_what_is_applied(objects: dict[str, list[dict[str, Any]]]) -> None:
    (runtime,) = objects["runtime.yaml"]
    (priority,) = objects["priority-class.yaml"]
    flavour, cluster_queue, local_queue = objects["queue.yaml"]
    claims = {claim["metadata"]["name"] for claim in objects["claims.yaml"]}
    assert len([name for name in objects if name.startswith("jobs/")]) == 3
    for name in (name for name in objects if name.startswith("jobs/")):
        (job,) = objects[name]
        assert job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
        assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == local_queue["metadata"]["name"]
        patch = job["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0]
        pod = patch["template"]["spec"]["template"]["spec"]
        assert pod["nodeSelector"] == flavour["spec"]["nodeLabels"]
        assert pod["tolerations"] == flavour["spec"]["tolerations"]
        mounted = {
            volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if "emptyDir" not in volume
        }
        assert mounted == claims
    assert local_queue["spec"]["clusterQueue"] == cluster_queue["metadata"]["name"]
    pod = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == priority["metadata"]["name"]


def test_the_quota_lets_one_job_in(objects: dict[str, list[dict[str, Any]]]) -> None:
    (job,) = objects["jobs/train-stage1.yaml"]
    trainer = job["spec"]["trainer"]
    (group,) = objects["queue.yaml"][1]["spec"]["resourceGroups"]
    quotas = {item["name"]: str(item["nominalQuota"]) for item in group["flavors"][0]["resources"]}
    wanted = trainer["resourcesPerNode"]["requests"]
    assert set(group["coveredResources"]) == set(wanted) == set(quotas)
    for name, amount in wanted.items():
        assert quotas[name].removesuffix("Gi") == str(int(amount.removesuffix("Gi")) * trainer["numNodes"])
    assert quotas["nvidia.com/gpu"] == "128"


def test_the_job_is_on_the_machines_that_the_plan_reckons_with() -> None:
    config = compose("paper").config
    launch, cluster = config["launch"], config["cluster"]
    assert (launch["nodes"], launch["processes_per_node"]) == (cluster["nodes"], cluster["gpus_per_node"])


def worker_arguments(job: dict[str, Any]) -> list[str]:
    """What the agent of a pod runs on every rank."""
    command: list[str] = job["spec"]["trainer"]["command"]
    return command[command.index("--") + 1 :]


def test_a_rendered_job_is_the_one_that_a_launch_submits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = render_manifests("paper", workdir=tmp_path)
    submitted: list[tuple[dict[str, Any], Path]] = []

    class Launcher:
        def __init__(self, config: LaunchConfig) -> None:
            self._config = config

        def run(self, command: TrainingCommand) -> None:
            submitted.append((train_job(command, self._config), Path(command.argv[-1])))
            (command.workdir / "result").mkdir(exist_ok=True)

    monkeypatch.setattr("nava.launch.command.make_launcher", lambda config, _machine: Launcher(config))
    for stage in (1, 2, 3):
        rendered = tmp_path / f"rendered{stage}.json"
        write_text(rendered, files[f"jobs/train-stage{stage}.job.json"])
        job = read_job(rendered)
        launch_job(job, launch_config(job.config["launch"]), f"train-stage{stage}")
        manifest, told = submitted[-1]
        assert list(yaml.safe_load_all(files[f"jobs/train-stage{stage}.yaml"])) == [manifest]
        assert told == tmp_path / "paper" / f"stage{stage}" / "job.json"
        assert told.read_text() == rendered.read_text()


def launch_config(values: dict[str, Any]) -> LaunchConfig:
    from nava.runtime.step import typed_section

    return typed_section(LaunchConfig, values)


def test_stages_follow_each_other(files: dict[str, str], tmp_path: Path) -> None:
    jobs = []
    for stage in (1, 2, 3):
        write_text(tmp_path / f"{stage}.json", files[f"jobs/train-stage{stage}.job.json"])
        jobs.append(read_job(tmp_path / f"{stage}.json"))
    assert [job.stage for job in jobs] == [1, 2, 3]
    assert [job.previous for job in jobs] == ["", f"{jobs[0].workdir}/result", f"{jobs[1].workdir}/result"]
    assert len({job.key for job in jobs}) == 3


def start_pods(folder: Path, steps: int) -> tuple[Path, list["subprocess.Popen[str]"]]:
    """The rendered command of two pods, in processes with the variables that the Trainer sets; and the run's folder."""
    shards = write_tiny_corpus(folder / "corpus", audio_only=6).shards
    settings = [setting for setting in SETTINGS if not setting.startswith("training.engine")]
    settings += ["training.engine=deepspeed", "training.micro_batches_per_step=2", "loader.run_length=2"]
    overrides = [*settings, "launch.nodes=2", f"training.stage1.steps={steps}"]
    files = render_manifests("demo", overrides, str(shards), folder / "volume")
    (job,) = yaml.safe_load_all(files["jobs/train-stage1.yaml"])
    told = Path(worker_arguments(job)[-1])
    write_text(told, files["jobs/train-stage1.job.json"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    pods = []
    for node in range(job["spec"]["trainer"]["numNodes"]):
        variables = {"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1", "PET_NODE_RANK": str(node), "PYTHONPATH": str(ROOT)}
        variables |= {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        # The image's python, and a folder that every pod has for itself.
        command = [sys.executable if word == "python" else word for word in job["spec"]["trainer"]["command"]]
        command = [str(folder / f"logs{node}") if word.startswith(RANK_LOGS) else word for word in command]
        pods.append(subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True))
    return told.parent, pods


def test_the_rendered_command_trains_in_two_pods(tmp_path: Path) -> None:
    run, pods = start_pods(tmp_path, steps=3)
    ends = [(pod.communicate(timeout=300)[1], pod.returncode) for pod in pods]
    assert [code for _, code in ends] == [0, 0], ends
    assert [row["step"] for row in rows(run)] == [1, 2, 3]
    assert read_json(run / "state.json")["state"] == "finished"
    assert (run / "result" / "manifest.json").is_file()


def test_a_pod_that_was_not_disturbed_ends_as_the_one_that_was(tmp_path: Path) -> None:
    """All ranks stop together: whichever pod Kubernetes looks at first, it sees that nothing failed."""
    run, pods = start_pods(tmp_path, steps=100_000)
    try:
        end = time.monotonic() + 300
        while not ((run / "metrics.jsonl").is_file() and len(rows(run)) > 1):
            assert time.monotonic() < end
            assert [pod.poll() for pod in pods] == [None, None]
            time.sleep(0.1)
        pods[1].send_signal(signal.SIGTERM)
        ends = [(pod.communicate(timeout=120)[1], pod.returncode) for pod in pods]
    finally:
        for pod in pods:
            pod.kill()
    assert [code for _, code in ends] == [143, 143], ends
    assert "rank 0 ended with exit code 143: stage 1 was asked to stop" in ends[0][0]
    state = read_json(run / "state.json")
    assert (state["state"], state["exit_code"]) == ("stopped", 143)
    assert any((run / "checkpoints").glob("step-*"))


def test_overrides_reach_the_manifests_and_the_command() -> None:
    overrides = ["launch.nodes=2", "launch.kubernetes.queue=", "launch.kubernetes.priority_class="]
    overrides += ["training.micro_batches_per_step=2", "loader.run_length=2"]
    files = render_manifests("demo", overrides)
    assert "queue.yaml" not in files
    assert "priority-class.yaml" not in files
    (job,) = yaml.safe_load_all(files["jobs/train-stage1.yaml"])
    assert job["spec"]["trainer"]["numNodes"] == 2
    assert job["spec"]["trainer"]["command"][-1] == "/workspace/training/demo/stage1/job.json"
    told = json.loads(files["jobs/train-stage1.job.json"])
    assert told["config"]["launch"]["nodes"] == 2


def test_a_recipe_that_begins_late_has_its_stages_alone_and_needs_weights() -> None:
    with pytest.raises(InputError, match="stage 3 of this recipe goes on from weights"):
        render_manifests("finetune")
    files = render_manifests("finetune", init=INIT)
    assert sorted(name for name in files if name.startswith("jobs/")) == [
        "jobs/train-stage3.job.json",
        "jobs/train-stage3.yaml",
    ]
    told = json.loads(files["jobs/train-stage3.job.json"])
    assert (told["init"], told["previous"]) == (INIT, "")


def test_a_wrong_setting_renders_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        render_manifests("paper", ["launch.nodes=0"])
    assert main(["--recipe", "paper", "--out", str(tmp_path / "out"), "launch.nodes=0"]) == 2
    assert "nava: launch.nodes is 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_jobs_of_an_earlier_rendering_go(tmp_path: Path) -> None:
    write_manifests({"jobs/old.yaml": "a", "jobs/old.job.json": "{}", "runtime.yaml": "b"}, tmp_path)
    write_manifests({"jobs/new.yaml": "a", "runtime.yaml": "b"}, tmp_path)
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["new.yaml"]


def test_the_command_writes_and_says_where(tmp_path: Path, files: dict[str, str]) -> None:
    command = [sys.executable, "-m", "nava.training.manifest", "--init", INIT, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert str(tmp_path / PAGE) in done.stdout
    assert (tmp_path / "runtime.yaml").read_text() == files["runtime.yaml"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_it() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, check=True)
    kinds = {item["kind"] for item in yaml.safe_load_all(done.stdout)}
    assert {"TrainingRuntime", "LocalQueue", "PriorityClass", "PersistentVolumeClaim", "NetworkPolicy"} <= kinds
    assert "TrainJob" not in kinds
