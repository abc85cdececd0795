import logging
import uuid
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def s3_service() -> Iterator[str]:
    """Address of an S3 service of this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_service: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an empty bucket; credentials are where AWS's tools look for them."""
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-that-is-kept-nowhere")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    name = f"corpora-{uuid.uuid4().hex[:8]}"
    boto3.client("s3", endpoint_url=s3_service).create_bucket(Bucket=name)
    return name
