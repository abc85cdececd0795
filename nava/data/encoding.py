"""The encode step: a corpus version becomes latent shards."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from nava.config.conditioning import ConditioningConfig
from nava.config.encoding import EncodingConfig
from nava.config.latents import LatentsConfig
from nava.runtime.handle import Handle
from nava.runtime.step import KEY_DIGITS, Step
from nava.runtime.storage import is_part

if TYPE_CHECKING:
    from nava.data.clip_encoder import Corpus


def encode(step: Step, corpus: Handle) -> Handle:
    """Fit the codecs on training clips, encode every kept clip, measure the reconstruction.

    The shards lie under ``<run>/shards/<key>``. A killed step finds its codecs and finished shards there again.

    Args:
        step: sections ``latents``, ``conditioning`` and ``encoding``.
        corpus: handle of kind ``corpus_version``.

    Returns:
        Handle of kind ``latent_shards``; meta has counts, codec identities and reconstruction figures.

    Raises:
        InputError: no usable clip, a clip that the codecs cannot encode, or media that differ from their manifest.
    """
    import torch

    from nava.artifacts.latent_shard import CODEC_FOLDER, KIND, write_index, write_reconstruction
    from nava.data import clip_encoder

    corpus.require("corpus_version")
    latents, config = step.section(LatentsConfig), step.section(EncodingConfig)
    folder = step.run_dir / "shards" / step.key[:KEY_DIGITS]
    _remove_parts(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        clips = _kept_clips(corpus, config.decode_workers)
        ready = (folder / CODEC_FOLDER).is_dir()
        step.log("codecs found from an earlier attempt" if ready else "fitting the codecs on training clips")
        encoders = clip_encoder.fitted_encoders(folder, clips, latents, step.section(ConditioningConfig), step.seed)
        plans = clip_encoder.plan_corpus(clips, encoders.codecs, config.clips_per_shard)
        entries = [
            entry
            for plan in step.progress(plans, label="latent shards")
            for entry in clip_encoder.encode_shard(folder, plan, clips, encoders, config)
        ]
        report = clip_encoder.measure_reconstruction(clips, encoders.codecs, config.reconstruction_clips, step.seed)
    finally:
        torch.set_num_threads(threads)
    write_reconstruction(folder, report)
    write_index(folder, entries)
    cut = sum(entry.dropped_words > 0 for entry in entries)
    if cut:
        step.log(f"{cut} captions are longer than {encoders.text.rows} words; the text encoder ignores what follows")
    return Handle.of_path(
        KIND,
        folder,
        clips=len(entries),
        shards=len(plans),
        by_split=dict(sorted(Counter(f"{entry.split}/{entry.modality}" for entry in entries).items())),
        by_bucket=dict(sorted(Counter(entry.bucket for entry in entries).items())),
        truncated_captions=cut,
        reconstruction=report,
    )


def _remove_parts(folder: Path) -> None:
    """Remove what a killed attempt had begun to write; the step's lock keeps other attempts out."""
    for path in [path for path in folder.rglob("*") if is_part(path)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _kept_clips(corpus: Handle, decode_workers: int) -> Corpus:
    from nava.artifacts.clip_manifest import kept_rows
    from nava.data.clip_encoder import Corpus
    from nava.data.corpus.repository import checkout

    folder = checkout(corpus)
    return Corpus(folder, kept_rows(folder), decode_workers)
