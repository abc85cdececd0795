"""The few calls to the Kubernetes API that a launch needs, with errors that are either the user's or pass by."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from nava.config.launch import KubernetesConfig
from nava.launch.train_job import GROUP, NODE, PLURAL, VERSION
from nava.runtime.errors import InputError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

T = TypeVar("T")
JOB_SET_LABEL = "jobset.sigs.k8s.io/jobset-name"
_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
_CONNECT_S, _ANSWER_S = 10.0, 30.0
_WATCH_S = 60
_GONE, _CONFLICT, _NOT_FOUND = 410, 409, 404
_WRONG = (400, 401, 403, 404, 405, 415, 422)


class PassingError(Exception):
    """The API server did not answer, or not now: the same call may succeed later."""


class WatchExpiredError(Exception):
    """The server no longer has the version that a watch was to go on from: read the object anew."""


@dataclass(frozen=True)
class Pod:
    """One pod of a job.

    Attributes:
        node: its index among the nodes of the job.
        started: its container runs or has run.
        exit_code: of its container; None while it has not ended.
        last_lines: what its container said last, if it failed.
        ended_at: when; None while it has not.
    """

    name: str
    uid: str
    node: int
    started: bool
    exit_code: int | None = None
    last_lines: str = ""
    ended_at: datetime | None = None


def connect(config: KubernetesConfig) -> "ClusterClient":
    """A client of the cluster: that of the pod this runs in, or of the kubeconfig.

    Raises:
        InputError: there is neither, or the packages of the extra `cluster` are not installed.
    """
    try:
        from kubernetes import client
        from kubernetes import config as access
    except ImportError as error:
        raise InputError("launching on Kubernetes needs the extra `cluster`: pip install 'nava[cluster]'") from error
    configuration = client.Configuration()
    try:
        if os.environ.get("KUBERNETES_SERVICE_HOST") and not config.context:
            access.load_incluster_config(client_configuration=configuration)
        else:
            access.load_kube_config(context=config.context or None, client_configuration=configuration)
    except access.ConfigException as error:
        line = str(error).strip().splitlines()[0]
        raise InputError(f"no access to a cluster: {line}; set KUBECONFIG, or launch.target=processes") from error
    # Whoever calls waits and tries again.
    configuration.retries = False
    return ClusterClient(client.ApiClient(configuration), config.namespace)


class ClusterClient:
    """TrainJobs, their pods and their logs in one namespace.

    Every method raises InputError for what the user can mend, and PassingError for what may pass.
    """

    def __init__(self, api: "ApiClient", namespace: str) -> None:
        from kubernetes.client import CoreV1Api, CustomObjectsApi

        self.namespace = namespace
        self._jobs = CustomObjectsApi(api)
        self._core = CoreV1Api(api)
        self._where = (GROUP, VERSION, namespace, PLURAL)

    def create(self, manifest: dict[str, Any]) -> bool:
        """Submit a job. False if there is one of that name."""
        call = self._jobs.create_namespaced_custom_object
        return self._asked(lambda: call(*self._where, manifest, **_patience()), absent=_CONFLICT) is not None

    def get(self, name: str) -> dict[str, Any] | None:
        """A job, or None."""
        call = self._jobs.get_namespaced_custom_object
        return self._asked(lambda: call(*self._where, name, **_patience()), absent=_NOT_FOUND)

    def delete(self, name: str) -> None:
        """Begin to delete a job and all that belongs to it; nothing if it is not there."""
        call = self._jobs.delete_namespaced_custom_object
        self._asked(lambda: call(*self._where, name, propagation_policy="Foreground", **_patience()), absent=_NOT_FOUND)

    def changes(self, name: str, version: str) -> Iterator[dict[str, Any] | None]:
        """A job each time it changes after a version of it, None when it is deleted; ends after a minute.

        Raises:
            WatchExpiredError: that version is too old to go on from.
        """
        from kubernetes.watch import Watch

        listing = self._jobs.list_namespaced_custom_object
        selected = {"field_selector": f"metadata.name={name}", "resource_version": version}
        with _translated():
            events = Watch().stream(
                listing, *self._where, **selected, timeout_seconds=_WATCH_S, _request_timeout=(_CONNECT_S, 2 * _WATCH_S)
            )
            for event in events:
                # Bookmarks carry a version and no job.
                if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                    yield None if event["type"] == "DELETED" else event["object"]

    def pods(self, job: str) -> list[Pod]:
        """The pods of a job that are there, by node."""
        call = self._core.list_namespaced_pod
        with _translated():
            items = call(self.namespace, label_selector=f"{JOB_SET_LABEL}={job}", **_patience()).items
        return sorted((_pod(item) for item in items), key=lambda pod: pod.node)

    def log(self, pod: str, *, since_s: int | None = None, last_lines: int | None = None) -> Iterator[str]:
        """The lines of a pod's container with the time before each, until the container has ended.

        Args:
            pod: its name.
            since_s: only lines of so many last seconds.
            last_lines: begin with so many of the last ones.
        """
        wanted = {"since_seconds": since_s, "tail_lines": last_lines}
        options = {name: value for name, value in wanted.items() if value is not None}
        with _translated():
            answer = self._core.read_namespaced_pod_log(
                pod, self.namespace, container=NODE, follow=True, timestamps=True, _preload_content=False, **options
            )
            try:
                yield from _lines(answer.stream(decode_content=False))
            finally:
                answer.close()
                answer.release_conn()

    def _asked(self, call: Callable[[], T], absent: int) -> T | None:
        """The answer of a call, or None for the status that means it is not (or already) there."""
        from kubernetes.client import ApiException

        with _translated():
            try:
                return call()
            except ApiException as error:
                if error.status == absent and not _no_such_api(error):
                    return None
                raise


def _patience() -> dict[str, Any]:
    return {"_request_timeout": (_CONNECT_S, _ANSWER_S)}


class _translated:  # noqa: N801 - reads as a verb in `with`
    """Turns the client's errors into ours. A class: a generator may be left while it is suspended in the block."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        if isinstance(error, ApiException):
            if error.status == _GONE:
                raise WatchExpiredError from error
            if error.status in _WRONG:
                raise InputError(_refusal(error)) from error
            raise PassingError(f"the API server answered {error.status} {error.reason}") from error
        if isinstance(error, HTTPError | OSError | json.JSONDecodeError):
            raise PassingError(f"{type(error).__name__}: {error}") from error


def _message(error: Any) -> str:
    """What the server says in the body of a refusal, else the status line."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"


def _no_such_api(error: Any) -> bool:
    """Whether a 404 is about the kind of object and not about one object; the latter has `details` with its name."""
    try:
        return error.status == _NOT_FOUND and not json.loads(error.body).get("details", {}).get("name")
    except (TypeError, ValueError):
        return error.status == _NOT_FOUND


def _refusal(error: Any) -> str:
    if error.status == _NOT_FOUND:
        return f"the cluster has no such thing: {_message(error)}; is Kubeflow's Trainer installed there?"
    return f"the cluster refuses: {_message(error)}"


def _pod(item: Any) -> Pod:
    labels = item.metadata.labels or {}
    states = [status.state for status in item.status.container_statuses or [] if status.name == NODE]
    ended = states[0].terminated if states else None
    running = states[0].running if states else None
    return Pod(
        name=item.metadata.name,
        uid=item.metadata.uid,
        node=int(labels.get(_INDEX_LABEL, 0)),
        started=ended is not None or running is not None,
        exit_code=ended.exit_code if ended else None,
        last_lines=(ended.message or "") if ended else "",
        ended_at=ended.finished_at if ended else None,
    )


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """Whole lines of a stream of bytes; what is left at the end is a line too."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
