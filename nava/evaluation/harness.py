"""The evaluation from end to end: plan, make and measure the clips, losses, metrics, statements, the result."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nava.artifacts import evaluation_result
from nava.artifacts.evaluation_result import EvaluationResult, GalleryClip, MetricEntry, Statement
from nava.config.evaluation import EvaluationConfig
from nava.config.generation import GenerationConfig
from nava.data.clip_encoder import Corpus, Encoders
from nava.data.shards import LatentShards
from nava.evaluation.evidence import Evidence, Sample
from nava.evaluation.losses import loss_values
from nava.evaluation.makers import CodecClips, ModelClips, RealClips, without_alignment
from nava.evaluation.metric import evaluate_metric
from nava.evaluation.metrics.catalogue import all_metrics
from nava.evaluation.metrics.loss import LossValues
from nava.evaluation.plan import (
    CODEC,
    GENERATED,
    GUIDED,
    LABELS,
    NO_ALIGN,
    REAL,
    SCORED_FAMILY,
    UNTRAINED,
    Family,
    HeldoutClip,
    Request,
    choose_families,
    family_of,
    plan_requests,
)
from nava.evaluation.records import loss_records, sample_records
from nava.evaluation.rendering import Batch, MakeClips, Renderer, batches
from nava.evaluation.statements import family_statements
from nava.evaluation.vocabulary import Vocabulary, learn_vocabulary
from nava.generation.pipeline import Generator
from nava.latents.length import VIDEO_FPS
from nava.runtime.storage import atomic_folder

PROTOCOL = "nava.embedded-eval.v1"
Progress = Callable[[Iterable[list[Sample]], int], Iterable[list[Sample]]]
"""Passes the batches on as they are done, of which there are so many, and shows how far it is."""


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, with what, and where the work is kept.

    Attributes:
        trained: the evaluated model, in eval mode.
        untrained: a new model of the same shape.
        corpus: the media of the corpus; without it there are no real clips to compare with.
        checkpoint: identity of what is evaluated, for the summary.
        workdir: finished batches are found here by a second attempt.
    """

    trained: nn.Module
    untrained: nn.Module
    shards: LatentShards
    encoders: Encoders
    corpus: Corpus | None
    config: EvaluationConfig
    generation: GenerationConfig
    seed: int
    checkpoint: dict[str, str]
    shards_sha256: str
    workdir: Path

    def run(self, progress: Progress, log: Callable[[str], None]) -> Path:
        """Evaluate; returns the result's folder, complete."""
        clips, split = heldout_clips(self.shards, log)
        families = choose_families(
            clips, self.config, (family_of(entry.tags) for entry in self.shards.select(None, "av"))
        )
        vocabulary = self._vocabulary(clips)
        requests = plan_requests(families, vocabulary.attributes, self.config, self.seed, self.corpus is not None)
        renderer = Renderer(self._makers(clips), self.workdir, self.config.gallery_zoom)
        plan = list(batches(requests, self.generation.batch_size))
        made = {
            sample.request: sample
            for samples in progress(self._render(renderer, plan), len(plan))
            for sample in samples
        }
        evidence = Evidence(families, [made[request] for request in requests], vocabulary, VIDEO_FPS)
        losses = self._losses(clips)
        metrics = self._metrics(evidence, losses, split)
        statements = [
            *_split_statement(split, clips),
            *family_statements(families, metrics, self.config.min_learned_gap),
        ]
        result = self._result(evidence, split, metrics, statements)
        folder = self.workdir / "result"
        with atomic_folder(folder) as part:
            for request in requests:
                if request.gallery:
                    _copy(renderer.clip_path(request), part / _gallery_path(request))
            records = [*sample_records(evidence), *loss_records(losses, {clip.clip_id: clip for clip in clips})]
            evaluation_result.write(part, result, records)
        return folder

    def _render(self, renderer: Renderer, plan: Sequence[Batch]) -> Iterator[list[Sample]]:
        # Many small operations gain little from several threads each, and with them sums would depend on the machine.
        pool = ThreadPoolExecutor(self.config.workers, initializer=torch.set_num_threads, initargs=(1,))
        try:
            yield from pool.map(renderer.render, plan)
        finally:
            pool.shutdown(cancel_futures=True)

    def _makers(self, clips: Sequence[HeldoutClip]) -> dict[str, MakeClips]:
        makers: dict[str, MakeClips] = {CODEC: CodecClips(self.shards, self.encoders.codecs)}
        if self.corpus is not None:
            makers[REAL] = RealClips(self.corpus, self.encoders.codecs)
        if clips:
            trained, untrained = (self._generator(model, clips[0]) for model in (self.trained, self.untrained))
            makers[GUIDED] = ModelClips(trained, self.generation)
            makers[NO_ALIGN] = ModelClips(trained, without_alignment(self.generation))
            makers[UNTRAINED] = ModelClips(untrained, self.generation)
        return makers

    def _generator(self, model: nn.Module, clip: HeldoutClip) -> Generator:
        entry = self.shards.entries[clip.clip_id]
        assert entry.video_shape is not None
        channels, frames, height, width = entry.video_shape
        length, audio_channels = entry.audio_shape
        return Generator(
            model=model,
            text_encoder=self.encoders.text,
            video_codec=self.encoders.codecs.video,
            audio_codec=self.encoders.codecs.audio,
            video_shape=(channels, frames, height, width),
            audio_shape=(length, audio_channels),
            fps=VIDEO_FPS,
        )

    def _vocabulary(self, clips: Sequence[HeldoutClip]) -> Vocabulary:
        """Measured on training clips, which no metric is computed on."""
        codec = CodecClips(self.shards, self.encoders.codecs)
        bucket = self.shards.entries[clips[0].clip_id].bucket if clips else ""
        training = [
            entry
            for entry in self.shards.select("train", "av")
            if entry.bucket == bucket and family_of(entry.tags) == SCORED_FAMILY
        ]
        rate = self.encoders.codecs.audio.sample_rate_hz
        return learn_vocabulary(training, codec.frames, codec.samples, rate, self.config.word_clips)

    def _losses(self, clips: Sequence[HeldoutClip]) -> LossValues:
        ids = sorted(clip.clip_id for clip in clips)[: self.config.validation_clips]
        scored = sorted(clip.clip_id for clip in clips if family_of(clip.tags) == SCORED_FAMILY)
        return loss_values(
            self.trained,
            self.untrained,
            self.shards,
            ids,
            (scored or ids)[: self.config.validation_clips],
            sigmas=self.config.validation_sigmas,
            sync_sigma=self.config.sync_loss_sigma,
        )

    def _metrics(self, evidence: Evidence, losses: LossValues, split: str) -> list[MetricEntry]:
        entries = []
        for metric in all_metrics(evidence, losses):
            # Figures on training clips decide nothing.
            judged = metric if split == "heldout" else replace(metric, primary=False)
            entries.append(evaluate_metric(judged, self.config, self.seed))
        return entries

    def _result(
        self, evidence: Evidence, split: str, metrics: list[MetricEntry], statements: list[Statement]
    ) -> EvaluationResult:
        used = dict.fromkeys(sample.request.variant for sample in evidence.samples)
        return EvaluationResult(
            protocol=PROTOCOL,
            seed=self.seed,
            checkpoint=self.checkpoint,
            shards_sha256=self.shards_sha256,
            sampler={name: getattr(self.generation, name) for name in ("solver", "steps", "shift")},
            variants=[self._variant(name) for name in used],
            families=[_family_facts(family, split) for family in evidence.families],
            metrics=metrics,
            statements=statements,
            gallery=[_gallery_clip(sample) for sample in evidence.samples if sample.request.gallery],
        )

    def _variant(self, name: str) -> dict[str, Any]:
        config = without_alignment(self.generation) if name == NO_ALIGN else self.generation
        guidance = {"video": asdict(config.video), "audio": asdict(config.audio)} if name in GENERATED else None
        return {"name": name, "label": LABELS[name], "guidance": guidance}


def heldout_clips(shards: LatentShards, log: Callable[[str], None]) -> tuple[list[HeldoutClip], str]:
    """Held-out clips with picture, sound and a caption, and their split.

    Training clips where none are held out. Only clips of the commonest size: a batch has one size.
    """
    for split in ("heldout", "train"):
        entries = [entry for entry in shards.select(split, "av") if entry.caption.strip()]
        if not entries:
            continue
        bucket, _ = min(Counter(entry.bucket for entry in entries).items(), key=lambda item: (-item[1], item[0]))
        kept = [entry for entry in entries if entry.bucket == bucket]
        if len(kept) < len(entries):
            log(f"{len(entries) - len(kept)} of {len(entries)} {split} clips are left out: not of size {bucket}")
        return [HeldoutClip(entry.clip_id, entry.caption, entry.tags) for entry in kept], split
    return [], "heldout"


def _split_statement(split: str, clips: Sequence[HeldoutClip]) -> Iterator[Statement]:
    if not clips:
        yield Statement(
            "corpus", None, "The corpus has no captioned clips with picture and sound: nothing was generated."
        )
    elif split != "heldout":
        text = "The corpus is too small to hold clips out: all figures are on training clips and decide nothing."
        yield Statement("corpus", None, text)


def _family_facts(family: Family, split: str) -> dict[str, Any]:
    evaluated = len(family.clips)
    return {
        "name": family.name,
        "split": split,
        "available": family.available,
        "evaluated": evaluated,
        "scored": family.scored,
    }


def _gallery_clip(sample: Sample) -> GalleryClip:
    request = sample.request
    note = LABELS[request.variant]
    if request.changed:
        note = f"same noise, {request.attribute} changed from {request.changed[0]} to {request.changed[1]}"
    seed = request.seed if request.variant in GENERATED else None
    path = _gallery_path(request).as_posix()
    return GalleryClip(path, request.prompt, seed, request.variant, request.family, request.clip_id, note)


def _gallery_path(request: Request) -> Path:
    return Path(evaluation_result.CLIPS) / f"{request.sample_id}.mp4"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
