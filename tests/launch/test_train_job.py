"""The TrainJob and the TrainingRuntime: what they ask for, checked against the Trainer's API models by round trip."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nava.config.launch import ClaimConfig, KubernetesConfig, LaunchConfig
from nava.launch.command import TrainingCommand, job_name
from nava.launch.schema import check_train_job, check_training_runtime, first_difference
from nava.launch.train_job import pod_grace_period_s, tolerations, train_job
from nava.launch.training_runtime import training_runtime
from nava.runtime.errors import InputError

COMMAND = TrainingCommand(
    "train_stage1", "ab12", ("python", "-m", "nava.cli", "train"), Path("/workspace/run"), {"B": "2"}, 90.5
)


def config(**values) -> LaunchConfig:
    return LaunchConfig("kubernetes", nodes=16, processes_per_node=8, kubernetes=KubernetesConfig(**values))


def pod_patch(job: dict[str, Any]) -> dict[str, Any]:
    (patch,) = job["spec"]["runtimePatches"]
    (replicated,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert replicated["name"] == "node"
    return replicated["template"]["spec"]["template"]["spec"]


def test_a_job_asks_for_nodes_gpus_and_their_pool() -> None:
    job = train_job(COMMAND, config(cpus=96, memory_gib=1024, shared_memory_gib=128, rdma_devices=8))
    trainer = job["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (16, 8)
    wanted = {"cpu": "96", "memory": "1024Gi", "nvidia.com/gpu": "8", "rdma/hca": "8"}
    assert trainer["resourcesPerNode"] == {"requests": wanted, "limits": wanted}
    pod = pod_patch(job)
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    memory = {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "128Gi"}}
    assert memory in pod["volumes"]
    assert {"name": "shared-memory", "mountPath": "/dev/shm"} in pod["containers"][0]["volumeMounts"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "training"
    assert job["metadata"]["name"] == job_name(COMMAND)
    check_train_job(job)


def test_pods_run_the_agent_that_local_launches_run() -> None:
    command = train_job(COMMAND, config())["spec"]["trainer"]["command"]
    assert command[:3] == ["python", "-m", "nava.launch.agent"]
    assert command[command.index("--workdir") + 1] == "/workspace/run"
    assert command[command.index("--") + 1 :] == list(COMMAND.argv)


def test_each_grace_period_holds_the_one_within() -> None:
    job = train_job(COMMAND, config())
    command = job["spec"]["trainer"]["command"]
    agent_s = int(command[command.index("--grace-s") + 1])
    pod_s = pod_patch(job)["terminationGracePeriodSeconds"]
    assert COMMAND.grace_period_s < agent_s < pod_s == pod_grace_period_s(COMMAND)


def test_what_is_off_is_not_there() -> None:
    bare = config(queue="", gpu_resource="", rdma_resource="", service_account="", priority_class="", claims=[])
    job = train_job(COMMAND, bare)
    assert "kueue.x-k8s.io/queue-name" not in job["metadata"]["labels"]
    assert set(job["spec"]["trainer"]["resourcesPerNode"]["limits"]) == {"cpu", "memory"}
    assert "activeDeadlineSeconds" not in job["spec"]
    assert "serviceAccountName" not in pod_patch(job)
    assert [volume["name"] for volume in pod_patch(job)["volumes"]] == ["shared-memory"]
    runtime = training_runtime(bare.kubernetes)
    assert "priorityClassName" not in json.dumps(runtime)
    check_train_job(job)
    check_training_runtime(runtime)


def test_claims_are_mounted_by_their_names() -> None:
    claims = [ClaimConfig("shards", "/shards", read_only=True), ClaimConfig("work", "/workspace")]
    pod = pod_patch(train_job(COMMAND, config(claims=claims)))
    shards = {"name": "shards", "persistentVolumeClaim": {"claimName": "shards", "readOnly": True}}
    assert shards in pod["volumes"]
    assert {"name": "shards", "mountPath": "/shards", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    assert {"name": "work", "mountPath": "/workspace"} in pod["containers"][0]["volumeMounts"]


def test_a_time_limit_and_a_service_account_are_said() -> None:
    job = train_job(COMMAND, config(time_limit_s=3600, service_account="trainer"))
    assert job["spec"]["activeDeadlineSeconds"] == 3600
    assert pod_patch(job)["serviceAccountName"] == "trainer"
    check_train_job(job)


@pytest.mark.parametrize(
    ("taint", "written"),
    [
        ("gpu", {"key": "gpu", "operator": "Exists"}),
        ("gpu:NoExecute", {"key": "gpu", "operator": "Exists", "effect": "NoExecute"}),
        ("pool=h100:NoSchedule", {"key": "pool", "operator": "Equal", "value": "h100", "effect": "NoSchedule"}),
    ],
)
def test_taints_are_written_as_tolerations(taint: str, written: dict[str, str]) -> None:
    assert tolerations(KubernetesConfig(tolerations=[taint])) == [written]


@given(secret=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=12, max_size=40))
def test_secrets_are_references_and_their_values_are_nowhere(secret: str) -> None:
    # Hypothesis also tries words of the code, which a manifest has.
    secret = f"0z{secret}z0"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_SECRET_ACCESS_KEY", secret)
        job = train_job(COMMAND, config(secret_env=["AWS_SECRET_ACCESS_KEY=storage/secret-key"]))
    reference = {"secretKeyRef": {"name": "storage", "key": "secret-key"}}
    assert {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": reference} in job["spec"]["trainer"]["env"]
    assert secret not in json.dumps(job)
    check_train_job(job)


def test_a_command_with_a_secret_becomes_no_manifest() -> None:
    command = TrainingCommand("train", "k", ("python",), Path("/w"), {"HF_TOKEN": "hunter2"})
    with pytest.raises(InputError) as caught:
        train_job(command, config())
    assert "hunter2" not in str(caught.value)


def test_the_commands_variables_win_over_the_clusters() -> None:
    env = train_job(COMMAND, config(env=["B=1", "A=x=y"]))["spec"]["trainer"]["env"]
    assert env == [{"name": "A", "value": "x=y"}, {"name": "B", "value": "2"}]


@pytest.mark.parametrize(
    ("happened", "action"),
    [
        ("has condition DisruptionTarget", "again"),
        ("failed with exit code 143", "again"),
        ("failed with exit code 2", "never"),
        ("failed with exit code 3", "never"),
        ("failed with exit code 4", "never"),
        ("failed with exit code 1", "counted"),
        ("failed with exit code 14", "counted"),
        ("failed with exit code 137", "counted"),
    ],
)
def test_the_job_set_starts_again_uncounted_after_a_stop_and_never_after_what_would_end_the_same(
    happened: str, action: str
) -> None:
    # As the Job controller words what its pod failure policy did.
    message = f"Container node for pod nava/x-node-0-3-abcde {happened} matching FailJob rule at index 1"
    rules = training_runtime(KubernetesConfig())["spec"]["template"]["spec"]["failurePolicy"]["rules"]
    actions = {"RestartJobSetAndIgnoreMaxRestarts": "again", "FailJobSet": "never"}
    matching = [rule for rule in rules if re.search(rule["onJobFailureMessagePatterns"][0], message)]
    assert [actions[rule["action"]] for rule in matching] == ([] if action == "counted" else [action])
    assert len({rule["name"] for rule in rules}) == len(rules)
    assert all(rule["onJobFailureReasons"] == ["PodFailurePolicy"] for rule in rules)


def test_the_job_fails_at_once_and_says_why_for_every_code_that_a_rule_reads() -> None:
    runtime = training_runtime(KubernetesConfig(max_restarts=5))
    check_training_runtime(runtime)
    job_set = runtime["spec"]["template"]["spec"]
    assert job_set["failurePolicy"]["maxRestarts"] == 5
    job = job_set["replicatedJobs"][0]["template"]
    assert job["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    disrupted, *by_exit_code = job["spec"]["podFailurePolicy"]["rules"]
    assert disrupted == {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert {rule["action"] for rule in by_exit_code} == {"FailJob"}
    assert [rule["onExitCodes"]["values"] for rule in by_exit_code] == [[143], [2, 3, 4]]


def test_rdma_may_pin_memory_and_nothing_else_is_granted() -> None:
    def capabilities(devices: int) -> dict[str, Any]:
        runtime = training_runtime(KubernetesConfig(rdma_devices=devices))
        pod = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        return pod["containers"][0]["securityContext"]["capabilities"]

    assert capabilities(8) == {"drop": ["ALL"], "add": ["IPC_LOCK"]}
    assert capabilities(0) == {"drop": ["ALL"]}


def paths(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of every object within a manifest."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    here = [path] if isinstance(value, dict) else []
    return here + [found for key, item in inner for found in paths(item, (*path, key))]


# Objects whose keys are the user's own.
FREE = {"labels", "annotations", "nodeSelector", "requests", "limits", "torch"}
JOB = train_job(COMMAND, config(secret_env=["A_TOKEN=s/k"], rdma_devices=1))
RUNTIME = training_runtime(KubernetesConfig(rdma_devices=1))


@pytest.mark.parametrize("manifest", [JOB, RUNTIME], ids=["job", "runtime"])
def test_a_misspelt_key_anywhere_is_named(manifest: dict[str, Any]) -> None:
    check = check_train_job if manifest["kind"] == "TrainJob" else check_training_runtime
    for path in paths(manifest):
        if path and path[-1] in FREE:
            continue
        wrong = copy.deepcopy(manifest)
        place = wrong
        for key in path:
            place = place[key]
        place["mispelt"] = 1
        with pytest.raises(InputError, match="mispelt is no field of the API"):
            check(wrong)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("spec", "trainer", "numNodes"), "16", "num_?[nN]odes"),
        (("spec", "trainer"), [], "not as the API describes it"),
        (("spec", "runtimeRef"), {}, "name"),
        (("spec", "runtimePatches"), {"manager": "m"}, "not as the API describes it"),
    ],
)
def test_a_value_of_another_type_is_refused(path: tuple[str, ...], value: Any, message: str) -> None:
    wrong = copy.deepcopy(JOB)
    place = wrong
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError, match=message):
        check_train_job(wrong)


@pytest.mark.parametrize(
    ("given_", "returned", "difference"),
    [
        ({"a": 1}, {"a": 1}, ""),
        ({"a": {"b": 1}}, {"a": {}}, "a.b is no field of the API"),
        ({"a": {}}, {"a": {"b": 1}}, "a: the API adds b"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "a[1] is read as another value"),
        ({"a": [1]}, {"a": [1, 2]}, "a is read as another value"),
        ({"a": 1}, {"a": True}, "a is read as another value"),
    ],
)
def test_differences_are_told_by_their_path(given_: Any, returned: Any, difference: str) -> None:
    assert first_difference(given_, returned) == difference
