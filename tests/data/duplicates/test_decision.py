"""Near-duplicates: re-encoded copies are found, clips that only look alike are not, and the best one stays."""

import numpy as np
import pytest

from nava.config.duplicates import DuplicateConfig
from nava.data.duplicates.decision import DuplicatePair, find_duplicates
from nava.data.duplicates.index import IndexedClip, write_index
from nava.data.duplicates.signature import SOUND_BACKEND, sound_correlation
from nava.runtime.errors import InputError
from tests.data.duplicates.conftest import draw_clip, random_signatures, sign_clip


def find(clips, quality=None):
    """(clip, keeper) as positions."""
    signatures = {str(number): sign_clip(*clip) for number, clip in enumerate(clips)}
    keys = quality or [(0.0,)] * len(clips)
    findings = find_duplicates(signatures, {str(number): key for number, key in enumerate(keys)}, DuplicateConfig())
    return [(int(pair.clip_id), int(pair.keeper_id)) for pair in findings.pairs]


def flat_quality(signatures):
    return dict.fromkeys(signatures, (0.0,))


def index_of(folder, signatures, dropped=()):
    clips = [
        IndexedClip(clip_id, "src", (1.0,), clip_id not in dropped, "x" if clip_id in dropped else None)
        for clip_id in signatures
    ]
    write_index(folder, signatures, clips)
    return str(folder)


def test_the_same_clip_twice_is_found_and_the_first_id_is_kept():
    assert find([draw_clip(), draw_clip(), draw_clip(seed=9)]) == [(1, 0)]


def test_the_better_one_is_kept():
    assert find([draw_clip(), draw_clip()], [(100.0, 1.0), (200.0, 0.5)]) == [(0, 1)]


def test_three_copies_all_point_at_the_one_that_is_kept():
    assert find([draw_clip(), draw_clip(), draw_clip()], [(1.0,), (3.0,), (2.0,)]) == [(0, 1), (2, 1)]


def test_the_same_look_with_other_flashes_is_another_clip():
    alike = [draw_clip(seed=1, events=events) for events in ([0.3, 0.9, 1.5], [0.3, 0.95, 1.45], [0.5, 1.0, 1.7])]
    assert find(alike) == []


def test_the_same_picture_with_another_tone_is_another_clip():
    (frames, low), (_, high) = draw_clip(tone_hz=300), draw_clip(tone_hz=1700)
    assert find([(frames, low), (frames, high)]) == []


def test_the_same_sound_with_another_picture_is_another_clip():
    (left, audio), (right, _) = draw_clip(), draw_clip(side="right")
    assert find([(left, audio), (right, audio)]) == []


def test_two_silent_clips_are_judged_by_their_pictures():
    frames, audio = draw_clip()
    mute = (frames, np.zeros_like(audio))
    assert find([mute, mute]) == [(1, 0)]
    assert find([mute, (frames, audio)]) == []


def test_sound_alone_is_compared_with_sound_alone():
    (frames, spoken), (_, other) = draw_clip(seed=4), draw_clip(seed=5, tone_hz=300)
    assert find([(None, spoken), (None, spoken * 0.5), (None, other), (frames, spoken)]) == [(1, 0)]


def test_sounds_are_decided_as_if_every_pair_were_compared():
    rng = np.random.default_rng(0)
    sounds = []
    for seed in range(12):
        audio = draw_clip(seed=seed, tone_hz=rng.uniform(200, 3000))[1]
        sounds += [audio, np.roll(audio, 320 * rng.integers(-4, 5)) * 0.7, audio + rng.normal(0, 0.02, len(audio))]
    clips = [(None, audio.astype(np.float32)) for audio in sounds]
    signed = [sign_clip(*clip).sound for clip in clips]
    kept, expected = [], []
    for clip, sound in enumerate(signed):
        same = [other for other in kept if sound_correlation(sound, signed[other]) >= 0.99]
        expected += [clip] if same else []
        kept += [] if same else [clip]
    assert len(expected) >= 6
    ids = [f"{number:02d}" for number in range(len(clips))]
    signatures = {name: sign_clip(*clip) for name, clip in zip(ids, clips, strict=True)}
    found = find_duplicates(signatures, flat_quality(signatures), DuplicateConfig())
    assert [pair.clip_id for pair in found.pairs] == [ids[clip] for clip in expected]


def greedy(signatures, quality, min_cosine):
    """The decision over all pairs, written plainly."""
    kept, found = [], {}
    unit = {name: one.embedding / np.linalg.norm(one.embedding) for name, one in signatures.items()}
    for name in sorted(signatures, key=lambda name: ([-value for value in quality[name]], name)):
        rivals = {other: float(unit[name] @ unit[other]) for other in kept}
        same = {other: cosine for other, cosine in rivals.items() if cosine >= min_cosine}
        if same:
            found[name] = max(same, key=lambda other: same[other])
        else:
            kept.append(name)
    return found


@pytest.mark.parametrize("exact_clips", [20_000, 30])
def test_chains_are_cut_and_every_decision_is_that_of_comparing_all(exact_clips):
    signatures = random_signatures(500, copies=300, noise=0.15)
    rng = np.random.default_rng(1)
    quality = {name: (float(rng.integers(3)), float(rng.integers(3))) for name in signatures}
    config = DuplicateConfig(exact_clips=exact_clips, probes=10)
    findings = find_duplicates(signatures, quality, config)
    found = {pair.clip_id: pair.keeper_id for pair in findings.pairs}
    assert found == greedy(signatures, quality, config.min_cosine)
    assert len(found) > 100
    assert not set(found) & set(found.values()), "a keeper repeats another clip"
    assert all(quality[keeper] >= quality[clip] for clip, keeper in found.items())
    assert set(findings.clusters) == set(signatures)
    assert (len(set(findings.clusters.values())) == 1) is (exact_clips == 20_000)


@pytest.mark.parametrize("exact_clips", [20_000, 30])
def test_the_order_of_the_clips_changes_nothing(exact_clips):
    signatures = random_signatures(200, copies=100)
    shuffled = {name: signatures[name] for name in np.random.default_rng(5).permutation(sorted(signatures)).tolist()}
    config = DuplicateConfig(exact_clips=exact_clips)
    first, second = (find_duplicates(clips, flat_quality(clips), config) for clips in (signatures, shuffled))
    assert first == second


def test_a_clip_is_compared_with_kept_clips_of_earlier_corpora(tmp_path, config):
    old = {"old-a": sign_clip(*draw_clip()), "old-b": sign_clip(*draw_clip(seed=3)), "old-gone": None}
    old["old-gone"] = sign_clip(*draw_clip(seed=7))
    address = index_of(tmp_path / "signatures", old, dropped=("old-gone",))
    new = {"new-1": sign_clip(*draw_clip()), "new-2": sign_clip(*draw_clip(seed=7)), "new-3": old["old-b"]}
    quality = dict.fromkeys(new, (1e9,))
    findings = find_duplicates(new, quality, config, [address])
    assert [(pair.clip_id, pair.keeper_id, pair.keeper_index) for pair in findings.pairs] == [
        ("new-1", "old-a", address),
        ("new-3", "old-b", address),
    ]
    assert set(findings.clusters) == set(new)


def test_earlier_corpora_are_not_compared_with_one_another(tmp_path, config):
    same = sign_clip(*draw_clip())
    first, second = (index_of(tmp_path / name, {name: same, f"{name}-again": same}) for name in ("one", "two"))
    findings = find_duplicates({"new": same}, {"new": (0.0,)}, config, [first, second])
    assert findings.pairs == [DuplicatePair("new", "one", 1.0, 0, first)]


def test_a_clip_that_an_earlier_corpus_has_repeats_itself_there(tmp_path, config):
    same = {"clip": sign_clip(*draw_clip())}
    address = index_of(tmp_path / "signatures", same)
    (pair,) = find_duplicates(same, flat_quality(same), config, [address]).pairs
    assert (pair.clip_id, pair.keeper_id, pair.keeper_index) == ("clip", "clip", address)


def test_adding_clips_to_a_corpus_gives_what_curating_all_at_once_gives(config):
    signatures = random_signatures(120, copies=60)
    later = {name: signatures[name] for name in sorted(signatures)[:90]}
    find_duplicates(later, flat_quality(later), config)
    grown = {**later, **signatures}
    assert find_duplicates(grown, flat_quality(grown), config) == find_duplicates(
        signatures, flat_quality(signatures), config
    )


def test_embeddings_of_different_backends_do_not_meet(tmp_path, config):
    old, new = random_signatures(3, backend="video_clip/1:aa"), random_signatures(3, seed=1)
    address = index_of(tmp_path / "signatures", old)
    with pytest.raises(InputError, match=r"has embeddings of video_clip/1:aa, this corpus has dct3d/2"):
        find_duplicates(new, flat_quality(new), config, [address])
    mixed = {**new, "other": next(iter(old.values()))}
    with pytest.raises(InputError, match=r"embeddings of dct3d/2 and video_clip/1:aa"):
        find_duplicates(mixed, flat_quality(mixed), config)


def test_sounds_compare_whatever_the_backend_of_pictures(tmp_path, config):
    sound = sign_clip(None, draw_clip()[1])
    address = index_of(tmp_path / "signatures", {"old": sound, **random_signatures(1, backend="video_clip/1:aa")})
    (pair,) = find_duplicates({"new": sound}, {"new": (0.0,)}, config, [address]).pairs
    assert pair.keeper_id == "old"
    assert sound.backend == SOUND_BACKEND


def test_clusters_of_sounds_follow_those_of_pictures(config):
    clips = {"picture": sign_clip(*draw_clip()), "sound": sign_clip(None, draw_clip()[1])}
    assert find_duplicates(clips, flat_quality(clips), config).clusters == {"picture": 0, "sound": 1}


def test_nothing_has_no_duplicates(config):
    findings = find_duplicates({}, {}, config)
    assert (findings.pairs, findings.clusters) == ([], {})


def test_partitions_go_where_they_are_told_and_are_removed(tmp_path):
    signatures = random_signatures(100)
    find_duplicates(signatures, flat_quality(signatures), DuplicateConfig(exact_clips=10), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
