"""Streams the lines of a job's pods, of those too that take the place of others after a restart."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from nava.launch.cluster_client import ClusterClient, PassingError, Pod, WatchExpiredError
from nava.runtime.errors import InputError

FINDER = "pod-finder"
_RETRY_S = 1.0
_CLOCKS_DIFFER_S = 60
_REATTACHED_LINES = 100


class PodLogs:
    """Follows the pods of a job in threads of its own.

    Args:
        client: the cluster.
        job: the job's name.
        show: given every line.
        all_nodes: of all nodes; else of the first only.
        again: the job is not new: begin with its last hundred lines.
        poll_every_s: how often to look for new pods.
    """

    def __init__(
        self,
        client: ClusterClient,
        job: str,
        show: Callable[[str], None],
        *,
        all_nodes: bool,
        again: bool,
        poll_every_s: float,
    ) -> None:
        self._client, self._job, self._show = client, job, show
        self._all_nodes, self._again, self._poll_every_s = all_nodes, again, poll_every_s
        self._followers: dict[str, threading.Thread] = {}
        self._ended = threading.Event()
        self._finder = threading.Thread(target=self._find, name=FINDER, daemon=True)

    def start(self) -> None:
        """Begin to look for pods."""
        self._finder.start()

    def finish(self, patience_s: float) -> None:
        """Look for pods no more: the job has ended, or is left. Wait for the rest of its lines for so many seconds."""
        self._ended.set()
        end = time.monotonic() + patience_s
        self._finder.join(patience_s)
        for follower in list(self._followers.values()):
            follower.join(max(0.0, end - time.monotonic()))

    def _find(self) -> None:
        last_look = False
        while not last_look:
            # Pods that came and went between two looks are found by the look after the end.
            last_look = self._ended.is_set()
            try:
                pods = self._client.pods(self._job)
            except (PassingError, InputError):
                pods = []
            for pod in pods:
                if pod.started and pod.uid not in self._followers and (self._all_nodes or pod.node == 0):
                    follower = threading.Thread(target=self._follow, args=(pod,), name=pod.name, daemon=True)
                    self._followers[pod.uid] = follower
                    follower.start()
            # Only pods that were there when the job was found again have lines from before.
            self._again = self._again and not pods
            if not last_look:
                self._ended.wait(self._poll_every_s)

    def _follow(self, pod: Pod) -> None:
        """Until its container has ended; after a dropped connection go on behind the last line."""
        seen = _LastLine()
        lines = _REATTACHED_LINES if self._again else None
        while True:
            try:
                for line in self._client.log(pod.name, since_s=seen.age_s(), last_lines=lines):
                    text = seen.new(line)
                    if text is not None:
                        self._show(f"[node {pod.node}] {text}")
                return
            except PassingError:
                # A pod that is gone, or an end of which nobody will tell.
                if self._ended.is_set():
                    return
                time.sleep(_RETRY_S)
                lines = None if seen.stamp else lines
            except (InputError, WatchExpiredError):
                return


class _LastLine:
    """Which lines were shown already, by the time that stands before each."""

    def __init__(self) -> None:
        self.stamp = ""
        self._at_stamp = 0
        self._repeated = 0

    def age_s(self) -> int | None:
        """How far back to ask, in whole seconds, with some to spare for clocks that differ; None from the start."""
        if not self.stamp:
            return None
        self._repeated = 0
        seconds = self.stamp.partition(".")[0].rstrip("Z")
        then = datetime.fromisoformat(seconds).replace(tzinfo=UTC)
        return max(1, int((datetime.now(UTC) - then).total_seconds())) + _CLOCKS_DIFFER_S

    def new(self, line: str) -> str | None:
        """The text of a line, or None if it was shown. Several lines may bear the same time."""
        stamp, _, text = line.partition(" ")
        order, last = _sortable(stamp), _sortable(self.stamp)
        if self.stamp and order < last:
            return None
        if order == last:
            self._repeated += 1
            if self._repeated <= self._at_stamp:
                return None
            self._at_stamp = self._repeated
            return text
        self.stamp, self._at_stamp, self._repeated = stamp, 1, 1
        return text


def _sortable(stamp: str) -> str:
    """Nanoseconds come without their last zeros."""
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    return f"{seconds}.{fraction:0<9}"
