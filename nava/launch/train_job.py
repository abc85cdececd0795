"""The TrainJob of a command: what one training job asks of the cluster."""

import math
from typing import Any

from nava.config.launch import KubernetesConfig, LaunchConfig
from nava.launch.command import TrainingCommand, job_name

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
# The names that the Trainer's torch plugin looks for: the replicated job, and the container in it.
NODE = "node"
APP_LABEL, APP = "app.kubernetes.io/name", "nava-training"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
STEP_ANNOTATION = "nava-platform.github.io/step"
KEY_ANNOTATION = "nava-platform.github.io/step-key"
MANAGER = "nava-platform.github.io/launcher"
SHARED_MEMORY = "shared-memory"
# What an agent needs after its ranks, and the container after its agent.
_AGENT_MARGIN_S, _POD_MARGIN_S = 5, 20
RANK_LOGS = "/tmp/nava-rank-logs"  # noqa: S108 - inside the container


def train_job(command: TrainingCommand, config: LaunchConfig) -> dict[str, Any]:
    """The manifest of a command's job.

    Raises:
        InputError: the command holds a secret by value.
    """
    command.check()
    cluster = config.kubernetes
    labels = {APP_LABEL: APP}
    if cluster.queue:
        labels[QUEUE_LABEL] = cluster.queue
    spec: dict[str, Any] = {
        "runtimeRef": {"apiGroup": GROUP, "kind": "TrainingRuntime", "name": cluster.runtime},
        "trainer": {
            "image": cluster.image,
            "command": agent_command(command, config),
            "env": environment(command, cluster),
            "numNodes": config.nodes,
            "numProcPerNode": config.processes_per_node,
            "resourcesPerNode": node_resources(config),
        },
        "runtimePatches": [_placement(command, cluster)],
    }
    if cluster.time_limit_s:
        spec["activeDeadlineSeconds"] = cluster.time_limit_s
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainJob",
        "metadata": {
            "name": job_name(command),
            "namespace": cluster.namespace,
            "labels": labels,
            "annotations": {STEP_ANNOTATION: command.name, KEY_ANNOTATION: command.key},
        },
        "spec": spec,
    }


def agent_command(command: TrainingCommand, config: LaunchConfig) -> list[str]:
    """What a pod runs: the agent that the local launcher runs too; the Trainer's variables tell it about the others."""
    agent = ["python", "-m", "nava.launch.agent", "--log-dir", RANK_LOGS, "--workdir", str(command.workdir)]
    agent += ["--grace-s", str(math.ceil(command.grace_period_s) + _AGENT_MARGIN_S)]
    return [*agent, "--rendezvous-timeout-s", str(config.rendezvous_timeout_s), "--", *command.argv]


def environment(command: TrainingCommand, cluster: KubernetesConfig) -> list[dict[str, Any]]:
    """The variables of a pod, by name: the command's win over the cluster's, and secrets are references."""
    values = dict(entry.split("=", 1) for entry in cluster.env) | dict(command.env)
    variables: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in sorted(values.items())]
    for name, secret, key in secret_references(cluster):
        variables.append({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    return variables


def secret_references(cluster: KubernetesConfig) -> list[tuple[str, str, str]]:
    """(variable, secret, key in it) of every secret that a pod is given."""
    references = []
    for entry in cluster.secret_env:
        name, _, reference = entry.partition("=")
        secret, _, key = reference.partition("/")
        references.append((name, secret, key))
    return references


def node_resources(config: LaunchConfig) -> dict[str, dict[str, str]]:
    """What a pod asks for: as much as it may use, so that it is the last one to be evicted."""
    cluster = config.kubernetes
    wanted = {"cpu": str(cluster.cpus), "memory": f"{cluster.memory_gib}Gi"}
    if cluster.gpu_resource:
        wanted[cluster.gpu_resource] = str(config.processes_per_node)
    if cluster.rdma_resource and cluster.rdma_devices:
        wanted[cluster.rdma_resource] = str(cluster.rdma_devices)
    return {"requests": wanted, "limits": dict(wanted)}


def tolerations(cluster: KubernetesConfig) -> list[dict[str, str]]:
    """Taints written `key[=value][:effect]`, as Kubernetes writes tolerations."""
    tolerated = []
    for taint in cluster.tolerations:
        selected, _, effect = taint.partition(":")
        key, separator, value = selected.partition("=")
        entry = {"key": key, "operator": "Equal", "value": value} if separator else {"key": key, "operator": "Exists"}
        tolerated.append(entry | ({"effect": effect} if effect else {}))
    return tolerated


def pod_grace_period_s(command: TrainingCommand) -> int:
    """What a pod is left after SIGTERM: its ranks' grace period, and time for their agent."""
    return math.ceil(command.grace_period_s) + _AGENT_MARGIN_S + _POD_MARGIN_S


def _placement(command: TrainingCommand, cluster: KubernetesConfig) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [
        {"name": SHARED_MEMORY, "emptyDir": {"medium": "Memory", "sizeLimit": f"{cluster.shared_memory_gib}Gi"}}
    ]
    mounts: list[dict[str, Any]] = [{"name": SHARED_MEMORY, "mountPath": "/dev/shm"}]  # noqa: S108
    for claim in cluster.claims:
        read_only = {"readOnly": True} if claim.read_only else {}
        volumes.append({"name": claim.claim, "persistentVolumeClaim": {"claimName": claim.claim} | read_only})
        mounts.append({"name": claim.claim, "mountPath": claim.path} | read_only)
    pod: dict[str, Any] = {
        "nodeSelector": dict(label.split("=", 1) for label in cluster.node_selector),
        "tolerations": tolerations(cluster),
        "terminationGracePeriodSeconds": pod_grace_period_s(command),
        "volumes": volumes,
        "containers": [{"name": NODE, "volumeMounts": mounts}],
    }
    if cluster.service_account:
        pod["serviceAccountName"] = cluster.service_account
    template = {"metadata": {"labels": {APP_LABEL: APP}}, "spec": pod}
    jobs = [{"name": NODE, "template": {"spec": {"template": template}}}]
    return {"manager": MANAGER, "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": jobs}}}}
