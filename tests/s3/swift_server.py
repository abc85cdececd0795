"""OpenStack Swift with its S3 API on this machine: a real S3 service, without containers or root.

::

    python tests/s3/swift_server.py install FOLDER    once: Swift in an environment of its own
    python tests/s3/swift_server.py start FOLDER      fresh storage, four servers on free ports of the loopback
    python tests/s3/swift_server.py stop FOLDER

One proxy with s3api and tempauth, one server each for accounts, containers and objects, one replica, no memcached.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

SWIFT = "swift==2.38.3"
_KINDS = ("account", "container", "object")
_STARTS_WITHIN_S = 90.0
_ENDS_WITHIN_S = 30.0
_STATE = "servers.json"
_RINGS = """
import sys
from swift.common.ring import RingBuilder
folder = sys.argv[1]
for kind, port in zip(("account", "container", "object"), sys.argv[2:]):
    builder = RingBuilder(4, 1, 0)
    builder.add_dev(dict(region=1, zone=1, ip="127.0.0.1", port=int(port), device="disk", weight=1))
    builder.rebalance(seed=1)
    builder.get_ring().save(f"{folder}/{kind}.ring.gz")
"""
_PIPELINE = "catch_errors gatekeeper proxy-logging listing_formats bulk s3api tempauth slo proxy-logging proxy-server"


@dataclass(frozen=True)
class SwiftService:
    """A running service.

    Attributes:
        endpoint: address of its S3 API.
        access_key, secret_key: of its only user.
        pids: of its servers.
    """

    endpoint: str
    access_key: str
    secret_key: str
    pids: list[int]

    def environment(self) -> dict[str, str]:
        """What points AWS's tools, and everything that uses them, at this service."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def install(folder: Path) -> None:
    """Put Swift into `folder`/venv, unless it is there."""
    venv = folder / "venv"
    if (venv / "bin/swift-proxy-server").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    subprocess.run([str(venv / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", SWIFT], check=True)


def start(folder: Path) -> SwiftService:
    """Start Swift with empty storage; whatever ran in this folder before is stopped.

    Raises:
        RuntimeError: Swift is not installed there, the file system keeps no extended attributes, or a server died.
    """
    folder = folder.resolve()
    if not (folder / "venv/bin/swift-proxy-server").is_file():
        raise RuntimeError(f"Swift is not installed in {folder}: python {__file__} install {folder}")
    stop(folder)
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    for part in ("etc", "disks/disk", "recon", "logs"):
        (run / part).mkdir(parents=True)
    run.chmod(0o700)  # the configuration holds the secret
    _require_attributes(run / "disks/disk")
    ports = dict(zip(("proxy", *_KINDS), _free_ports(4), strict=True))
    secret_key = secrets.token_urlsafe(24)
    _configure(run, ports, secret_key)
    rings = [str(folder / "venv/bin/python"), "-c", _RINGS, str(run / "etc"), *(str(ports[kind]) for kind in _KINDS)]
    subprocess.run(rings, check=True)
    servers = [_spawn(folder, kind) for kind in ("proxy", *_KINDS)]
    endpoint = f"http://127.0.0.1:{ports['proxy']}"
    service = SwiftService(endpoint, "corpus:curator", secret_key, [server.pid for server in servers])
    (run / _STATE).write_text(json.dumps(asdict(service)))
    try:
        _wait(run, servers, [f"http://127.0.0.1:{port}/healthcheck" for port in ports.values()])
    except BaseException:
        stop(folder)
        raise
    return service


def stop(folder: Path) -> None:
    """End the servers that were started in a folder, and no others: a process id may be another's by now."""
    state = folder.resolve() / "run" / _STATE
    if not state.is_file():
        return
    mine = [pid for pid in json.loads(state.read_text())["pids"] if _is_of(state.parent, pid)]
    for pid in mine:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _ENDS_WITHIN_S
    while mine := [pid for pid in mine if _is_of(state.parent, pid)]:
        if time.monotonic() > deadline:
            for pid in mine:
                os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.1)
    state.unlink()


def _is_of(run: Path, pid: int) -> bool:
    try:
        return str(run) in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


@contextmanager
def running(folder: Path) -> Iterator[SwiftService]:
    """The service, for as long as the block runs."""
    try:
        yield start(folder)
    finally:
        stop(folder)


def _configure(run: Path, ports: dict[str, int], secret_key: str) -> None:
    etc = run / "etc"
    (etc / "swift.conf").write_text(f"[swift-hash]\nswift_hash_path_suffix = {secrets.token_hex(8)}\n")
    common = f"swift_dir = {etc}\nbind_ip = 127.0.0.1\nworkers = 0\nlog_level = WARNING\n"
    proxy = {
        "filter:s3api": "use = egg:swift#s3api\nlocation = us-east-1\n",
        "filter:tempauth": f"use = egg:swift#tempauth\nuser_corpus_curator = {secret_key} .admin\n",
        "app:proxy-server": "use = egg:swift#proxy\naccount_autocreate = true\n",
    }
    for name in ("catch_errors", "gatekeeper", "listing_formats", "bulk", "slo"):
        proxy[f"filter:{name}"] = f"use = egg:swift#{name}\n"
    proxy["filter:proxy-logging"] = "use = egg:swift#proxy_logging\n"
    proxy["filter:healthcheck"] = "use = egg:swift#healthcheck\n"
    text = f"[DEFAULT]\n{common}bind_port = {ports['proxy']}\n[pipeline:main]\npipeline = healthcheck {_PIPELINE}\n"
    (etc / "proxy.conf").write_text(text + "".join(f"[{name}]\n{lines}" for name, lines in proxy.items()))
    storage = f"devices = {run / 'disks'}\nmount_check = false\ndisable_fallocate = true\n"
    for kind in _KINDS:
        (etc / f"{kind}.conf").write_text(
            f"[DEFAULT]\n{common}{storage}bind_port = {ports[kind]}\n"
            f"[pipeline:main]\npipeline = healthcheck {kind}-server\n"
            "[filter:healthcheck]\nuse = egg:swift#healthcheck\n"
            f"[app:{kind}-server]\nuse = egg:swift#{kind}\n"
            # No updater runs that would bring a listing up to date later, and a slow machine needs more than 1 s.
            + ("container_update_timeout = 30\n" if kind == "object" else "")
        )


def _spawn(folder: Path, kind: str) -> subprocess.Popen[bytes]:
    configuration = folder / "run/etc" / f"{kind}.conf"
    command = [str(folder / "venv/bin" / f"swift-{kind}-server"), str(configuration), "--verbose"]
    with (folder / "run/logs" / f"{kind}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def _wait(run: Path, servers: list[subprocess.Popen[bytes]], addresses: list[str]) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    waiting = list(addresses)
    while waiting:
        ended = [server.args for server in servers if server.poll() is not None]
        if ended or time.monotonic() > deadline:
            raise RuntimeError(f"Swift did not start ({ended or waiting}); see {run / 'logs'}")
        waiting = [address for address in waiting if not _answers(address)]
        time.sleep(0.1)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def _free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def _require_attributes(folder: Path) -> None:
    try:
        os.setxattr(folder, "user.nava", b"1")
    except OSError as error:
        raise RuntimeError(f"Swift needs extended attributes, and {folder} has none: {error}") from error


def main(action: str, folder: str) -> None:
    """What the command line asks for."""
    if action == "install":
        install(Path(folder))
    elif action == "start":
        for name, value in start(Path(folder)).environment().items():
            print(f"export {name}={value}")
    elif action == "stop":
        stop(Path(folder))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
