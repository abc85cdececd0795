import numpy as np
import pytest

from nava.evaluation.scoring.sync_protocols import (
    MOVA,
    OFFICIAL,
    VERSE_BENCH,
    ScoredTrack,
    combine_tracks,
    sync_protocol,
)
from nava.evaluation.scoring.sync_scoring import SyncScore
from nava.runtime.errors import InputError


def track(frames, sync_c, sync_d=8.0, offset=0):
    return ScoredTrack(frames, SyncScore(np.zeros(31), sync_d, sync_c, offset))


TWO = [track(120, 3.0, 8.0, 2), track(200, 7.0, 7.0, -1)]


def test_the_three_variants_give_three_answers_to_one_clip():
    official, verse, mova = (combine_tracks(TWO, protocol) for protocol in (OFFICIAL, VERSE_BENCH, MOVA))
    assert (official.sync_c.value, official.sync_d.value, official.offset_frames) == (7.0, 7.0, (-1,))
    assert (verse.sync_c.value, verse.sync_d.value, verse.offset_frames) == (5.0, None, (2, -1))
    assert "no Sync-D" in verse.sync_d.reason
    assert (mova.sync_c.value, mova.sync_d.value, mova.offset_frames) == (5.0, 7.5, (2, -1))


@pytest.mark.parametrize(
    ("protocol", "too_short", "enough"),
    [(OFFICIAL, 100, 101), (VERSE_BENCH, 49, 50), (MOVA, 20, 21)],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_shortest_run(protocol, too_short, enough):
    assert combine_tracks([track(enough, 4.0)], protocol).sync_c.value == 4.0
    none = combine_tracks([track(too_short, 4.0)], protocol)
    assert none.sync_c.value is none.sync_d.value is None
    assert f"{too_short} frames" in none.sync_c.reason
    assert none.too_short == (too_short,)


def test_a_short_track_does_not_enter_the_mean_and_is_named():
    result = combine_tracks([track(20, 100.0), *TWO], MOVA)
    assert result.sync_c.value == 5.0
    assert result.too_short == (20,)


@pytest.mark.parametrize(("offset", "kept"), [(13, True), (-13, True), (14, False), (-14, False)])
def test_verse_bench_drops_the_whole_clip_for_one_far_offset(offset, kept):
    clip = combine_tracks([track(60, 5.0), track(60, 3.0, offset=offset)], VERSE_BENCH)
    assert clip.sync_c.value == (4.0 if kept else None)
    assert kept or str(offset) in clip.sync_c.reason
    assert combine_tracks([track(160, 3.0, offset=offset)], OFFICIAL).sync_c.value == 3.0


def test_the_first_of_equally_long_tracks_is_taken():
    assert combine_tracks([track(150, 1.0), track(150, 9.0)], OFFICIAL).sync_c.value == 1.0


@pytest.mark.parametrize("protocol", [OFFICIAL, VERSE_BENCH, MOVA])
def test_no_face_is_no_score_rather_than_zero(protocol):
    clip = combine_tracks([], protocol)
    assert clip.sync_c.value is clip.sync_d.value is None
    assert clip.sync_c.reason == "no face was found"


def test_protocols_by_name():
    assert sync_protocol("mova") is MOVA
    with pytest.raises(InputError, match="official, verse_bench, mova"):
        sync_protocol("wav2lip")
