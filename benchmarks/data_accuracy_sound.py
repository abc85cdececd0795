"""Audio tags, speakers and voice activity against who is heard when."""

from __future__ import annotations

from collections import Counter, defaultdict

from benchmarks.data_accuracy_corpus import Clip, Corpus, Span, clip_spans, merge_spans, overlap
from benchmarks.data_accuracy_statistics import Score, share

MIN_SPEECH_SHARE = 0.1  # of a clip: less is no speech, for the truth and for the measurement
_HOP_S = 0.01
_JOIN_S = 0.25  # voice activity bridges pauses as short as those between words
_TAGS = {"music": "music", "singing": "singing", "silent": "silence"}
_INTACT = ("", "shifted", "subtitled", "slightly_damaged")


def true_tag(clip: Clip) -> str:
    """What is heard: the kind of the shot, or how many speak."""
    shot = clip.shot if clip.label.modality == "video" else clip.label.shots[0]
    if shot.kind in _TAGS:
        return _TAGS[shot.kind]
    return ("ambient", "single_speaker", "multi_speaker")[min(clip.speakers, 2)]


def _heard(corpus: Corpus) -> list[Clip]:
    """Clips whose sound was listened to. Copies sound like their originals and are not counted again; a transcript
    beside a file says who speaks when, so that curation need not find out."""
    clips = [*corpus.clips(), *corpus.recordings()]
    return [
        clip
        for clip in clips
        if clip.label.defect in _INTACT
        and not (clip.label.duplicate_of or clip.label.sidecar)
        and clip.row.get("audio_tags") is not None
    ]


def confusion(corpus: Corpus) -> dict[str, Counter[str]]:
    """How often clips of each true tag were given which tags."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in _heard(corpus):
        table[true_tag(clip)]["+".join(sorted(clip.row["audio_tags"])) or "none"] += 1
    return dict(sorted(table.items()))


def score_sound(corpus: Corpus) -> list[Score]:
    """Tags, numbers of speakers, and whether and when somebody speaks."""
    tags: dict[str, list[tuple[bool, str]]] = defaultdict(list)
    for clip in _heard(corpus):
        truth = true_tag(clip)
        outcome = (truth in clip.row["audio_tags"], f"{clip.where} {truth}: {', '.join(clip.row['audio_tags'])}")
        for name in ("", truth):
            tags[name].append(outcome)
    kinds = sorted(name for name in tags if name)
    return [
        share("sound: clips whose tags name what is heard", tags[""]),
        *(share(f"sound: {kind} recognised", tags[kind]) for kind in kinds),
        *_score_speakers(corpus),
        *_score_activity(corpus),
    ]


def _score_speakers(corpus: Corpus) -> list[Score]:
    counted: dict[int, list[tuple[bool, str]]] = defaultdict(list)
    for clip in _heard(corpus):
        if (found := clip.row.get("speakers")) is not None:
            where = f"{clip.where}: {found} speakers, truth {clip.speakers}"
            counted[clip.speakers].append((found == clip.speakers, where))
    every = [outcome for outcomes in counted.values() for outcome in outcomes]
    parts = [share(f"speakers: {number} counted as such", counted[number]) for number in sorted(counted)]
    return [share("speakers: number right", every), *parts]


def _score_activity(corpus: Corpus) -> list[Score]:
    """Speech found at all, by the share of each clip that is speech; and when, in steps of 10 ms, where spans exist."""
    called, there = [], []
    spans_right, spans_found = [0, 0], [0, 0]
    for clip in _heard(corpus):
        length_s = clip.t1_s - clip.t0_s
        truth = sum(end - start for start, end in clip.speech) / length_s
        found = clip.row.get("speech_ratio")
        if found is not None:
            where = f"{clip.where} {true_tag(clip)}: speech {found:.0%}, truth {truth:.0%}"
            if found >= MIN_SPEECH_SHARE:
                called.append((truth >= MIN_SPEECH_SHARE, where))
            if truth >= MIN_SPEECH_SHARE:
                there.append((found >= MIN_SPEECH_SHARE, where))
        if clip.row.get("speech"):
            _count_steps(clip, spans_right, spans_found)
    return [
        share("speech: clips called speech that are", called),
        share("speech: clips with speech called so", there),
        _steps("speech: steps of 10 ms inside spans that are speech", spans_right),
        _steps("speech: steps of 10 ms of speech inside spans", spans_found),
    ]


def _count_steps(clip: Clip, right: list[int], found: list[int]) -> None:
    window = (clip.t0_s, clip.t1_s)
    said = merge_spans([(clip.t0_s + part["t0_s"], clip.t0_s + part["t1_s"]) for part in clip.row["speech"]])
    said, truth = clip_spans(said, window), clip_spans(merge_spans(clip.speech, _JOIN_S), window)
    common = _common(said, truth)
    right[0] += common
    right[1] += _length(said)
    found[0] += common
    found[1] += _length(truth)


def _length(spans: list[Span]) -> int:
    return round(sum(end - start for start, end in spans) / _HOP_S)


def _common(one: list[Span], other: list[Span]) -> int:
    return round(sum(overlap(a, b) for a in one for b in other) / _HOP_S)


def _steps(name: str, counted: list[int]) -> Score:
    """Steps beside each other are not independent, so no interval is claimed: it spans everything."""
    hits, n = counted
    return Score(name, hits / n if n else None, n, 0.0, 1.0)
