"""Curation into a folder of the user's, without a pipeline: what `nava data curate` does.

::

    DIR/clips.parquet, sources.parquet, ...    replaced one by one, the clips last
    DIR/media, thumbnails, signatures          files named by clip: added first, stale ones removed last
    DIR/.work                                  what a later run finds again
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nava.artifacts.clip_manifest import MANIFEST_NAME, MEDIA_DIR, THUMBNAIL_DIR
from nava.artifacts.source_manifest import IGNORED_NAME, SOURCES_NAME
from nava.config.source import SourceConfig
from nava.data.curation.curate import Curated, Curation
from nava.data.curation.plan import CurationPlan
from nava.data.curation.publish import RECORD_FILE, SIGNATURES_DIR, publish
from nava.data.sources.scan import probe_sources, scan_sources
from nava.runtime.errors import InputError
from nava.runtime.progress import Progress
from nava.runtime.storage import atomic_folder, is_part, write_bytes, write_json

WORK_DIR = ".work"
COST_FILE = "curation-cost.json"
_PUBLISHED = "published"
_CONTENT_DIRS = (MEDIA_DIR, THUMBNAIL_DIR)
_TABLES = (SOURCES_NAME, IGNORED_NAME, RECORD_FILE, MANIFEST_NAME)


@dataclass
class FolderCuration:
    """Curates the sources of a configuration into `out`; run again, it does what is new."""

    plan: CurationPlan
    out: Path
    progress: Progress
    log: Callable[[str], None] = print

    def run(self, source: SourceConfig) -> Curated:
        """Scan, curate, publish.

        Raises:
            InputError: nothing usable in the source, nothing kept, or another process curates into this folder.
        """
        probe_sources(source)
        work = self.out / WORK_DIR
        work.mkdir(parents=True, exist_ok=True)
        with _locked(work / "lock", self.out):
            listing = scan_sources(source, work / "sources-read", self.progress)
            for line in listing.lines():
                self.log(line)
            curated = Curation(self.plan, work, self.progress, self.log).run(listing.sources, listing.media_roots)
            published = work / _PUBLISHED
            with atomic_folder(published) as folder:
                publish(curated, self.plan, folder, listing.sources, listing.ignored)
            _install(published, self.out)
            shutil.rmtree(published)
            write_json(self.out / COST_FILE, {"cpu_s": curated.cpu_s, "worked": curated.worked})
        return curated


def _install(published: Path, out: Path) -> None:
    """Bring a published folder into place under a reader's eyes: files first, the manifest, then what is stale."""
    for name in _CONTENT_DIRS:
        for path in sorted((published / name).glob("*")):
            target = out / name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                target.unlink()
            path.rename(target)
    _replace_folder(published / SIGNATURES_DIR, out / SIGNATURES_DIR)
    for name in _TABLES:
        write_bytes(out / name, (published / name).read_bytes())
    named = _named_files(out)
    for name in _CONTENT_DIRS:
        for path in (out / name).glob("*"):
            if path.relative_to(out).as_posix() not in named or is_part(path):
                path.unlink()


def _named_files(out: Path) -> set[str]:
    from nava.artifacts.clip_manifest import read_clips

    columns = ["video_path", "audio_path", "audio_48k_path", "thumbnail_path"]
    table = read_clips(out).select(columns)
    return {value for column in columns for value in table[column].to_pylist() if value}


def _replace_folder(source: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    source.rename(target)


@contextmanager
def _locked(path: Path, out: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process, however it ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another process is curating into {out}; wait for it or choose another folder") from error
        yield
