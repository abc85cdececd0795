import numpy as np
import pytest

from nava.data.synthetic.transitions import join


def shots(frames=20, before=200, after=60):
    return np.full((frames, 4, 6, 3), before, np.uint8), np.full((frames, 4, 6, 3), after, np.uint8)


def levels(*films):
    return np.concatenate(films).mean(axis=(1, 2, 3))


def test_a_hard_cut_changes_no_frame():
    before, after = shots()
    join("hard", before, after, 0, 0)
    assert set(levels(before)) == {200}
    assert set(levels(after)) == {60}


@pytest.mark.parametrize(("kind", "level"), [("fade", 0), ("fade_white", 255)])
def test_a_fade_passes_through_its_colour_and_leaves_the_rest_alone(kind, level):
    before, after = shots()
    join(kind, before, after, 5, 4)
    track = levels(before, after)
    assert track[19] == track[20] == level
    assert set(track[:15]) == {200}
    assert set(track[24:]) == {60}
    assert (np.diff(np.abs(track[14:20] - level)) < 0).all()
    assert (np.diff(np.abs(track[20:25] - level)) > 0).all()


def test_a_dissolve_goes_evenly_from_one_shot_to_the_other():
    before, after = shots()
    join("dissolve", before, after, 6, 6)
    track = levels(before, after)
    steps = np.diff(track[13:27])
    assert set(track[:14]) == {200}
    assert set(track[26:]) == {60}
    assert steps.max() < 0
    assert np.ptp(steps) <= 1.0


def test_both_shots_are_seen_in_the_middle_of_a_dissolve():
    before, after = shots()
    before[:, :, :3], after[:, :, 3:] = 0, 255
    join("dissolve", before, after, 6, 6)
    assert 90 < after[0, :, 3:].mean() - after[0, :, :3].mean() < 220


def test_halves_of_a_dissolve_are_of_one_length():
    with pytest.raises(ValueError, match="not 3 and 4 frames"):
        join("dissolve", *shots(), 3, 4)


def test_an_unknown_transition_is_refused():
    with pytest.raises(ValueError, match="no transition 'wipe'"):
        join("wipe", *shots(), 3, 3)
