"""Which stages a configuration asks for, in order, and the identities by which their work is found again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Any

from nava.artifacts.clip_manifest import ClipRow, Reason, Status
from nava.config.annotation import AnnotationConfig
from nava.config.composition import identity_values
from nava.config.curation import CurationConfig
from nava.config.speech import SpeechConfig
from nava.data.annotation.stages import annotation_stages
from nava.data.curation.bars import BarsStage
from nava.data.curation.filters import FilterStage
from nava.data.curation.scores import PictureStage, SoundStage
from nava.data.curation.source_stages import IntegrityStage, SceneStage, TranscodeStage, WindowStage
from nava.data.curation.split import SplitStage
from nava.data.curation.stage import Clip, SourceTask, Stage, check_stages, stage_versions
from nava.data.curation.subsets import SubsetStage
from nava.data.curation.synchrony import SynchronyStage
from nava.data.curation.text import TextStage
from nava.data.duplicates.decision import find_duplicates
from nava.data.duplicates.siblings import PlacedClip, sibling_pairs
from nava.data.duplicates.signature import Signature
from nava.data.duplicates.signature_shards import SHARD_NAME, SignatureShards
from nava.data.duplicates.signature_stage import SignatureStage
from nava.data.speech.stages import speech_stages
from nava.runtime.hashing import sha256_json

_KEY_DIGITS = 16
DUPLICATES, DUPLICATES_VERSION = "duplicates", "3"


@dataclass
class CurationPlan:
    """The stages of a run.

    Attributes:
        curation, speech, annotation: sections of the configuration.
        extra: further stages that look at clips, after ours; `nava.data.curation.nemo_adapter` makes some.
    """

    curation: CurationConfig
    speech: SpeechConfig
    annotation: AnnotationConfig
    extra: Sequence[Stage] = ()

    def __post_init__(self) -> None:
        self.look = [*look_stages(self.curation), *self.extra]
        self.filters = FilterStage(self.curation.filters, self.curation.text)
        self.words: list[Stage] = [*speech_stages(self.speech, self.annotation), *annotation_stages(self.annotation)]
        check_stages([*self.look, self.filters, *self.words])
        self.look_key = self._look_key()

    @property
    def versions(self) -> dict[str, str]:
        """Every stage and its version, as records carry them."""
        last = {stage.name: stage.version for stage in (SplitStage, SubsetStage)}
        stages = [*self.look, self.filters, *self.words]
        return stage_versions(stages) | {DUPLICATES: DUPLICATES_VERSION} | last

    @property
    def config_sha256(self) -> str:
        """Hash of every setting that can change the result."""
        return sha256_json([identity_values(part) for part in (self.curation, self.speech, self.annotation)])

    def _look_key(self) -> str:
        """Identity of what is measured. Thresholds of filters, duplicates and subsets are not part of it: they may move
        without measuring again.
        """
        config = self.curation
        embedding = [config.duplicates.embedding, config.duplicates.weights]
        return self._key(self.look, config.clip, config.integrity, config.scenes, config.text, config.scores, embedding)

    def words_key(self, clip_ids: Sequence[str]) -> str:
        """Identity of what the stages of words make of these clips of a source."""
        return self._key(self.words, self.speech, self.annotation, list(clip_ids))

    @staticmethod
    def _key(stages: Sequence[Stage], *parts: Any) -> str:
        values = [identity_values(part) for part in parts]
        return sha256_json([stage_versions(stages), values])[:_KEY_DIGITS]

    def drop_duplicates(self, tasks: Sequence[SourceTask]) -> None:
        """Close the open clips that repeat a better one, of this corpus or of an earlier one."""
        opened = {clip.row["clip_id"]: clip for task in tasks for clip in task.open_clips}
        if not opened:
            return
        shards = [task.folder / SHARD_NAME for task in tasks if task.open_clips]
        signatures = SignatureShards(shards, frozenset(opened))
        quality = {clip_id: clip_quality(clip.row) for clip_id, clip in opened.items()}
        config = self.curation.duplicates
        findings = find_duplicates(signatures, quality, config, config.against)
        for clip_id, cluster in findings.clusters.items():
            opened[clip_id].row["cluster"] = cluster
        for pair in findings.pairs:
            where = f" of the corpus at {pair.keeper_index}" if pair.keeper_index else ""
            if pair.keeper_id in opened:
                where = f" of {opened[pair.keeper_id].row['src_path']}"
            agree = f"{where} (cosine {pair.cosine:.3f}, frames and sound agree)"
            _repeats(opened[pair.clip_id], pair.keeper_id, pair.cosine, agree)
        confirmed = [(pair.clip_id, pair.keeper_id) for pair in findings.pairs if pair.keeper_id in opened]
        self._drop_siblings(opened, confirmed, signatures)

    def _drop_siblings(
        self, opened: Mapping[str, Clip], confirmed: Sequence[tuple[str, str]], signatures: Mapping[str, Signature]
    ) -> None:
        """Clips of copied sources whose scenes were cut a few frames apart."""
        keepers = {keeper for _, keeper in confirmed}
        placed = {name: PlacedClip(name, clip.row["src_id"], clip.row["t0_us"] / 1e6) for name, clip in opened.items()}
        kept = [placed[name] for name, clip in opened.items() if clip.is_open and clip.has_picture]
        known = [(placed[one], placed[other]) for one, other in confirmed]
        limit = self.curation.duplicates.max_hash_distance
        for one, other, cosine in sibling_pairs(known, kept, signatures, limit):
            better, worse = sorted((one, other), key=lambda name: (clip_quality(opened[name].row), name), reverse=True)
            # A keeper stays, and a clip that was just dropped keeps nothing: no chains.
            if worse in keepers or not (opened[worse].is_open and opened[better].is_open):
                continue
            keepers.add(better)
            source = opened[better].row["src_path"]
            agree = f" of {source} (cosine {cosine:.3f}, frames agree, as do other clips of the two sources)"
            _repeats(opened[worse], better, cosine, agree)

    def finish(self, rows: Sequence[ClipRow]) -> None:
        """What is still open is kept; splits, subsets and the versions that made the records."""
        versions = sorted(self.versions.items())
        created_by = f"nava {installed_version('nava')}"
        for row in rows:
            if not row.get("status"):
                row |= {"status": str(Status.KEPT), "stage": SubsetStage.name}
            row |= {"stage_versions": versions, "created_by": created_by, "split": None, "subsets": None}
        kept = [row for row in rows if row["status"] == Status.KEPT]
        splits = SplitStage(self.curation.heldout_share).process({row["src_sha256"]: row["modality"] for row in kept})
        subsets = SubsetStage(self.curation.subsets)
        for row in rows:
            row["split"] = str(splits[row["src_sha256"]]) if row["src_sha256"] in splits else None
        for row in kept:
            row["subsets"] = subsets.process(row)


def _repeats(clip: Clip, keeper: str, cosine: float, agree: str) -> None:
    clip.close(Reason.NEAR_DUPLICATE, f"repeats {keeper}{agree}", DUPLICATES)
    clip.row |= {"dup_of": keeper, "dup_cosine": cosine}


def look_stages(config: CurationConfig) -> list[Stage]:
    """The stages that look at a source alone, from its bytes to scored clips."""
    clip, limits = config.clip, config.integrity
    cutting: list[Stage] = [
        IntegrityStage(clip, limits),
        SceneStage(clip, limits, config.scenes),
        WindowStage(clip, limits, config.scenes),
        BarsStage(clip, limits),
        TextStage(clip, limits, config.text),
        TranscodeStage(clip, limits),
    ]
    # What clips are called depends on what cuts and writes them, not on what judges them.
    identity = [stage_versions(cutting), *(identity_values(part) for part in (clip, config.scenes))]
    if config.text.crop:
        identity.append(identity_values(config.text))
    cutting[2] = WindowStage(clip, limits, config.scenes, sha256_json(identity)[:_KEY_DIGITS])
    return [
        *cutting,
        PictureStage(clip, limits),
        SoundStage(config.scores.silence_dbfs),
        SynchronyStage(clip, limits, config.scores),
        SignatureStage(config.duplicates),
    ]


def clip_quality(row: ClipRow) -> tuple[float, ...]:
    """What makes a clip the better one of two: more source pixels, then a sharper picture, then fewer errors."""
    pixels = (row.get("source_width") or 0) * (row.get("source_height") or 0)
    return float(pixels), row.get("sharpness") or 0.0, -float(row.get("packet_errors") or 0)
