"""Near-duplicates: re-encoded copies are found, clips that only look alike are not."""

import numpy as np
import pytest

from nava.config.curation import ClipConfig, CutConfig, DecodeConfig, DuplicateConfig
from nava.data.curation.cuts import CutStage
from nava.data.curation.decoding import DecodeStage
from nava.data.curation.duplicates import DuplicateStage, SignatureStage, sound_correlation
from nava.data.curation.windows import Window, WindowStage
from tests.data.curation.conftest import RATE_HZ, draw_flash, write_media

SIGN = SignatureStage()
FIND = DuplicateStage(DuplicateConfig())


def clip(**changes):
    frames, audio = draw_flash(seconds=2.1, **changes)
    return Window(0, 0.0, 49 / 24, frames[:49], np.pad(audio, (0, 33_280))[:33_280])


def find(windows, quality=None):
    signatures = [SIGN.process(window, RATE_HZ) for window in windows]
    return [(pair.clip, pair.keeper) for pair in FIND.process(signatures, quality or [(0.0,)] * len(windows))]


def changed(window, frames=None, audio=None):
    return Window(
        0, 0.0, 2.0, window.frames_THWC if frames is None else frames, window.audio if audio is None else audio
    )


def test_the_same_clip_twice_is_found_and_the_first_is_kept():
    assert find([clip(), clip(), clip(seed=9)]) == [(1, 0)]


def test_the_better_one_is_kept():
    assert find([clip(), clip()], [(100.0, 1.0), (200.0, 0.5)]) == [(0, 1)]


def test_three_copies_all_point_at_the_one_that_is_kept():
    assert sorted(find([clip(), clip(), clip()], [(1.0,), (3.0,), (2.0,)])) == [(0, 1), (2, 1)]


@pytest.mark.parametrize("form", ["smaller", "brighter", "coarser"])
def test_a_decoded_and_re_encoded_copy_is_found(tmp_path, form):
    frames, audio = draw_flash(seconds=2.3, size=(128, 160))
    first = write_media(tmp_path / "first.mp4", frames, audio)
    if form == "smaller":
        frames = frames[:, ::2, ::2]
    if form == "brighter":
        frames = (frames * 1.2).clip(0, 255).astype(np.uint8)
    if form == "coarser":
        frames = (frames // 12 * 12).astype(np.uint8)
    second = write_media(tmp_path / "second.mp4", frames, audio)
    windows = []
    for path in (first, second):
        source = DecodeStage(ClipConfig(), DecodeConfig()).process(path)
        (shot,) = CutStage(CutConfig()).process(source)
        windows += WindowStage(ClipConfig(), 0.042, 0.25).process(source, shot)
    assert find(windows) == [(1, 0)]


def test_the_same_look_with_other_flashes_is_another_clip():
    looks_alike = [clip(seed=1, events=events) for events in ([0.3, 0.9, 1.5], [0.3, 0.95, 1.45], [0.5, 1.0, 1.7])]
    assert find(looks_alike) == []


def test_the_same_picture_with_another_tone_is_another_clip():
    low, high = clip(tone_hz=300), clip(tone_hz=1700)
    assert find([low, changed(low, audio=high.audio)]) == []


def test_the_same_sound_with_another_picture_is_another_clip():
    left, right = clip(), clip(side="right")
    assert find([left, changed(left, frames=right.frames_THWC)]) == []


def test_two_silent_clips_are_judged_by_their_pictures():
    silence = np.zeros(33_280, np.float32)
    mute = changed(clip(), audio=silence)
    assert find([mute, mute]) == [(1, 0)]
    assert find([mute, clip()]) == []


def test_sound_alone_is_compared_with_sound_alone():
    spoken, other = clip(seed=4), clip(seed=5, tone_hz=300)
    alone = [Window(0, 0.0, 2.08, None, audio) for audio in (spoken.audio, spoken.audio * 0.5, other.audio)]
    assert find([*alone, spoken]) == [(1, 0)]


def test_a_small_shift_of_the_sound_is_forgiven_a_large_one_is_not():
    audio = clip().audio
    shifts = [SIGN.process(Window(0, 0.0, 2.0, None, np.roll(audio, hops * 320)), RATE_HZ).sound for hops in (0, 2, 20)]
    assert sound_correlation(shifts[0], shifts[1]) > 0.98
    assert sound_correlation(shifts[0], shifts[2]) < 0.9


def test_brightness_alone_changes_no_embedding():
    window = clip()
    brighter = changed(window, frames=window.frames_THWC + np.uint8(20))
    one, other = SIGN.process(window, RATE_HZ), SIGN.process(brighter, RATE_HZ)
    assert float(one.embedding @ other.embedding) > 0.999
    assert np.linalg.norm(one.embedding) == pytest.approx(1.0, abs=1e-5)
    assert one.embedding.shape == (512,)


def test_nothing_has_no_duplicates():
    assert FIND.process([], []) == []
