"""Settings of where training runs: processes of this machine, or a job on Kubernetes. None of them changes a result."""

import re
from dataclasses import dataclass, field

from nava.config.checks import require, require_at_least, require_one_of, require_positive
from nava.runtime.secret_values import holds_password, names_secret

NOT_IDENTITY = {"identity": False}
TARGETS = ("processes", "kubernetes")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_REFERENCE = re.compile(r"[A-Za-z_]\w*=[a-z0-9][-a-z0-9.]*/[-._a-zA-Z0-9]+")
_TOLERATION = re.compile(r"[^=:\s]+(=[^=:\s]+)?(:(NoSchedule|NoExecute|PreferNoSchedule))?")
_ENDPOINT = re.compile(r"[^\s:]+:\d{1,5}")


@dataclass
class ClaimConfig:
    """A PersistentVolumeClaim that every pod mounts; ReadWriteMany, since all nodes do."""

    claim: str
    path: str
    read_only: bool = False
    # What its manifest asks for.
    size_gib: int = 1024


@dataclass
class KubernetesConfig:
    """How a training job stands on a cluster. The fields that have no unit in their name are names of its objects."""

    namespace: str = field(default="nava", metadata=NOT_IDENTITY)
    # Empty takes the one of the service account in a pod, else the kubeconfig's current one.
    context: str = field(default="", metadata=NOT_IDENTITY)
    image: str = field(default="ghcr.io/nava-platform/nava-train-python:0.1.0", metadata=NOT_IDENTITY)
    # TrainingRuntime that holds what a TrainJob cannot say: retries, priority, the security context.
    runtime: str = field(default="nava-training", metadata=NOT_IDENTITY)
    # Kueue's LocalQueue: all pods of a job start together or wait; empty leaves that to the cluster's scheduler.
    queue: str = field(default="training", metadata=NOT_IDENTITY)
    priority_class: str = field(default="nava-training", metadata=NOT_IDENTITY)
    service_account: str = field(default="", metadata=NOT_IDENTITY)

    # Which nodes: labels they carry as `label=value`, and taints they may have as `key[=value][:effect]`.
    node_selector: list[str] = field(
        default_factory=lambda: ["nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3"], metadata=NOT_IDENTITY
    )
    tolerations: list[str] = field(default_factory=lambda: ["nvidia.com/gpu:NoSchedule"], metadata=NOT_IDENTITY)
    # One per process; empty asks for none.
    gpu_resource: str = field(default="nvidia.com/gpu", metadata=NOT_IDENTITY)
    # Of each node; empty or 0 asks for none.
    rdma_resource: str = field(default="rdma/hca", metadata=NOT_IDENTITY)
    rdma_devices: int = field(default=0, metadata=NOT_IDENTITY)
    cpus: int = field(default=16, metadata=NOT_IDENTITY)
    memory_gib: int = field(default=128, metadata=NOT_IDENTITY)
    shared_memory_gib: int = field(default=32, metadata=NOT_IDENTITY)

    claims: list[ClaimConfig] = field(
        default_factory=lambda: [ClaimConfig("nava-workspace", "/workspace")], metadata=NOT_IDENTITY
    )
    # `VARIABLE=secret/key`: the name of a secret of the namespace and a key in it. The value never leaves the cluster.
    secret_env: list[str] = field(default_factory=list, metadata=NOT_IDENTITY)
    # `VARIABLE=value`, such as NCCL's for the cluster's network.
    env: list[str] = field(default_factory=list, metadata=NOT_IDENTITY)

    # Restarts after failures; those after a preemption or a drained node are not counted.
    max_restarts: int = field(default=3, metadata=NOT_IDENTITY)
    # The job ends after so long; 0 never.
    time_limit_s: int = field(default=0, metadata=NOT_IDENTITY)
    # Wait so long for the queue; 0 for ever.
    queue_timeout_s: float = field(default=0.0, metadata=NOT_IDENTITY)
    # Go on watching through an unreachable API server for so long. The job itself goes on whatever happens here.
    api_timeout_s: float = field(default=300.0, metadata=NOT_IDENTITY)
    poll_every_s: float = field(default=5.0, metadata=NOT_IDENTITY)
    # Lines of the pods of all nodes, not only the first's.
    log_all_nodes: bool = field(default=False, metadata=NOT_IDENTITY)
    # Delete the job when whoever watches it is told to stop; off leaves it running.
    delete_when_stopped: bool = field(default=True, metadata=NOT_IDENTITY)

    def check(self) -> None:
        """Refuse values that no cluster could use. InputError names the setting and what it may be."""
        prefix = "launch.kubernetes"
        for name in ("namespace", "runtime"):
            value = getattr(self, name)
            require(_LABEL.fullmatch(value) is not None, f"{prefix}.{name}", value, "lower-case letters, digits and -")
        for name in ("queue", "priority_class", "service_account"):
            value = getattr(self, name)
            allowed = not value or _LABEL.fullmatch(value) is not None
            require(allowed, f"{prefix}.{name}", value, "lower-case letters, digits and -, or empty")
        require(bool(self.image), f"{prefix}.image", self.image, "the reference of an image")
        require_at_least(self, prefix, ("cpus", "memory_gib", "shared_memory_gib"), 1)
        require_at_least(self, prefix, ("rdma_devices", "max_restarts", "time_limit_s", "queue_timeout_s"), 0)
        require_positive(self, prefix, ("api_timeout_s", "poll_every_s"))
        size, memory = self.shared_memory_gib, self.memory_gib
        require(size < memory, f"{prefix}.shared_memory_gib", size, f"below memory_gib ({memory}), which it counts to")
        for taint in self.tolerations:
            allowed = _TOLERATION.fullmatch(taint) is not None
            require(allowed, f"{prefix}.tolerations", taint, "key[=value][:NoSchedule|NoExecute|PreferNoSchedule]")
        for label in self.node_selector:
            require("=" in label, f"{prefix}.node_selector", label, "label=value")
        self._check_variables(prefix)
        self._check_claims(prefix)

    def _check_variables(self, prefix: str) -> None:
        # Values are not repeated: one could be the secret itself.
        for entry in self.secret_env:
            allowed = _REFERENCE.fullmatch(entry) is not None
            hidden = f"{entry.partition('=')[0]}=…"
            require(allowed, f"{prefix}.secret_env", hidden, "VARIABLE=secret/key, a secret's name and a key in it")
        for entry in self.env:
            name, separator, value = entry.partition("=")
            require(bool(separator), f"{prefix}.env", f"{name[:3]}…", "VARIABLE=value")
            secret = names_secret(name) or holds_password(value)
            require(not secret, f"{prefix}.env", f"{name}=…", "no secret; name it in secret_env as VARIABLE=secret/key")

    def _check_claims(self, prefix: str) -> None:
        for claim in self.claims:
            name, path = claim.claim, claim.path
            require(_LABEL.fullmatch(name) is not None, f"{prefix}.claims", name, "names of claims")
            require(path.startswith("/") and path != "/dev/shm", f"{prefix}.claims", path, "absolute paths")  # noqa: S108
            require(claim.size_gib >= 1, f"{prefix}.claims", claim.size_gib, "sizes of at least 1 GiB")
        paths = [claim.path for claim in self.claims]
        require(len(set(paths)) == len(paths), f"{prefix}.claims", paths, "paths that differ")


@dataclass
class LaunchConfig:
    """Where the processes of training run."""

    # "processes": this machine, through torchrun; "kubernetes": a Kubeflow TrainJob.
    target: str = field(default="processes", metadata=NOT_IDENTITY)
    nodes: int = field(default=1, metadata=NOT_IDENTITY)
    # One GPU each where there are GPUs.
    processes_per_node: int = field(default=1, metadata=NOT_IDENTITY)
    # host:port of the first machine when several machines each run the command for themselves, in one folder that all
    # of them have at the same path. Empty: all nodes are on this machine, an agent each.
    rendezvous: str = field(default="", metadata=NOT_IDENTITY)
    # How long nodes wait for each other at the start.
    rendezvous_timeout_s: int = field(default=1800, metadata=NOT_IDENTITY)
    kubernetes: KubernetesConfig = field(default_factory=KubernetesConfig)

    def check(self) -> None:
        """Refuse values that nothing could run on. InputError names the setting and what it may be."""
        require_one_of(self, "launch", "target", TARGETS)
        require_at_least(self, "launch", ("nodes", "processes_per_node", "rendezvous_timeout_s"), 1)
        allowed = not self.rendezvous or _ENDPOINT.fullmatch(self.rendezvous) is not None
        require(allowed, "launch.rendezvous", self.rendezvous, "host:port, or empty")
        self.kubernetes.check()
