"""Media roots of every kind, filled by tests, and files that decode."""

import uuid
import wave
from pathlib import Path

import fsspec
import pytest


def write_wav(path: Path, level: int = 1000) -> Path:
    """A tenth of a second of a square wave; its bytes differ with the level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(
            b"".join((level if i % 8 < 4 else -level).to_bytes(2, "little", signed=True) for i in range(800))
        )
    return path


def fill(uri: str, files: dict[str, bytes]) -> None:
    """Put files below an fsspec address."""
    for name, data in files.items():
        with fsspec.open(f"{uri}/{name}", "wb") as file:
            file.write(data)


@pytest.fixture
def memory_bucket():
    """An address that only fsspec understands, emptied afterwards."""
    uri = f"memory://sources-{uuid.uuid4().hex[:8]}/media"
    yield uri
    filesystem = fsspec.filesystem("memory")
    root = uri.removeprefix("memory:/").rpartition("/")[0]
    if filesystem.exists(root):
        filesystem.rm(root, recursive=True)


@pytest.fixture(scope="session")
def s3_endpoint():
    """An S3 service of this process."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_endpoint, monkeypatch):
    """A bucket's address with its endpoint; credentials come from the environment, as everywhere."""
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    name = f"media-{uuid.uuid4().hex[:8]}"
    boto3.client("s3", endpoint_url=s3_endpoint).create_bucket(Bucket=name)
    return f"s3://{name}/raw?endpoint_url={s3_endpoint}"


def put_s3(uri: str, files: dict[str, bytes]) -> None:
    """Put objects below a bucket address with an endpoint."""
    import boto3

    address, _, endpoint = uri.partition("?endpoint_url=")
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=endpoint)
    for name, data in files.items():
        client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=data)
