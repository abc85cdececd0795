"""The TrainingRuntime: what holds for every training job and what a TrainJob cannot say."""

from typing import Any

from nava.config.launch import KubernetesConfig
from nava.launch.train_job import APP, APP_LABEL, GROUP, NODE, VERSION
from nava.runtime.errors import EXIT_GATE_FAILED, EXIT_WRONG_INPUT

_USER = 1000


def training_runtime(cluster: KubernetesConfig) -> dict[str, Any]:
    """The manifest of the runtime that the jobs of these settings refer to.

    A pod that is preempted, evicted or drained fails its job at once, and the job set starts again without counting it;
    ranks then find their newest checkpoint. A wrong input fails the job set for good, any other failure is retried
    `max_restarts` times. Nodes never restart alone: the ranks of the others would wait for them.
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
    wrong = {"containerName": NODE, "operator": "In", "values": [EXIT_WRONG_INPUT, EXIT_GATE_FAILED]}
    return [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": wrong},
    ]


def _job_failure_rules() -> list[dict[str, Any]]:
    # The messages are the Job controller's. Were they worded otherwise, both would be retried and counted.
    return [
        {
            "name": "disrupted",
            "action": "RestartJobSetAndIgnoreMaxRestarts",
            "onJobFailureReasons": ["PodFailurePolicy"],
            "onJobFailureMessagePatterns": ["has condition DisruptionTarget"],
        },
        {
            "name": "wrongInput",
            "action": "FailJobSet",
            "onJobFailureReasons": ["PodFailurePolicy"],
            "onJobFailureMessagePatterns": [f"failed with exit code ({EXIT_WRONG_INPUT}|{EXIT_GATE_FAILED}) "],
        },
    ]


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
