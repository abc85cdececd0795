"""S3 services by way of the environment, as in a pod."""

from collections.abc import Iterator

import pytest

from tests.data.corpus.conftest import bucket, s3_service

__all__ = ["bucket", "fresh_clients", "s3_service"]


@pytest.fixture
def fresh_clients() -> Iterator[None]:
    """File systems are kept by their arguments, the environment is none: clients of another test's service must go."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()
