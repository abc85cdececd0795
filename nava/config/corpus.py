"""Where corpus versions are kept."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from nava.config.checks import require, require_one_of, require_positive

NOT_IDENTITY = {"identity": False}


@dataclass
class CorpusConfig:
    """The corpus repository (git + DVC) and its remote (values of the `demo` recipe).

    No setting holds a secret: an S3 remote takes its credentials from where AWS's own tools look for them
    (`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, `AWS_PROFILE`, the role of the pod).
    """

    remote_url: str = ""  # empty: the folder corpus-remote of the run; or s3://bucket/prefix
    remote_endpoint_url: str = ""  # of an S3 service that is not AWS
    # The git repository that several machines publish to, with a remote that all of them reach; empty: this run's only.
    git_url: str = ""
    author_name: str = "nava-pipeline"
    author_email: str = "pipeline@nava.invalid"
    # Clips are packed into shards of about this size. Smaller shards are more objects; larger ones are more bytes to
    # write again when a source is forgotten. It changes where bytes lie, not what a version holds.
    shard_mb: float = field(default=256.0, metadata=NOT_IDENTITY)
    # What a publication does with clips of a source on the forget list: leaves them out, or stops.
    on_forgotten: str = "drop"

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_positive(self, "corpus", ("shard_mb",))
        require_one_of(self, "corpus", "on_forgotten", ("drop", "refuse"))
        if self.git_url:
            require(bool(self.remote_url), "corpus.remote_url", "", "a place that all who share corpus.git_url reach")
        for name in ("remote_url", "remote_endpoint_url", "git_url"):
            require(not has_credentials(getattr(self, name)), f"corpus.{name}", "(hidden)", "without credentials")


def has_credentials(url: str) -> bool:
    """Whether an address carries a password: it would be committed, and end in logs."""
    return urlsplit(url).password is not None
