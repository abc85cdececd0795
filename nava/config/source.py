"""Where the media come from."""

from dataclasses import dataclass, field

from nava.config.checks import require, require_at_least

KINDS = ("auto", "folder", "manifest", "koala", "ted")
_SHARE_TOLERANCE = 1e-6


@dataclass
class CollectionConfig:
    """One part of a mixture.

    Attributes:
        name: goes into every row of the source manifest; the names of a mixture differ.
        uri: folder or bucket with media, or the file or folder with metadata.
        kind: "folder" (or a bucket: every media file, at any depth), "manifest" (a CSV, JSONL or parquet file that
            names media), "koala" (metadata as of Koala-36M), "ted" (metadata as of TED-LIUM or MuST-C); "auto" takes a
            file ending in .csv, .tsv, .jsonl or .parquet for a manifest and everything else for a folder.
        media: folder or bucket with the media that a manifest or metadata name; empty for the folder they lie in.
        share: wanted part of the sources of the mixture, above 0; all shares add up to 1.
        licence: licence of the media, carried into every manifest (SPDX name where there is one).
        origin: where the media come from, carried into every manifest.
        endpoint_url: S3 service other than Amazon's; credentials are read from the environment.
    """

    name: str = ""
    uri: str = ""
    kind: str = "auto"
    media: str = ""
    share: float = 1.0
    licence: str = ""
    origin: str = ""
    endpoint_url: str = field(default="", metadata={"identity": False})


@dataclass
class SourceConfig:
    """The user's media, or the generated corpus.

    Attributes:
        uri: folder or bucket with media files (video or audio-only, any depth, `<stem>.vtt` transcripts beside them),
            or the file with their metadata; empty for the mixture, or for the seeded synthetic corpus.
        kind: as of a collection.
        media: as of a collection.
        licence: as of a collection.
        origin: as of a collection.
        endpoint_url: as of a collection.
        mixture: several collections with stated shares, instead of one `uri`.
        mixture_seed: draws the sources of a collection that has more than its share.
        read_threads: files read at the same time for their hashes; more help with a bucket far away.
    """

    uri: str = ""
    kind: str = "auto"
    media: str = ""
    licence: str = ""
    origin: str = ""
    endpoint_url: str = field(default="", metadata={"identity": False})
    mixture: list[CollectionConfig] = field(default_factory=list)
    mixture_seed: int = 0
    read_threads: int = field(default=4, metadata={"identity": False})

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_at_least(self, "source", ["read_threads"], 1)
        require(self.kind in KINDS, "source.kind", self.kind, " or ".join(KINDS))
        require(not (self.uri and self.mixture), "source.uri", self.uri, "empty where there is a source.mixture")
        for position, part in enumerate(self.mixture):
            prefix = f"source.mixture[{position}]"
            require(bool(part.name.strip()), f"{prefix}.name", part.name, "a name")
            require(bool(part.uri), f"{prefix}.uri", part.uri, "a folder, bucket or metadata file")
            require(part.kind in KINDS, f"{prefix}.kind", part.kind, " or ".join(KINDS))
            require(0 < part.share <= 1, f"{prefix}.share", part.share, "above 0 and at most 1")
        names = [part.name for part in self.mixture]
        require(len(set(names)) == len(names), "source.mixture", names, "a list whose names differ")
        total = sum(part.share for part in self.mixture)
        whole = not self.mixture or abs(total - 1) <= _SHARE_TOLERANCE
        require(whole, "the sum of source.mixture[*].share", round(total, 6), "1")

    def collections(self) -> list[CollectionConfig]:
        """What is to be ingested: the mixture, or the one source as a collection without a name; empty if neither."""
        if not self.uri:
            return self.mixture
        return [
            CollectionConfig("", self.uri, self.kind, self.media, 1.0, self.licence, self.origin, self.endpoint_url)
        ]
