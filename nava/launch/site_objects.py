"""What a platform engineer applies once before the first job: queue, priority, volumes, who may reach the ranks."""

from typing import Any

from nava.config.launch import KubernetesConfig, LaunchConfig
from nava.launch.train_job import APP, APP_LABEL, node_resources, tolerations

_KUEUE = "kueue.x-k8s.io/v1beta2"
# Above what has no class (0), below what the cluster itself needs (2e9).
_PRIORITY = 100_000


def queue_objects(config: LaunchConfig) -> list[dict[str, Any]]:
    """Kueue's objects: the node pool as a flavour, a quota of just one such job, and the queue that jobs name."""
    cluster = config.kubernetes
    if not cluster.queue:
        return []
    pool = f"{cluster.queue}-nodes"
    flavour = {
        "apiVersion": _KUEUE,
        "kind": "ResourceFlavor",
        "metadata": {"name": pool},
        "spec": {
            "nodeLabels": dict(label.split("=", 1) for label in cluster.node_selector),
            "tolerations": tolerations(cluster),
        },
    }
    wanted = node_resources(config)["requests"]
    quotas = [{"name": name, "nominalQuota": _times(amount, config.nodes)} for name, amount in wanted.items()]
    group = {"coveredResources": list(wanted), "flavors": [{"name": pool, "resources": quotas}]}
    cluster_queue = {
        "apiVersion": _KUEUE,
        "kind": "ClusterQueue",
        "metadata": {"name": cluster.queue},
        "spec": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster.namespace}},
            "preemption": {"withinClusterQueue": "LowerPriority"},
            "resourceGroups": [group],
        },
    }
    local_queue = {
        "apiVersion": _KUEUE,
        "kind": "LocalQueue",
        "metadata": {"name": cluster.queue, "namespace": cluster.namespace},
        "spec": {"clusterQueue": cluster.queue},
    }
    return [flavour, cluster_queue, local_queue]


def _times(amount: str, count: int) -> str:
    """A quantity so many times: "96" or "1024Gi"."""
    number = amount.rstrip("Gi")
    return f"{int(number) * count}{amount[len(number) :]}"


def priority_class(cluster: KubernetesConfig) -> list[dict[str, Any]]:
    """The class of training's pods: Kueue preempts by it, and so does the scheduler."""
    if not cluster.priority_class:
        return []
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": cluster.priority_class},
            "value": _PRIORITY,
            "globalDefault": False,
            "description": "Training of NAVA; a preempted job goes on from its newest checkpoint.",
        }
    ]


def claims(cluster: KubernetesConfig) -> list[dict[str, Any]]:
    """The volumes that all pods of a job share."""
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim.claim, "namespace": cluster.namespace},
            "spec": {
                "accessModes": ["ReadOnlyMany" if claim.read_only else "ReadWriteMany"],
                "resources": {"requests": {"storage": f"{claim.size_gib}Gi"}},
            },
        }
        for claim in cluster.claims
    ]


def network_policy(cluster: KubernetesConfig) -> dict[str, Any]:
    """Ranks trust whoever reaches their ports: only pods of training may."""
    own = {"matchLabels": {APP_LABEL: APP}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": APP, "namespace": cluster.namespace},
        "spec": {
            "podSelector": own,
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": own}]}],
        },
    }
