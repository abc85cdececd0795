"""When two clips are the same clip, and how a large corpus is searched for them."""

from dataclasses import dataclass, field

from nava.config.checks import require_at_least, require_one_of, require_shares

EMBEDDINGS = ("dct3d", "video_clip")


@dataclass
class DuplicateConfig:
    """Near-duplicates: candidates by embedding inside clusters, confirmed by frames and sound.

    The thresholds are those of `dct3d`. A learned embedding (`video_clip`) has another scale of cosines, and finds
    crops and mirrored copies only with `max_hash_distance=1`, because frame hashes do not survive either.
    """

    embedding: str = "dct3d"
    weights: str = ""  # of `video_clip`: folder or bucket address of a CLIP or X-CLIP model (config.json, safetensors)
    weights_cache: str = field(default="", metadata={"identity": False})  # where files of a bucket are kept
    min_cosine: float = 0.975
    max_hash_distance: float = 0.2  # share of differing bits of aligned frames
    min_audio_correlation: float = 0.99
    min_audio_cosine: float = 0.95  # proposes pairs of clips without pictures; their sound decides
    against: list[str] = field(default_factory=list)  # signature indexes of earlier corpora: their kept clips stay
    exact_clips: int = 20_000  # so many clips are all compared with one another, in one cluster
    max_clusters: int = 65_536
    training_clips_per_cluster: int = 64
    kmeans_iterations: int = 10
    probes: int = 3  # clusters that a clip near borders is compared in, at most
    max_candidates: int = 256  # better clips that one clip is compared with frame by frame, per cluster

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        prefix = "curation.duplicates"
        require_one_of(self, prefix, "embedding", EMBEDDINGS)
        shares = ("min_cosine", "max_hash_distance", "min_audio_correlation", "min_audio_cosine")
        require_shares(self, prefix, shares)
        counts = ("exact_clips", "max_clusters", "training_clips_per_cluster", "kmeans_iterations", "probes")
        require_at_least(self, prefix, (*counts, "max_candidates"), 1)
