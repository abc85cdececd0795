"""The encode step: a corpus version becomes latent shards."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nava.config.conditioning import ConditioningConfig
from nava.config.encoding import EncodingConfig
from nava.config.latents import LatentsConfig
from nava.runtime.handle import Handle
from nava.runtime.progress import Progress
from nava.runtime.step import KEY_DIGITS, Step
from nava.runtime.storage import is_part

if TYPE_CHECKING:
    from nava.artifacts.latent_shard import LatentEntry
    from nava.data.clip_encoder import Corpus, Encoders
    from nava.data.shards import ShardPlan


@dataclass(frozen=True)
class Encoding:
    """What the latents of a corpus depend on, and whom to tell how far it is."""

    latents: LatentsConfig
    conditioning: ConditioningConfig
    config: EncodingConfig
    seed: int
    progress: Progress
    log: Callable[[str], None]


def encode(step: Step, corpus: Handle) -> Handle:
    """Fit the codecs on training clips, encode every kept clip, measure the reconstruction.

    The shards lie under ``<run>/shards/<key>``. A killed step finds its codecs and finished shards there again. How
    many processes encode changes nothing of the result.

    Args:
        step: sections ``latents``, ``conditioning`` and ``encoding``.
        corpus: handle of kind ``corpus_version``.

    Returns:
        Handle of kind ``latent_shards``; meta has counts, codec identities and reconstruction figures.

    Raises:
        InputError: no usable clip, a clip that the codecs cannot encode, or media that differ from their manifest.
    """
    from nava.data.corpus.repository import checkout

    folder = step.run_dir / "shards" / step.key[:KEY_DIGITS]
    sections = (step.section(LatentsConfig), step.section(ConditioningConfig), step.section(EncodingConfig))
    encoding = Encoding(*sections, step.seed, step.progress, step.log)
    facts = encode_clips(checkout(corpus.require("corpus_version")), folder, encoding)
    return Handle.of_path("latent_shards", folder, **facts)


def encode_clips(clips_folder: Path, folder: Path, encoding: Encoding) -> dict[str, object]:
    """Encode the kept clips of a curated or checked-out folder into shards in ``folder``; returns facts for people.

    Raises:
        InputError: see ``encode``.
    """
    import torch

    from nava.artifacts.clip_manifest import kept_rows
    from nava.artifacts.latent_shard import CODEC_FOLDER, write_index, write_reconstruction
    from nava.data import clip_encoder, shard_encoder

    config, latents, seed = encoding.config, encoding.latents, encoding.seed
    _remove_parts(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        clips = clip_encoder.Corpus(clips_folder, kept_rows(clips_folder), config.decode_workers)
        ready = (folder / CODEC_FOLDER).is_dir()
        encoding.log("codecs found from an earlier attempt" if ready else "fitting the codecs on training clips")
        encoders = clip_encoder.fitted_encoders(folder, clips, latents, encoding.conditioning, seed)
        plans = shard_encoder.plan_corpus(clips, encoders, config)
        for _ in encoding.progress(_written(encoding, folder, plans, clips, encoders), len(plans), "latent shards"):
            pass
        entries = [
            entry for plan in plans for entry in shard_encoder.encode_shard(folder, plan, clips, encoders, config)
        ]
        report = clip_encoder.measure_reconstruction(clips, encoders.codecs, config.reconstruction_clips, seed)
    finally:
        torch.set_num_threads(threads)
    write_reconstruction(folder, report)
    write_index(folder, entries)
    facts = _account(encoding.log, clips, entries, encoders)
    return {"shards": len(plans), "reconstruction": report} | facts


def _written(
    encoding: Encoding, folder: Path, plans: Sequence[ShardPlan], clips: Corpus, encoders: Encoders
) -> Iterator[ShardPlan]:
    """The shards as they are written, by this process or by several."""
    from nava.data import shard_encoder

    config = encoding.config
    if config.workers == 1:
        for plan in plans:
            shard_encoder.encode_shard(folder, plan, clips, encoders, config)
            yield plan
        return
    job = shard_encoder.EncodingJob(folder, clips.folder, encoding.latents, encoding.conditioning, config)
    yield from shard_encoder.encode_in_processes(job, plans, clips)


def _account(
    log: Callable[[str], None], clips: Corpus, entries: Sequence[LatentEntry], encoders: Encoders
) -> dict[str, object]:
    """Counts for the handle; what was cut or left out is said in the log as well."""
    cut = sum(entry.dropped_words > 0 for entry in entries)
    if cut:
        log(f"{cut} captions are longer than {encoders.text.rows} words; the text encoder ignores what follows")
    speaking = {str(clip["clip_id"]) for clip in clips.clips if clip.get("speech")}
    voiced = sum(bool(entry.voice_slots) for entry in entries)
    if encoders.timbre is None and speaking:
        log(f"{len(speaking)} clips have speech; their voices are not encoded: conditioning.timbre_encoder is none")
    elif without := sum(entry.clip_id in speaking and not entry.voice_slots for entry in entries):
        log(f"{without} of {len(speaking)} clips with speech have no voices: their text does not mark that speech")
    return {
        "clips": len(entries),
        "by_split": dict(sorted(Counter(f"{entry.split}/{entry.modality}" for entry in entries).items())),
        "by_bucket": dict(sorted(Counter(entry.bucket for entry in entries).items())),
        "truncated_captions": cut,
        "clips_with_speech": len(speaking),
        "clips_with_voices": voiced,
    }


def _remove_parts(folder: Path) -> None:
    """Remove what a killed attempt had begun to write; the step's lock keeps other attempts out."""
    for path in [path for path in folder.rglob("*") if is_part(path)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
