"""The TrainingRuntime: what holds for every training job and what a TrainJob cannot say."""

from typing import Any

from nava.config.launch import KubernetesConfig
from nava.launch.command import FINAL_EXIT_CODES
from nava.launch.train_job import APP, APP_LABEL, GROUP, NODE, VERSION
from nava.runtime.errors import EXIT_STOPPED

_USER = 1000


def training_runtime(cluster: KubernetesConfig) -> dict[str, Any]:
    """The manifest of the runtime that the jobs of these settings refer to.

    A pod that is preempted, evicted or drained fails its job at once, and the job set starts again without counting it;
    ranks then find their newest checkpoint. So does a pod that ended because it, or the ranks of another, were told to
    stop: all stop together, and an undisturbed pod may end first. A wrong input, or a training that diverges, fails the
    job set for good; any other failure is retried `max_restarts` times. Nodes never restart alone: the ranks of the
    others would wait for them.
    """
    replicated = {
        "name": NODE,
        "template": {
            # By this label the Trainer finds the job whose container it gives the command to.
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            "spec": {
                "backoffLimit": 0,
                "completionMode": "Indexed",
                "podFailurePolicy": {"rules": _pod_failure_rules()},
                "template": {"metadata": {"labels": {APP_LABEL: APP}}, "spec": _pod(cluster)},
            },
        },
    }
    failure = {"maxRestarts": cluster.max_restarts, "rules": _job_failure_rules()}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainingRuntime",
        "metadata": {"name": cluster.runtime, "namespace": cluster.namespace},
        "spec": {
            "mlPolicy": {"numNodes": 1, "torch": {}},
            "template": {"spec": {"failurePolicy": failure, "replicatedJobs": [replicated]}},
        },
    }


def _pod_failure_rules() -> list[dict[str, Any]]:
    by_exit_code = {"containerName": NODE, "operator": "In"}
    return [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": by_exit_code | {"values": [EXIT_STOPPED]}},
        {"action": "FailJob", "onExitCodes": by_exit_code | {"values": list(FINAL_EXIT_CODES)}},
    ]


def _job_failure_rules() -> list[dict[str, Any]]:
    # The messages are the Job controller's. Were they worded otherwise, all would be retried and counted.
    again, never = "RestartJobSetAndIgnoreMaxRestarts", "FailJobSet"
    return [
        _job_failure_rule("disrupted", again, "has condition DisruptionTarget"),
        _job_failure_rule("stopped", again, f"failed with exit code {EXIT_STOPPED} "),
        _job_failure_rule("final", never, f"failed with exit code ({'|'.join(map(str, FINAL_EXIT_CODES))}) "),
    ]


def _job_failure_rule(name: str, action: str, message: str) -> dict[str, Any]:
    return {
        "name": name,
        "action": action,
        "onJobFailureReasons": ["PodFailurePolicy"],
        "onJobFailureMessagePatterns": [message],
    }


def _pod(cluster: KubernetesConfig) -> dict[str, Any]:
    # Registering memory with an RDMA device needs IPC_LOCK.
    granted = {"add": ["IPC_LOCK"]} if cluster.rdma_resource and cluster.rdma_devices else {}
    container = {
        "name": NODE,
        "image": cluster.image,
        # The last lines of a rank that failed, where the launcher finds them.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]} | granted},
    }
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    if cluster.priority_class:
        pod["priorityClassName"] = cluster.priority_class
    return pod
