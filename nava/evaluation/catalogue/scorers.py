"""Scorers by the names in manifests: from the features of an item's files to its value, or why it has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nava.evaluation.backends.sync_features import clip_sync
from nava.evaluation.benchmark.item import Item
from nava.evaluation.extraction.features import Features
from nava.evaluation.scoring import av_alignment
from nava.evaluation.scoring.cosine import cosine
from nava.evaluation.scoring.cross_modal import imagebind_score
from nava.evaluation.scoring.desync import desync, versebench_signed_offset
from nava.evaluation.scoring.divergence import class_divergence
from nava.evaluation.scoring.frechet import frechet_distance, pair_clap_distance
from nava.evaluation.scoring.score import Score
from nava.evaluation.scoring.speaker_similarity import speaker_similarity
from nava.evaluation.scoring.text_normalisers import text_profile
from nava.evaluation.scoring.word_errors import text_errors
from nava.evaluation.synchrony import ONSET_TOLERANCE_S, onset_f1, onsets

Found = Mapping[str, Features]
Scorer = Callable[[Found, Item], Score]
SetScorer = Callable[[np.ndarray, np.ndarray], Score]


def _value(name: str) -> Scorer:
    """What the extractor has measured already."""
    return lambda found, _item: found["generated"].score(name)


def _errors(profile: str) -> Scorer:
    """Word errors under a named normaliser."""

    def score(found: Found, item: Item) -> Score:
        return text_errors(item.spoken_text, found["generated"].values["text"], text_profile(profile)).rate

    return score


def _speech_share(found: Found, _item: Item) -> Score:
    values = found["generated"].values
    return Score(float(values["speech_s"]) / float(values["seconds"]))


def _identity(found: Found, _item: Item) -> Score:
    """Mean over frames of the cosine with the first frame."""
    given_D = found["first_frame"].array("frames_TD")[0]
    cosines = [cosine(frame_D, given_D, "picture") for frame_D in found["generated"].array("frames_TD")]
    measured = [score.value for score in cosines if score.value is not None]
    return Score(float(np.mean(measured))) if measured else cosines[0]


def _video_quality(found: Found, item: Item) -> Score:
    """Mean of the scores of identity and aesthetics, or why one of them is not there."""
    parts = (_identity(found, item), found["generated"].score("aesthetic"))
    values = [part.value for part in parts if part.value is not None]
    if len(values) < len(parts):
        return next(part for part in parts if part.value is None)
    return Score(float(np.mean(values)))


def _speaker_similarity(found: Found, _item: Item) -> Score:
    return speaker_similarity(*(found[name].array("embedding_D") for name in ("generated", "reference_voice")))


def _pair_clap(found: Found, _item: Item) -> Score:
    return pair_clap_distance(*(found[name].array("embedding_D") for name in ("generated", "reference_audio")))


def _class_divergence(found: Found, _item: Item) -> Score:
    # Verse-Bench, audiocraft and av-benchmark weigh by the reference's probabilities.
    return class_divergence(found["reference_audio"].array("logits_WK"), found["generated"].array("logits_WK"))


def _embedding_cosine(found: Found, _item: Item) -> Score:
    return cosine(found["generated"].array("embedding_D"), found["text"].array("embedding_D"))


def _embedding_pair(found: Found, _item: Item) -> Score:
    features = found["generated"]
    return imagebind_score(features.array("picture_D"), features.array("sound_D"))


def _desync(found: Found, _item: Item) -> Score:
    features = found["generated"]
    return desync(features.array("first_logits_K"), features.array("last_logits_K"))


def _desync_signed(found: Found, _item: Item) -> Score:
    features = found["generated"]
    if reason := features.values.get("verse_bench_reason"):
        return Score.missing(str(reason))
    return versebench_signed_offset(features.array("verse_bench_logits_K"))


def _av_align(found: Found, _item: Item) -> Score:
    features = found["generated"]
    rate_hz = float(features.values["rate_hz"])
    seen_s = av_alignment.local_maxima_s(features.array("motion_TB").mean(axis=1), rate_hz)
    return av_alignment.av_align(onsets(features.array("energy_T"), rate_hz), seen_s, rate_hz)


def _onset_f1(found: Found, _item: Item) -> Score:
    features = found["generated"]
    motion_T = features.array("motion_TB").mean(axis=1)
    return av_alignment.onset_synchrony(motion_T, features.array("energy_T"), float(features.values["rate_hz"]))


def _known_onset_f1(found: Found, item: Item) -> Score:
    features = found["generated"]
    heard_s = onsets(features.array("energy_T"), float(features.values["rate_hz"]))
    known_s = np.asarray(item.truth["events_s"], dtype=float)
    # At 25 values per second the tolerance is two of them, and rounding must not decide.
    return Score(onset_f1(known_s, heard_s, tolerance_s=ONSET_TOLERANCE_S + 1e-9))


def _av_offset(found: Found, _item: Item) -> Score:
    features = found["generated"]
    offset_s = av_alignment.correlation_offset(
        features.array("motion_TB"), features.array("energy_T"), float(features.values["rate_hz"])
    ).offset_s
    return offset_s if offset_s.value is None else Score(abs(offset_s.value))


SCORERS: dict[str, Scorer] = {
    "loudness": _value("loudness_lufs"),
    "clipping": _value("clipping_share"),
    "silence": _value("silence_share"),
    "sharpness": _value("sharpness"),
    "flicker": _value("flicker"),
    "frozen": _value("frozen_share"),
    "burnt_in_text": _value("text_share"),
    "wer_seed_tts_en": _errors("seed_tts_en"),
    "cer_seed_tts_zh": _errors("seed_tts_zh"),
    "wer_verse_bench": _errors("verse_bench"),
    "wer_nfkc_cjk": _errors("nfkc_cjk"),
    "speech_share": _speech_share,
    "speaker_similarity": _speaker_similarity,
    "identity": _identity,
    "aesthetic": _value("aesthetic"),
    "video_quality": _video_quality,
    "dnsmos_ovrl": _value("OVRL"),
    "dnsmos_p808": _value("P808"),
    "audiobox_ce": _value("CE"),
    "audiobox_cu": _value("CU"),
    "audiobox_pc": _value("PC"),
    "audiobox_pq": _value("PQ"),
    "embedding_cosine": _embedding_cosine,
    "embedding_pair": _embedding_pair,
    "kl": _class_divergence,
    "pair_clap": _pair_clap,
    "sync_c": lambda found, _item: clip_sync(found["generated"]).sync_c,
    "sync_d": lambda found, _item: clip_sync(found["generated"]).sync_d,
    "desync": _desync,
    "desync_signed": _desync_signed,
    "av_align": _av_align,
    "onset_f1": _onset_f1,
    "known_onset_f1": _known_onset_f1,
    "av_offset": _av_offset,
}
SET_SCORERS: dict[str, SetScorer] = {
    "frechet": lambda generated_ND, reference_ND: frechet_distance(generated_ND, reference_ND).score,
}
