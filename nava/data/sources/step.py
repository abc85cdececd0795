"""The step `ingest`: the user's media, or the generated corpus, as a source manifest. Media stay where they are."""

from dataclasses import asdict
from pathlib import Path

from nava.artifacts.source_manifest import count_ignored, write_sources
from nava.config.source import SourceConfig
from nava.config.synthetic import SyntheticConfig
from nava.data.sources.scan import SourceListing, probe_sources, scan_sources
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_json
from nava.runtime.step import Step

HANDLE_KIND = "sources"
_CACHE = "sources-read"


def ingest(step: Step) -> Handle:
    """Step function: the source manifest of the user's media or of the generated corpus.

    Returns:
        Handle of kind `sources`: the folder with `sources.parquet` and `ignored.parquet`; its meta has `media_roots`
        (addresses by collection), `n_sources`, `n_ignored`, `ignored` (counts by reason) and `mixture` (wanted and
        realised shares).

    Raises:
        InputError: nothing usable is there, metadata are wrong, or the synthetic corpus cannot be made here.
    """
    config = step.section(SourceConfig)
    if not config.collections():
        config = _generated(step, config)
    else:
        probe_sources(config)
    listing = scan_sources(config, _cache(step), step.progress)
    folder = write_sources(step.workdir / "sources", listing.sources, listing.ignored)
    for line in listing.lines():
        step.log(line)
    return Handle.of_path(HANDLE_KIND, folder, **_facts(listing))


def source_identity(step: Step) -> str:
    """What the step's result depends on besides its settings: all that ingestion sees of the user's media.

    Returns:
        64 hex digits; empty for the synthetic corpus, whose identity is its configuration.

    Raises:
        InputError: a place cannot be read, or metadata are wrong.
    """
    config = step.section(SourceConfig)
    if not config.collections():
        return ""
    listing = scan_sources(config, _cache(step), step.progress)
    return sha256_json([[asdict(item) for item in items] for items in (listing.sources, listing.ignored)])


def _cache(step: Step) -> Path:
    return step.run_dir / _CACHE


def _facts(listing: SourceListing) -> dict[str, object]:
    return {
        "media_roots": listing.media_roots,
        "n_sources": len(listing.sources),
        "n_ignored": len(listing.ignored),
        "ignored": count_ignored(listing.ignored),
        "mixture": [asdict(part) for part in listing.mixture],
    }


def _generated(step: Step, config: SourceConfig) -> SourceConfig:
    from nava.data.synthetic.generate import LICENCE, ORIGIN, generate

    media = generate(step.workdir, step.section(SyntheticConfig), step.seed, step.progress)
    return SourceConfig(uri=str(media), licence=LICENCE, origin=ORIGIN, read_threads=config.read_threads)
