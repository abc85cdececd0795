"""The manifests of the paper's training: those in infra/ are what the code renders now, and they fit together."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from nava.config.composition import compose
from nava.launch.manifest import PAGE, main, render_manifests, stage_command, write_manifests
from nava.runtime.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "training"
RENDER = "python -m nava.launch.manifest --recipe paper"


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    return render_manifests("paper")


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


def test_stages_follow_each_other() -> None:
    first, second = (stage_command("paper", [], stage, "s3://b/shards", 60.0) for stage in (1, 2))
    assert "--init" not in first.argv
    assert second.argv[second.argv.index("--init") + 1] == first.argv[first.argv.index("--out") + 1]
    assert first.key != second.key


def test_overrides_reach_the_manifests_and_the_command() -> None:
    overrides = ["launch.nodes=2", "launch.kubernetes.queue=", "launch.kubernetes.priority_class="]
    files = render_manifests("demo", overrides)
    assert "queue.yaml" not in files
    assert "priority-class.yaml" not in files
    (job,) = yaml.safe_load_all(files["jobs/train-stage1.yaml"])
    assert job["spec"]["trainer"]["numNodes"] == 2
    assert job["spec"]["trainer"]["command"][-3:] == overrides


def test_a_wrong_setting_renders_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        render_manifests("paper", ["launch.nodes=0"])
    assert main(["--recipe", "paper", "--out", str(tmp_path / "out"), "launch.nodes=0"]) == 2
    assert "nava: launch.nodes is 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_jobs_of_an_earlier_rendering_go(tmp_path: Path) -> None:
    write_manifests({"jobs/old.yaml": "a", "runtime.yaml": "b"}, tmp_path)
    write_manifests({"jobs/new.yaml": "a", "runtime.yaml": "b"}, tmp_path)
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["new.yaml"]


def test_the_command_writes_and_says_where(tmp_path: Path, files: dict[str, str]) -> None:
    command = [sys.executable, "-m", "nava.launch.manifest", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert str(tmp_path / PAGE) in done.stdout
    assert (tmp_path / "runtime.yaml").read_text() == files["runtime.yaml"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_it() -> None:
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, check=True)
    kinds = {item["kind"] for item in yaml.safe_load_all(done.stdout)}
    assert {"TrainingRuntime", "LocalQueue", "PriorityClass", "PersistentVolumeClaim", "NetworkPolicy"} <= kinds
    assert "TrainJob" not in kinds
