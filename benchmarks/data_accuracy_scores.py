"""What curation decided against what is true: broken files, subtitles, duplicates, offsets, and what is dropped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from benchmarks.data_accuracy_corpus import Clip, Corpus, Row, expected, overlap
from benchmarks.data_accuracy_cuts import score_cuts
from benchmarks.data_accuracy_sound import score_sound
from benchmarks.data_accuracy_statistics import Score, share
from nava.data.synthetic.labels import FileLabel

MIN_TEXT_S = 0.3  # text that stands for less in a clip is neither a hit nor a miss
MAX_OFFSET_ERROR_S = 0.08
SYNCHRONOUS_KINDS = ("talk", "dialog", "impact")
SOUND_DEFECTS = ("quiet", "clipped", "silent", "without_audio", "static")
_COMPARED = ("kept", "near_duplicate")
_BROKEN = ("quarantined", "failed")


def score(corpus: Corpus) -> list[Score]:
    """Every figure of the report."""
    parts: tuple[Callable[[Corpus], list[Score]], ...] = (
        score_cuts,
        score_integrity,
        score_subtitles,
        score_duplicates,
        score_synchrony,
        score_spoilt,
        score_sound,
    )
    return [one for part in parts for one in part(corpus)]


def _ending(row: Row) -> str:
    return str(row.get("drop_reason") or row["status"])


def _endings(rows: Sequence[Row]) -> str:
    return ", ".join(sorted({_ending(row) for row in rows})) or "no record"


def score_integrity(corpus: Corpus) -> list[Score]:
    """Broken files end in quarantine with a reason that is right, and no other file does."""
    outcomes: dict[str, list[tuple[bool, str]]] = defaultdict(list)
    for label, rows in corpus.records():
        where = f"{label.path} ({label.detail or 'clean'}): {_endings(rows)}"
        status, reasons = expected(label)
        right = bool(rows) and all(row["status"] == status and row["drop_reason"] in reasons for row in rows)
        if label.defect == "damaged":
            outcomes["damaged"].append((right, where))
        elif status == "quarantined":
            outcomes["undecodable"].append((right, where))
            outcomes[f"undecodable, {label.detail}"].append((right, where))
        else:
            broken = not rows or any(row["status"] in _BROKEN for row in rows)
            outcomes["good"].append((broken, where))
            if label.defect == "slightly_damaged":
                outcomes["slight"].append((broken, where))
    forms = sorted(name for name in outcomes if name.startswith("undecodable, "))
    return [
        share("integrity: undecodable files quarantined with the reason", outcomes["undecodable"], at_least=1.0),
        share("integrity: damaged files quarantined", outcomes["damaged"], at_least=1.0),
        share("integrity: other files quarantined, failed or lost", outcomes["good"], at_most=0.0, wrong=True),
        share("integrity: slightly damaged files quarantined", outcomes["slight"], wrong=True),
        *(share(f"integrity: {name}", outcomes[name]) for name in forms),
    ]


def score_subtitles(corpus: Corpus) -> list[Score]:
    """A clip with text counts as found if it is dropped for its text or kept without it."""
    found, false = [], []
    by_style: dict[str, list[tuple[bool, str]]] = defaultdict(list)
    for clip in corpus.clips():
        if _ending(clip.row) not in ("kept", "near_duplicate", "audio_video_offset", "subtitle_text"):
            continue  # dropped for a reason that comes before the text
        if clip.label.detail == "with_logo":
            continue
        if clip.label.subtitles:
            if clip.text_s >= MIN_TEXT_S:
                hit = (_ending(clip.row) == "subtitle_text" or _is_cut_away(clip), f"{clip.where} {clip.label.detail}")
                found.append(hit)
                by_style[clip.label.detail].append(hit)
            continue
        false.append((_ending(clip.row) == "subtitle_text" or _cropped_for_text(clip.row), clip.where))
    return [
        share("subtitles: found in clips that have them", found, at_least=0.95),
        share("subtitles: found in clips that have none", false, at_most=0.03, wrong=True),
        *(share(f"subtitles: {style}", by_style[style]) for style in sorted(by_style)),
    ]


def _is_cut_away(clip: Clip) -> bool:
    """Whether what is kept of the picture holds none of the text seen in the clip."""
    crop = clip.row.get("crop")
    if crop is None:
        return False
    seen = [part for part in clip.label.subtitles if overlap((part.start_s, part.end_s), (clip.t0_s, clip.t1_s)) > 0]
    rows = [(part.box[1] / clip.label.height, part.box[3] / clip.label.height) for part in seen]
    return all(bottom <= crop["y0"] + 0.01 or top >= crop["y1"] - 0.01 for top, bottom in rows)


def _cropped_for_text(row: Row) -> bool:
    """Whether a band was cut away: what only fits a bucket is cut evenly above and below."""
    crop = row.get("crop")
    return crop is not None and abs(crop["y0"] + crop["y1"] - 1.0) > 0.02


def score_duplicates(corpus: Corpus) -> list[Score]:
    """Clips of copies and their originals, among those that were compared: neither had been dropped before."""
    compared = [clip for clip in corpus.clips() if _ending(clip.row) in _COMPARED]
    group = _groups(compared)
    by_source: dict[str, list[Clip]] = defaultdict(list)
    for clip in compared:
        by_source[clip.label.path].append(clip)
    found, by_change, false = [], defaultdict(list), []
    for clip in compared:
        partners = [other for other in by_source.get(clip.label.duplicate_of, ()) if _shows_the_same(clip, other)]
        if partners:
            same = any(group[clip.row["clip_id"]] == group[other.row["clip_id"]] for other in partners)
            outcome = (same, f"{clip.where} is {clip.label.detail} from {partners[0].where}")
            by_change[clip.label.detail].append(outcome)
            if clip.label.defect == "near_duplicate":
                found.append(outcome)
    by_id = {clip.row["clip_id"]: clip for clip in compared}
    for clip in compared:
        keeper = by_id.get(clip.row.get("dup_of") or "")
        wrong = bool(clip.row.get("dup_of")) and (keeper is None or not _shows_the_same(clip, keeper))
        false.append((wrong, f"{clip.where} called a copy of {keeper.where if keeper else clip.row.get('dup_of')}"))
    return [
        share("duplicates: re-encoded copies found", found, at_least=1.0),
        share("duplicates: clips falsely called copies", false, at_most=0.0, wrong=True),
        *(share(f"duplicates: {change} copies found", by_change[change]) for change in sorted(by_change)),
    ]


def _root(label: FileLabel) -> str:
    return label.duplicate_of or label.path


def _shows_the_same(one: Clip, other: Clip) -> bool:
    """Whether both show the same part of the same original."""
    common = overlap((one.t0_s, one.t1_s), (other.t0_s, other.t1_s))
    return _root(one.label) == _root(other.label) and common >= 0.5 * (one.t1_s - one.t0_s)


def _groups(clips: Sequence[Clip]) -> dict[str, str]:
    """The keeper that each clip ends with."""
    keeper = {clip.row["clip_id"]: clip.row.get("dup_of") for clip in clips}
    group = {}
    for name in keeper:
        end, seen = name, {name}
        while (following := keeper.get(end)) and following not in seen:
            end = following
            seen.add(end)
        group[name] = end
    return group


def score_synchrony(corpus: Corpus) -> list[Score]:
    """Offsets of clips that show talk, dialogue or impacts and whose sound and picture are whole; copies are not
    counted again, nor scenes too short for a clip."""
    clips = [
        clip
        for clip in corpus.clips()
        if clip.shot.kind in SYNCHRONOUS_KINDS
        and clip.label.defect not in SOUND_DEFECTS
        and not clip.label.duplicate_of
        and _ending(clip.row) != "too_short"
    ]
    confident, near = defaultdict(list), defaultdict(list)
    shifted: list[tuple[bool, str]] = []
    in_time: list[tuple[bool, str]] = []
    for clip in clips:
        offset_s, confidence = clip.row.get("av_offset_s"), clip.row.get("av_conf")
        believed = offset_s is not None and confidence is not None and confidence >= corpus.min_av_conf
        truth_s = clip.label.av_offset_s
        said = f"{offset_s:+.3f} s" if offset_s is not None else "not measured"
        where = f"{clip.where} {clip.shot.kind}: {said}, confidence {confidence or 0.0:.2f}, truth {truth_s:+.3f} s"
        for name in ("", clip.shot.kind):
            confident[name].append((believed, where))
            if believed:
                near[name].append((abs((offset_s or 0.0) - truth_s) <= MAX_OFFSET_ERROR_S, where))
        dropped = _ending(clip.row) == "audio_video_offset"
        (shifted if truth_s else in_time).append((dropped, where))
    kinds = sorted(name for name in confident if name)
    return [
        share("offset: talk, dialogue and impact clips judged confident", confident[""], at_least=0.6),
        share("offset: confident ones within 80 ms of the truth", near[""], at_least=0.9),
        *(share(f"offset: {kind} judged confident", confident[kind]) for kind in kinds),
        *(share(f"offset: confident {kind} within 80 ms", near[kind]) for kind in kinds),
        share("offset: shifted clips dropped for it", shifted),
        share("offset: clips in time dropped for it", in_time, wrong=True),
    ]


def score_spoilt(corpus: Corpus) -> list[Score]:
    """Clips of spoilt files dropped with the right reason, and clips of good files kept."""
    by_defect: dict[str, list[tuple[bool, str]]] = defaultdict(list)
    good, forms, lost = [], [], Counter[str]()
    for label, rows in corpus.records():
        status, reasons = expected(label)
        for row in rows:
            ending = _ending(row)
            where = f"{label.path} {(row.get('t0_us') or 0) / 1e6:.2f} s ({label.detail}): {ending}"
            if status == "dropped" and label.defect not in ("subtitled", "shifted", "near_duplicate"):
                by_defect[label.defect].append((ending in reasons, where))
            elif label.defect == "" and ending not in ("too_short", "near_duplicate"):
                good.append((ending == "kept", where))
                lost[ending] += ending != "kept"
                if label.detail:
                    forms.append((ending == "kept", where))
    return [
        *(share(f"filters: {defect} dropped with the reason", by_defect[defect]) for defect in sorted(by_defect)),
        share("filters: clips of good files kept", good),
        share("filters: clips of good files of unusual form kept", forms),
        *(
            share(f"filters: clips of good files dropped, {reason}", [(False, "")] * (len(good) - n) + [(True, "")] * n)
            for reason, n in sorted(lost.items())
            if n
        ),
    ]
