"""Where corpus versions are kept."""

from dataclasses import dataclass


@dataclass
class CorpusConfig:
    """The corpus repository (git + DVC) and its remote (values of the `demo` recipe)."""

    remote_url: str = ""  # empty: the folder corpus-remote of the run; or s3://bucket/prefix
    remote_endpoint_url: str = ""  # of an S3 service that is not AWS
    author_name: str = "nava-pipeline"
    author_email: str = "pipeline@nava.invalid"
