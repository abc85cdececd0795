"""Which clips are made: held-out prompts by family, the variants of each, and which of them are kept to be looked at.

All variants of a prompt start from the same noise, so that their differences are paired.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nava.config.evaluation import EvaluationConfig
from nava.evaluation.captions import Attribute, named_word, swap_word

GUIDED, NO_ALIGN, UNTRAINED, REAL, CODEC = "guided", "no_align", "untrained", "real", "codec"
GENERATED = (GUIDED, NO_ALIGN, UNTRAINED)
LABELS = {
    GUIDED: "generated",
    NO_ALIGN: "generated, alignment guidance off",
    UNTRAINED: "untrained model",
    REAL: "real held-out clip",
    CODEC: "real clip through the codecs",
}
SCORED_FAMILY = "flash"
"""The family whose synchrony the gate looks at: its events are seen as brightness, which needs no detector."""
OTHER_FAMILY = "other"


@dataclass(frozen=True)
class HeldoutClip:
    """A held-out clip with picture and sound, as the index of the shards describes it; the first tag is its family."""

    clip_id: str
    caption: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """A family of clips: how many there are to evaluate on, and those that are."""

    name: str
    available: int
    clips: tuple[HeldoutClip, ...]
    scored: bool


@dataclass(frozen=True)
class Request:
    """One clip to make or to read.

    ``words`` is what the prompt says, by attribute. In a word swap, ``attribute`` and ``changed`` name the word that
    differs from the clip's own caption. ``gallery`` keeps the clip as an MP4.
    """

    clip_id: str
    family: str
    variant: str
    prompt: str
    seed: int
    words: tuple[tuple[str, str], ...] = ()
    attribute: str = ""
    changed: tuple[str, str] | None = None
    gallery: bool = False

    @property
    def sample_id(self) -> str:
        """Unique in an evaluation, and a file name."""
        return "-".join(part for part in (self.clip_id, self.variant, self.attribute) if part)


def noise_seed(seed: int, clip_id: str) -> int:
    """The seed of a prompt's noise: the same in every variant, whatever else is evaluated."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{clip_id}".encode()).digest()[:4], "big") >> 1


def family_of(tags: Sequence[str]) -> str:
    """The family of a clip: the scored one if it is among the tags, else the first tag."""
    if SCORED_FAMILY in tags:
        return SCORED_FAMILY
    return tags[0] if tags else OTHER_FAMILY


def choose_families(clips: Sequence[HeldoutClip], config: EvaluationConfig, known: Iterable[str] = ()) -> list[Family]:
    """The scored family first, then the largest others, each with its first clips in the order of their ids.

    Families that are ``known`` but have no clip among these are listed without any.
    """
    ordered = sorted(clips, key=lambda clip: clip.clip_id)
    counts = Counter(dict.fromkeys(known, 0))
    counts.update(family_of(clip.tags) for clip in ordered)
    names = sorted(counts, key=lambda name: (name != SCORED_FAMILY, -counts[name], name))[: config.max_families]
    families = []
    for name in names:
        scored = name == SCORED_FAMILY
        members = [clip for clip in ordered if family_of(clip.tags) == name]
        limit = config.scored_clips if scored else config.other_clips
        families.append(Family(name, counts[name], tuple(members[:limit]), scored))
    return families


def plan_requests(
    families: Sequence[Family], attributes: Sequence[Attribute], config: EvaluationConfig, seed: int, with_real: bool
) -> list[Request]:
    """Every clip of the evaluation.

    Baselines and word swaps are for the scored family; the others are generated and compared with their real clips.
    Without the media of the corpus the codecs' round trip stands for the real clips.
    """
    shown = _shown_clips(families, config.gallery_clips)
    requests = []
    for family in families:
        reference = REAL if with_real else CODEC
        variants = tuple(dict.fromkeys((*GENERATED, CODEC, reference))) if family.scored else (GUIDED, reference)
        first = family.clips[0].clip_id if family.clips else ""
        for variant in variants:
            for clip in family.clips:
                # The first prompt of each family is shown in every variant, side by side.
                gallery = clip.clip_id in shown and (variant == GUIDED or clip.clip_id == first)
                requests.append(_request(clip, family, variant, attributes, seed, gallery))
        if family.scored:
            requests += [
                request
                for attribute in attributes
                for request in _swaps(family, attribute, attributes, config.swap_clips, seed)
            ]
    return requests


def _request(
    clip: HeldoutClip, family: Family, variant: str, attributes: Sequence[Attribute], seed: int, gallery: bool
) -> Request:
    named = {attribute.name: named_word(clip.caption, clip.tags, attribute) for attribute in attributes}
    words = tuple((name, word) for name, word in named.items() if word is not None)
    noise = noise_seed(seed, clip.clip_id)
    return Request(clip.clip_id, family.name, variant, clip.caption, noise, words, gallery=gallery)


def _swaps(
    family: Family, attribute: Attribute, attributes: Sequence[Attribute], limit: int, seed: int
) -> list[Request]:
    requests: list[Request] = []
    for clip in family.clips:
        swapped = swap_word(clip.caption, clip.tags, attribute, turn=len(requests))
        if swapped is None or len(requests) == limit:
            continue
        prompt, old, new = swapped
        original = _request(clip, family, GUIDED, attributes, seed, gallery=not requests)
        words = tuple((name, new if name == attribute.name else word) for name, word in original.words)
        requests.append(replace(original, prompt=prompt, words=words, attribute=attribute.name, changed=(old, new)))
    return requests


def _shown_clips(families: Sequence[Family], limit: int) -> set[str]:
    """Half of the gallery from the first family, the rest from the others in turn, then whatever is left."""
    if not families:
        return set()
    head, *others = [list(family.clips) for family in families]
    turns = [clips[i] for i in range(max(map(len, others), default=0)) for clips in others if i < len(clips)]
    half = (limit + 1) // 2 if turns else limit
    ordered = head[:half] + turns[: limit - min(half, len(head))]
    ordered += head[half : half + limit - len(ordered)]
    return {clip.clip_id for clip in ordered[:limit]}
