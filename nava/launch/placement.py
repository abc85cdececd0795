"""What lands on which node pool, read from the manifests themselves and not from the settings they were made of."""

from typing import Any

from nava.config.launch import LaunchConfig
from nava.launch.train_job import KEY_ANNOTATION, NODE, QUEUE_LABEL, STEP_ANNOTATION

_WHAT = {
    "kustomization.yaml": "what `kubectl apply -k` applies: all but the jobs",
    "runtime.yaml": "retries, priority, user and rights of every training pod",
    "queue.yaml": "the node pool, its quota, and the queue that jobs wait in",
    "priority-class.yaml": "which pods are preempted for which",
    "claims.yaml": "the volumes that all pods of a job share",
    "network-policy.yaml": "who may reach the ranks",
}


def placement(
    recipe: str, config: LaunchConfig, jobs: list[dict[str, Any]], runtime: dict[str, Any], files: list[str]
) -> dict[str, Any]:
    """The facts of the page. The stages' jobs differ only in their commands."""
    job = jobs[0]
    trainer = job["spec"]["trainer"]
    pod = _patched_pod(job)
    nodes, processes = trainer["numNodes"], trainer["numProcPerNode"]
    template = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    return {
        "recipe": recipe,
        "namespace": job["metadata"]["namespace"],
        "image": trainer["image"],
        "runtime": runtime["metadata"]["name"],
        "queue": job["metadata"]["labels"].get(QUEUE_LABEL, ""),
        "priority_class": template.get("priorityClassName", ""),
        "nodes": nodes,
        "processes": processes,
        "pods": [
            {"node": node, "first": node * processes, "last": (node + 1) * processes - 1} for node in range(nodes)
        ],
        "gpu": config.kubernetes.gpu_resource,
        "requests": [(name, amount) for name, amount in trainer["resourcesPerNode"]["requests"].items()],
        "selector": sorted(pod["nodeSelector"].items()),
        "tolerations": [_told(entry) for entry in pod["tolerations"]],
        "volumes": _volumes(pod, config),
        "variables": [(entry["name"], entry["value"]) for entry in trainer["env"] if "value" in entry],
        "secrets": [
            (entry["name"], entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"])
            for entry in trainer["env"]
            if "valueFrom" in entry
        ],
        "jobs": [_job(job) for job in jobs],
        "grace_s": pod["terminationGracePeriodSeconds"],
        "max_restarts": runtime["spec"]["template"]["spec"]["failurePolicy"]["maxRestarts"],
        "time_limit_s": job["spec"].get("activeDeadlineSeconds", 0),
        "capabilities": template["containers"][0]["securityContext"]["capabilities"].get("add", []),
        "user": template["securityContext"]["runAsUser"],
        "files": [(name, _what(name, jobs)) for name in files],
    }


def _what(name: str, jobs: list[dict[str, Any]]) -> str:
    if not name.startswith("jobs/"):
        return _WHAT[name]
    if name.endswith(".yaml"):
        return "a job, as the launcher submits it"
    # Of one stage, as its job's file.
    job = next(job for job in jobs if name.startswith(f"jobs/{job['metadata']['annotations'][STEP_ANNOTATION]}."))
    return f"what the ranks of that job read: on the shared volume it is {job['spec']['trainer']['command'][-1]}"


def _patched_pod(job: dict[str, Any]) -> dict[str, Any]:
    patch = job["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]
    pod: dict[str, Any] = patch["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    return pod


def _job(job: dict[str, Any]) -> dict[str, str]:
    annotations = job["metadata"]["annotations"]
    command = job["spec"]["trainer"]["command"]
    return {
        "step": annotations[STEP_ANNOTATION],
        "key": annotations[KEY_ANNOTATION][:16],
        "name": job["metadata"]["name"],
        "command": " ".join(command[command.index("--") + 1 :]),
        "master": f"{job['metadata']['name']}-{NODE}-0-0.{job['metadata']['name']}",
    }


def _told(entry: dict[str, str]) -> str:
    key = f"{entry['key']}={entry['value']}" if "value" in entry else entry["key"]
    return f"{key}:{entry['effect']}" if "effect" in entry else key


def _volumes(pod: dict[str, Any], config: LaunchConfig) -> list[dict[str, str]]:
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    sizes = {claim.claim: f"{claim.size_gib} GiB" for claim in config.kubernetes.claims}
    rows = []
    for volume in pod["volumes"]:
        claim = volume.get("persistentVolumeClaim")
        if claim is None:
            kind, size = "the pod's memory", volume["emptyDir"]["sizeLimit"].replace("Gi", " GiB")
        else:
            kind = "shared by all pods, read only" if claim.get("readOnly") else "shared by all pods"
            size = sizes[claim["claimName"]]
        rows.append({"name": volume["name"], "path": mounts[volume["name"]], "kind": kind, "size": size})
    return rows
