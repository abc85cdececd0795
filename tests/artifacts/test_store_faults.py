"""What a store's faults are taken for: an HTTP server that fails as told, and the errors of the stores' libraries."""

import errno
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nava.artifacts.bucket_files import bucket_file
from nava.artifacts.store_faults import ATTEMPTS, may_pass, patiently, store_errors
from nava.data.loader.cache import ShardCache
from nava.runtime.errors import InputError, UnavailableError
from nava.runtime.hashing import sha256_bytes

CONTENT = b"latents" * 1000


class FaultyStore:
    """Serves one file. The next requests for its content end as `faults` says: a status, 0 cuts the connection."""

    def __init__(self) -> None:
        self.faults: list[int] = []
        self.asked = 0
        store = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.send_error(405)

            def do_GET(self) -> None:
                store.asked += 1
                fault = store.faults.pop(0) if store.faults else 200
                if fault >= 400:
                    self.send_error(fault)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT if fault else CONTENT[:100])
                self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/shard"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyStore]:
    monkeypatch.setattr("nava.artifacts.store_faults.FIRST_WAIT_S", 0.0)
    served = FaultyStore()
    yield served
    served.server.shutdown()
    served.server.server_close()


def cached(store: FaultyStore, folder: Path, sha256: str = sha256_bytes(CONTENT)) -> bytes:
    with ShardCache(folder, 10**6).held(store.address, sha256) as path:
        return path.read_bytes()


@pytest.mark.parametrize("fault", [500, 503, 429, 0])
def test_a_store_that_falters_is_asked_again(store: FaultyStore, tmp_path: Path, fault: int) -> None:
    store.faults = [fault, fault]
    assert cached(store, tmp_path) == CONTENT
    assert not store.faults


@pytest.mark.parametrize("fault", [503, 0])
def test_a_store_that_goes_on_failing_is_no_wrong_input(store: FaultyStore, tmp_path: Path, fault: int) -> None:
    store.faults = [fault] * 100
    with pytest.raises(UnavailableError, match=rf"shard cannot be fetched: .*\({ATTEMPTS} attempts\)") as caught:
        cached(store, tmp_path)
    assert caught.value.exit_code == 1
    assert list(tmp_path.rglob("*.safetensors")) == []


@pytest.mark.parametrize("fault", [403, 404])
def test_what_is_denied_or_missing_is_the_users_to_mend_at_once(store: FaultyStore, tmp_path: Path, fault: int) -> None:
    store.faults = [fault] * 100
    with pytest.raises(InputError, match="shard cannot be fetched") as caught:
        cached(store, tmp_path)
    assert caught.value.exit_code == 2
    # One attempt; fsspec asks up to twice for each.
    assert store.asked <= 2


def test_another_content_is_the_users_to_mend_at_once(store: FaultyStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="came with sha256"):
        cached(store, tmp_path, "0" * 64)
    assert store.asked <= 2


def test_a_file_of_a_bucket_that_cannot_be_asked_for_is_not_missing(store: FaultyStore) -> None:
    store.faults = [503] * 100
    with pytest.raises(UnavailableError):
        bucket_file(store.address)
    store.faults = [404] * 100
    assert bucket_file(store.address) is None


def test_nobody_there(store: FaultyStore, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        store.address = f"http://127.0.0.1:{probe.getsockname()[1]}/shard"
    with pytest.raises(UnavailableError):
        cached(store, tmp_path)


def of_s3(status: int, code: str) -> Exception:
    from botocore.exceptions import ClientError

    answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetObject")


def translated(status: int, code: str) -> BaseException:
    from s3fs.errors import translate_boto_error

    error: BaseException = translate_boto_error(of_s3(status, code))
    return error


def out_of_reach() -> Exception:
    from botocore.exceptions import EndpointConnectionError

    return EndpointConnectionError(endpoint_url="http://store:9000")


def no_credentials() -> Exception:
    from botocore.exceptions import NoCredentialsError

    return NoCredentialsError()


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (of_s3(503, "SlowDown"), True),
        (of_s3(500, "InternalError"), True),
        (of_s3(403, "AccessDenied"), False),
        (of_s3(404, "NoSuchKey"), False),
        (translated(503, "SlowDown"), True),
        (translated(500, "SomethingNew"), True),
        (translated(403, "AccessDenied"), False),
        (translated(404, "NoSuchKey"), False),
        (translated(400, "InvalidBucketName"), False),
        (out_of_reach(), True),
        (no_credentials(), False),
        (TimeoutError(), True),
        (ConnectionResetError("reset"), True),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), True),
        (OSError(errno.EBUSY, "Please reduce your request rate"), True),
        (OSError(errno.EINVAL, "invalid"), False),
        (FileNotFoundError("no"), False),
        (PermissionError("no"), False),
        (ValueError("Protocol not known"), False),
    ],
    ids=repr,
)
def test_what_may_pass_by_itself(error: BaseException, passing: bool) -> None:
    assert may_pass(error) is passing


def test_errors_of_ours_stay_as_they_are() -> None:
    with pytest.raises(InputError, match=r"^mine$"), store_errors("s3://b/k"):
        raise InputError("mine")
    with pytest.raises(InputError, match=r"^s3://b/k cannot be read: no$"), store_errors("s3://b/k"):
        raise FileNotFoundError("no")


def test_waits_grow_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("nava.artifacts.store_faults.time.sleep", waits.append)

    def fail() -> None:
        raise UnavailableError("down")

    with pytest.raises(UnavailableError, match=r"^down \(5 attempts\)$"):
        patiently(fail)
    assert len(waits) == ATTEMPTS - 1
    assert all(2**number / 2 <= wait <= 2**number for number, wait in enumerate(waits))
