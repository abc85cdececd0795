"""Which clips micro-batches draw from: by split, modality and task."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nava.artifacts.latent_shard import LatentEntry, video_tokens
from nava.config.training import TrainingConfig
from nava.data.loader.tasks import Modality, Task
from nava.data.shards import LatentSource
from nava.runtime.errors import InputError

# What decides whether clips can be stacked, as text that sorts.
Bucket = str


@dataclass(frozen=True)
class PooledClip:
    """A clip as a task sees it.

    Attributes:
        bucket: equal for clips that can be stacked.
        tokens: video and audio tokens.
    """

    clip_id: str
    bucket: Bucket
    tokens: int


def clip_pools(source: LatentSource, split: str, soundtracks_as_audio: bool) -> dict[Modality, list[str]]:
    """Sorted ids of the clips of a split that micro-batches of each modality draw from.

    Args:
        source: the latents.
        split: ``train`` or ``heldout``.
        soundtracks_as_audio: whether the soundtracks of audio-video clips also count as audio.
    """
    paired = [entry.clip_id for entry in source.select(split, "av")]
    audio = [entry.clip_id for entry in source.select(split, "audio")]
    return {"av": paired, "audio": sorted(audio + paired) if soundtracks_as_audio else audio}


class StagePools:
    """The training clips of a stage: its curated audio-video clips as often as the stage says, all others once.

    Raises:
        InputError: the stage wants a task for which there is no clip.
    """

    def __init__(self, source: LatentSource, config: TrainingConfig, stage: int) -> None:
        settings = config.stages()[stage - 1]
        ids = clip_pools(source, "train", config.soundtracks_as_audio)
        if subset := settings.subset:
            ids = {
                kind: [clip for clip in clips if subset in source.entries[clip].subsets] for kind, clips in ids.items()
            }
        if tags := set(settings.curated_tags):
            curated = [clip for clip in ids["av"] if tags & set(source.entries[clip].tags)]
            ids["av"] = sorted(ids["av"] + curated * (settings.curated_repeats - 1))
        voiced = [clip for clip in ids["av"] if source.entries[clip].voice_slots]
        self._clips = {
            "audio": _pooled(ids["audio"], source, with_video=False),
            "av": _pooled(ids["av"], source, with_video=True),
            "voice": _pooled(voiced, source, with_video=True),
        }
        of = f" in subset {settings.subset}" if settings.subset else ""
        _require(stage, settings.audio_only, ids["audio"], "audio", of)
        _require(stage, settings.audio_video, ids["av"], "audio-video", of)
        if settings.audio_video and settings.tasks.tia2av and not voiced:
            raise InputError(
                f"stage {stage} trains with reference voices (tasks.tia2av), but no training clip has any: set "
                f"conditioning.timbre_encoder and encode again, or set training.stage{stage}.tasks.tia2av=0"
            )

    def __getitem__(self, name: str) -> Sequence[PooledClip]:
        """The clips of a pool, see ``pool_name``; a clip that is to be drawn more often is there more often."""
        return self._clips[name]


def pool_name(task: Task) -> str:
    """The pool that a task draws from: ``audio``, ``av``, or ``voice`` for audio-video clips with a reference voice."""
    return "voice" if task.needs_voice else task.modality


def _require(stage: int, share: int, ids: Sequence[str], kind: str, of: str) -> None:
    if share and not ids:
        raise InputError(
            f"stage {stage} trains on {kind} clips, but the training split has none{of}; "
            f"add such sources or set training.stage{stage}.audio_only and audio_video"
        )


def _pooled(ids: Iterable[str], source: LatentSource, with_video: bool) -> list[PooledClip]:
    return [_clip(source.entries[clip], with_video) for clip in ids]


def _clip(entry: LatentEntry, with_video: bool) -> PooledClip:
    video = entry.video_shape if with_video else None
    bucket = f"{video or ''}{entry.audio_shape}{entry.text_shape}"
    return PooledClip(entry.clip_id, bucket, video_tokens(video) + entry.audio_shape[0])
