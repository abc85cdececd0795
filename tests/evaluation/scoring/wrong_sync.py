"""Mistakes in SyncNet scoring."""

import numpy as np

from nava.evaluation.scoring import face_crop, sync_protocols, sync_scoring
from tests.evaluation.scoring.sync_cases import features
from tests.evaluation.scoring.trial import Trial, close


def sync_cases(score):
    for roll, offset, distance in ((0, 0, 0.0), (3, -3, 0.25), (-4, 4, 1 / 3)):
        found_distance, confidence, found_offset = score(*features(roll))
        assert found_offset == offset
        close(found_distance, distance, 1e-4)
        close(confidence, 6.80 - distance, 0.03)
    # Half of the sound is early and half late: no one shift fits both.
    video, early = features(-2)
    halves = np.vstack([early[:30], np.roll(video, 2, axis=0)[30:]])
    close(score(video, halves)[0], 5 * np.sqrt(2) / 2, 0.2)


def sync(video, audio):
    score = sync_scoring.sync_score(video, audio)
    return score.sync_d, score.sync_c, score.offset_frames


def sync_of(distance_NK, centre=15):
    mean_K = np.nanmean(distance_NK, axis=0)
    best = int(mean_K.argmin())
    return mean_K[best], np.median(mean_K) - mean_K[best], centre - best


def sync_truncated(video, audio):
    n, columns = len(video), []
    for shift in range(-15, 16):
        pair = video[max(0, -shift) : n - max(0, shift)], audio[max(0, shift) : n + min(0, shift)]
        columns.append(np.linalg.norm(pair[0] - pair[1], axis=1).mean())
    return sync_of(np.array(columns)[None])


def sync_normalised(video, audio):
    rows = (array / np.linalg.norm(array, axis=1, keepdims=True) for array in (video, audio))
    return sync(*rows)


def sync_mean_confidence(video, audio):
    score = sync_scoring.sync_score(video, audio)
    return score.sync_d, float(score.distance_K.mean()) - score.sync_d, score.offset_frames


def sync_per_window(video, audio):
    distance_NK = sync_scoring.shift_distances(video, audio)
    return distance_NK.min(axis=1).mean(), *sync(video, audio)[1:]


def window_cases(count):
    assert [count(100, 64_000), count(100, 63_999), count(6, 10**6)] == [95, 94, 1]


def track(frames, confidence, offset=0):
    return sync_protocols.ScoredTrack(frames, sync_scoring.SyncScore(np.zeros(31), 8.0, confidence, offset))


def combine_cases(combine):
    assert combine([track(50, 3.0), track(60, 5.0)]) == 4.0
    assert combine([track(49, 3.0), track(60, 5.0)]) == 5.0
    assert combine([track(50, 3.0), track(60, 5.0, 14)]) is None
    assert combine([track(50, 3.0), track(60, 5.0, -13)]) == 4.0
    assert combine([]) is None


def combine(tracks):
    return sync_protocols.combine_tracks(tracks, sync_protocols.VERSE_BENCH).sync_c.value


def mean_confidence(tracks):
    return float(np.mean([one.score.sync_c for one in tracks]))


def combine_dropping_only_the_far_track(tracks):
    return combine([one for one in tracks if abs(one.score.offset_frames) < 14])


def crop_cases(crop):
    assert crop(100, 120, 50, 0.4) == face_crop.CropBox(160, 300, 120, 260, 90)


def crop_symmetric(x, y, size, scale):
    box = face_crop.crop_box(x, y, size, scale)
    return face_crop.CropBox(int(y + box.padding - size * (1 + scale)), box.bottom, box.left, box.right, box.padding)


TRIALS = {
    "sync": Trial(
        sync_cases,
        sync,
        {
            "truncated instead of padded": sync_truncated,
            "normalised features": sync_normalised,
            "mean minus min": sync_mean_confidence,
            "min minus median": lambda v, a: (sync(v, a)[0], -sync(v, a)[1], sync(v, a)[2]),
            "sign of the offset": lambda v, a: (*sync(v, a)[:2], -sync(v, a)[2]),
            "min per window": sync_per_window,
            "picture shifted instead of sound": lambda v, a: sync(a, v),
        },
    ),
    "windows": Trial(
        window_cases,
        sync_scoring.window_count,
        {
            "all that fit": lambda f, s: min(f, s // 640) - 4,
            "rounded up": lambda f, s: min(f, -(-s // 640)) - 5,
            "frames only": lambda f, s: f - 5,
        },
    ),
    "combined tracks": Trial(
        combine_cases,
        combine,
        {
            "no face is 0": lambda tracks: 0.0 if not tracks else combine(tracks),
            "short tracks too": lambda t: combine([track(99, x.score.sync_c, x.score.offset_frames) for x in t]),
            "far track left out alone": combine_dropping_only_the_far_track,
            "far tracks kept": lambda t: mean_confidence([x for x in t if x.n_frames >= 50]) if t else None,
            "best track": lambda t: combine(sorted(t, key=lambda x: x.score.sync_c)[-1:]),
        },
    ),
    "crop": Trial(
        crop_cases,
        face_crop.crop_box,
        {
            "as much above as below": crop_symmetric,
            "full instead of half size": lambda x, y, s, c: face_crop.crop_box(x, y, 2 * s, c),
            "margins of the other variant": lambda x, y, s, c: face_crop.crop_box(x, y, s, 0.3),
        },
    ),
}
