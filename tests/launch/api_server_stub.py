"""A contract stub of the Kubernetes API server: no cluster, no controllers, nothing runs.

It answers over a real socket the calls that a launch makes, as the API server documents them: create, get, list, watch
and delete of TrainJobs, list of pods, and their logs. A test plays the controllers: it sets conditions, adds pods,
writes log lines, and says what goes wrong (a refused call, a dropped connection, an expired watch).
"""

import copy
import json
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nava.launch.cluster_client import ClusterClient

JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/nava/trainjobs"
PODS = "/api/v1/namespaces/nava/pods"
LINE_EVERY = timedelta(milliseconds=1)


class ApiServerStub:
    """The state behind the stub; all of it under one lock."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, list[str]] = {}
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.calls: Counter[str] = Counter()
        self.bodies: list[str] = []
        # Statuses to answer with instead, by call, each once: {"create": [503]}; 0 drops the connection.
        self.faults: dict[str, list[int]] = {}
        self.expired_below = 0
        self.slow_deletion = False
        self._version = 100
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "ApiServerStub":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    # What the controllers of a cluster would do.

    def store(self, kind: str, job: dict[str, Any]) -> None:
        with self.changed:
            self._version += 1
            job["metadata"]["resourceVersion"] = str(self._version)
            name = job["metadata"]["name"]
            if kind == "DELETED":
                self.jobs.pop(name, None)
            else:
                self.jobs[name] = job
            self.events.append((self._version, kind, copy.deepcopy(job)))
            self.changed.notify_all()

    def condition(self, name: str, kind: str, reason: str = "", message: str = "", status: str = "True") -> None:
        with self.changed:
            job = self.jobs[name]
            kept = [item for item in job.setdefault("status", {}).get("conditions", []) if item["type"] != kind]
            kept.append({"type": kind, "status": status, "reason": reason, "message": message})
            job["status"]["conditions"] = kept
            self.store("MODIFIED", job)

    def active(self, name: str) -> None:
        with self.changed:
            job = self.jobs[name]
            job.setdefault("status", {})["jobsStatus"] = [{"name": "node", "active": 1, "ready": 0}]
            self.store("MODIFIED", job)

    def add_pod(self, job: str, node: int, suffix: str = "aaaaa") -> str:
        name = f"{job}-node-0-{node}-{suffix}"
        labels = {"jobset.sigs.k8s.io/jobset-name": job, "batch.kubernetes.io/job-completion-index": str(node)}
        with self.changed:
            status = {"phase": "Running", "containerStatuses": [self._container({"running": {}})]}
            self.pods[name] = {"metadata": {"name": name, "uid": f"uid-{name}", "labels": labels}, "status": status}
            self.lines[name] = []
        return name

    @staticmethod
    def _container(state: dict[str, Any]) -> dict[str, Any]:
        said = {"name": "node", "image": "i", "imageID": "i", "ready": False, "restartCount": 0}
        return said | {"state": state}

    def say(self, pod: str, *texts: str, same_time: bool = False) -> None:
        with self.changed:
            for text in texts:
                # Real time, so that "since" means something; two lines of a pod differ unless a test wants the same.
                last = self.lines[pod][-1].partition(" ")[0] if self.lines[pod] else ""
                stamp = last if same_time and last else _stamp(datetime.now(UTC) + len(self.lines[pod]) * LINE_EVERY)
                self.lines[pod].append(f"{stamp} {text}")
            self.changed.notify_all()

    def end_pod(self, pod: str, exit_code: int, message: str = "", at: datetime | None = None) -> None:
        when = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = {"exitCode": exit_code, "message": message, "finishedAt": when, "reason": "Error"}
        with self.changed:
            self.pods[pod]["status"] = {
                "phase": "Failed",
                "containerStatuses": [self._container({"terminated": ended})],
            }
            self.changed.notify_all()

    def ended(self, pod: str) -> bool:
        return pod not in self.pods or self.pods[pod]["status"]["phase"] != "Running"

    def finish_deletion(self, name: str) -> None:
        with self.changed:
            for pod in [pod for pod in self.pods if pod.startswith(f"{name}-")]:
                del self.pods[pod]
            if name in self.jobs:
                self.store("DELETED", self.jobs[name])

    def fault(self, call: str) -> int | None:
        with self.changed:
            self.calls[call] += 1
            pending = self.faults.get(call)
            return pending.pop(0) if pending else None


def stub_client(stub: ApiServerStub) -> ClusterClient:
    """The launcher's client, connected to the stub."""
    from kubernetes.client import ApiClient, Configuration

    configuration = Configuration(host=stub.url)
    configuration.retries = False
    return ClusterClient(ApiClient(configuration), "nava")


def _stamp(when: datetime) -> str:
    """As the kubelet writes times: nanoseconds without their last zeros."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".") + "Z"


def _handler(stub: ApiServerStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if self._faulty("create"):
                return
            stub.bodies.append(body)
            job = json.loads(body)
            name = job["metadata"]["name"]
            with stub.changed:
                if name in stub.jobs:
                    self._status(409, "AlreadyExists", f'trainjobs "{name}" already exists', name)
                    return
                job["metadata"]["uid"] = f"uid-{stub.calls['create']}"
                stub.store("ADDED", job)
            self._json(201, job)

        def do_DELETE(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            stub.bodies.append(self.rfile.read(length).decode())
            if self._faulty("delete"):
                return
            name = urlsplit(self.path).path.rpartition("/")[2]
            with stub.changed:
                if name not in stub.jobs:
                    self._status(404, "NotFound", f'trainjobs "{name}" not found', name)
                    return
                job = stub.jobs[name]
                if stub.slow_deletion:
                    job["metadata"]["deletionTimestamp"] = _stamp(datetime.now(UTC))
                    stub.store("MODIFIED", job)
                else:
                    stub.finish_deletion(name)
            self._json(200, job)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if parts.path == JOBS and query.get("watch"):
                self._watch(query)
            elif parts.path.startswith(f"{JOBS}/"):
                self._get(parts.path.rpartition("/")[2])
            elif parts.path == PODS:
                self._pods(query)
            elif parts.path.startswith(PODS) and parts.path.endswith("/log"):
                self._log(parts.path.split("/")[-2], query)
            else:
                self._status(404, "NotFound", "the server could not find the requested resource")

        def _get(self, name: str) -> None:
            if self._faulty("get"):
                return
            with stub.changed:
                job = copy.deepcopy(stub.jobs.get(name))
            if job is None:
                self._status(404, "NotFound", f'trainjobs "{name}" not found', name)
            else:
                self._json(200, job)

        def _pods(self, query: dict[str, str]) -> None:
            if self._faulty("pods"):
                return
            label, _, value = query["labelSelector"].partition("=")
            with stub.changed:
                items = [copy.deepcopy(pod) for pod in stub.pods.values() if pod["metadata"]["labels"][label] == value]
            self._json(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

        def _watch(self, query: dict[str, str]) -> None:
            if self._faulty("watch"):
                return
            name = query["fieldSelector"].removeprefix("metadata.name=")
            version = int(query["resourceVersion"])
            self._begin_chunks()
            if version < stub.expired_below:
                error = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
                self._chunk(json.dumps({"type": "ERROR", "object": error}) + "\n")
                self._end_chunks()
                return
            end = time.monotonic() + float(query["timeoutSeconds"])
            while time.monotonic() < end:
                with stub.changed:
                    if stub.faults.get("open-watch"):
                        stub.faults["open-watch"].pop()
                        self.close_connection = True
                        return
                    new = [event for event in stub.events if event[0] > version]
                    if not new:
                        stub.changed.wait(0.05)
                for version, kind, job in new:  # noqa: B007 - goes on from the last one
                    if job["metadata"]["name"] == name and not self._chunk(
                        json.dumps({"type": kind, "object": job}) + "\n"
                    ):
                        return
            self._end_chunks()

        def _log(self, pod: str, query: dict[str, str]) -> None:
            if self._faulty("log"):
                return
            with stub.changed:
                if pod not in stub.pods:
                    self._status(404, "NotFound", f'pods "{pod}" not found', pod)
                    return
                lines = list(stub.lines[pod])
            sent = len(lines) - int(query["tailLines"]) if "tailLines" in query else 0
            if "sinceSeconds" in query:
                since = _stamp(datetime.now(UTC) - timedelta(seconds=int(query["sinceSeconds"])))
                sent = next((at for at, line in enumerate(lines) if line > since), len(lines))
            self._begin_chunks()
            sent = max(0, sent)
            while True:
                with stub.changed:
                    if stub.faults.get("open-log"):
                        stub.faults["open-log"].pop()
                        self.close_connection = True
                        return
                    new, over = stub.lines[pod][sent:], stub.ended(pod)
                    if not new and not over:
                        stub.changed.wait(0.05)
                sent += len(new)
                if not all(self._chunk(f"{line}\n") for line in new):
                    return
                if over and not new:
                    break
            self._end_chunks()

        def _faulty(self, call: str) -> bool:
            status = stub.fault(call)
            if status == 0:
                self.close_connection = True
            elif status is not None:
                self._status(status, "Fault", f"answered {status} for the test")
            return status is not None

        def _json(self, code: int, value: dict[str, Any]) -> None:
            body = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _status(self, code: int, reason: str, message: str, name: str = "") -> None:
            details = {"name": name} if name else {}
            body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
            self._json(code, body | {"details": details})

        def _begin_chunks(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()

        def _chunk(self, text: str) -> bool:
            data = text.encode()
            try:
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                self.wfile.flush()
            except OSError:
                return False
            return True

        def _end_chunks(self) -> None:
            with suppress(OSError):
                self.wfile.write(b"0\r\n\r\n")

    return Handler
