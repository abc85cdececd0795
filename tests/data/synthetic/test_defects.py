from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from nava.data.media_files import decodes
from nava.data.synthetic import defects
from nava.data.synthetic.files import Film, read_audio, read_film
from nava.data.synthetic.labels import FileLabel, ShotLabel, UtteranceLabel, WordLabel
from tests.data.synthetic.corpora import brightness_track

RNG_SEED = 0
RATE = 16_000


def make_film(seconds: float = 2.0) -> Film:
    frames = np.random.default_rng(1).integers(0, 200, (round(24 * seconds), 240, 320, 3), dtype=np.uint8)
    time = np.arange(round(seconds * RATE)) / RATE
    return Film(frames, Fraction(24), (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)[None], RATE)


def make_label() -> FileLabel:
    words = [WordLabel("Hello", 0.2, 0.6), WordLabel("there", 0.6, 1.0)]
    return FileLabel(
        "a.mp4",
        "video",
        shots=[ShotLabel("talk", 0.0, 1.0, 0, 24), ShotLabel("flash", 1.0, 2.0, 24, 48)],
        transcript=[UtteranceLabel("Ada", "en-us+f2", 0.2, 1.0, "Hello there.", words)],
    )


def applied(name: str, variant: int = 0, film: Film | None = None) -> tuple[Film, FileLabel]:
    label = make_label()
    return defects.FILM_DEFECTS[name](film or make_film(), label, variant, np.random.default_rng(RNG_SEED)), label


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def laplacian_variance(frame: np.ndarray) -> float:
    grey = frame.astype(np.float32).mean(axis=2)
    return float(np.var(4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]))


@pytest.mark.parametrize("name", list(defects.FILM_DEFECTS))
def test_a_defect_keeps_the_form_and_leaves_the_original_alone(name):
    film = make_film()
    frames, audio = film.frames_THWC.copy(), film.audio_CL.copy()
    damaged, label = applied(name, film=film)
    assert damaged.frames_THWC.shape == frames.shape
    assert damaged.audio_CL is None or damaged.audio_CL.shape == audio.shape
    assert np.array_equal(film.frames_THWC, frames)
    assert np.array_equal(film.audio_CL, audio)
    assert label.detail


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_subtitles_change_their_box_for_as_long_as_something_is_said(variant):
    film = replace(make_film(), frames_THWC=np.full((48, 240, 320, 3), 90, np.uint8))
    burnt, label = applied("subtitled", variant, film)
    assert [part.text for part in label.subtitles] == ["Hello there."]
    left, top, right, bottom = label.subtitles[0].box
    assert 0 <= left < right <= 320
    assert 160 <= top < bottom <= 240
    changed = (burnt.frames_THWC != film.frames_THWC).any(axis=3)
    assert changed[:24, top:bottom, left:right].mean(axis=(1, 2)).min() > 0.1
    outside = changed.copy()
    outside[:, top:bottom, left:right] = False
    assert not outside.any()
    assert not changed[24:].any()
    inside = burnt.frames_THWC[0, top:bottom, left:right]
    assert inside.max() > 220
    assert inside.min() < 40


def test_a_long_subtitle_is_wrapped_and_stays_in_the_picture():
    label = make_label()
    label.transcript[0].text = "A cold wind came from the hills and nobody in the village was surprised by it."
    defects.burn_subtitles(make_film(), label, 0, np.random.default_rng(0))
    left, top, right, bottom = label.subtitles[0].box
    assert 0 <= left < right <= 320
    assert 0 <= top < bottom <= 240
    assert bottom - top > 30
    assert label.subtitles[0].text == label.transcript[0].text


@pytest.mark.parametrize(("variant", "sign"), [(0, 1), (1, -1)])
def test_a_shift_moves_the_sound_and_pads_with_silence(variant, sign):
    film = make_film()
    ramp = np.arange(1, 2 * RATE + 1, dtype=np.float32)[None] / (2 * RATE)
    shifted, label = applied("shifted", variant, replace(film, audio_CL=ramp))
    offset = round(abs(label.av_offset_s) * RATE)
    assert np.sign(label.av_offset_s) == sign
    assert 0.25 <= abs(label.av_offset_s) <= 0.6
    if sign > 0:
        assert not shifted.audio_CL[:, :offset].any()
        assert np.array_equal(shifted.audio_CL[:, offset:], ramp[:, :-offset])
    else:
        assert not shifted.audio_CL[:, -offset:].any()
        assert np.array_equal(shifted.audio_CL[:, :-offset], ramp[:, offset:])


def test_a_shift_moves_the_transcript_and_leaves_the_picture_alone():
    film = make_film()
    shifted, label = applied("shifted", 0, film)
    assert np.array_equal(shifted.frames_THWC, film.frames_THWC)
    assert label.transcript[0].start_s == pytest.approx(0.2 + label.av_offset_s)
    assert label.transcript[0].words[1].end_s == pytest.approx(1.0 + label.av_offset_s)
    assert label.shots[0].start_s == 0.0


def test_quiet_clipped_frozen_and_blurred_are_what_they_say():
    film = make_film()
    assert rms(applied("quiet")[0].audio_CL) == pytest.approx(defects.QUIET_RMS, rel=1e-3)
    for variant in range(3):
        clipped = np.abs(applied("clipped", variant)[0].audio_CL)
        assert clipped.max() <= 1.0
        assert (clipped > 0.985).mean() > 0.5
    frozen = applied("static")[0].frames_THWC
    assert (frozen[:24] == film.frames_THWC[12]).all()
    assert (frozen[24:] == film.frames_THWC[36]).all()
    blurred = applied("blurred")[0].frames_THWC
    assert laplacian_variance(blurred[0]) < 0.01 * laplacian_variance(film.frames_THWC[0])
    assert applied("without_audio")[0].audio_CL is None


@pytest.mark.parametrize(("variant", "change"), [(0, "scaled"), (1, "brighter"), (2, "coarser"), (3, "scaled")])
def test_copies_take_turns_in_their_change(variant, change):
    film = make_film()
    copy, crf, name = defects.re_encode(film, variant)
    assert name == change
    assert (copy.frames_THWC.shape[1:3] == (180, 240)) == (change == "scaled")
    assert (copy.frames_THWC.mean() > 1.1 * film.frames_THWC.mean()) == (change == "brighter")
    assert (crf > 30) == (change == "coarser")


# From here on: the files of the corpus, decoded.


def test_subtitles_of_a_file_stand_in_their_box(corpus):
    for label in corpus.with_defect("subtitled"):
        film = corpus.film(label)
        assert len(label.subtitles) == len(label.shots)
        for part, shot in zip(label.subtitles, label.shots, strict=True):
            left, top, right, bottom = part.box
            boxes = film.frames_THWC[shot.start_frame : shot.end_frame, top:bottom, left:right].astype(int)
            assert boxes.max(axis=(1, 2, 3)).min() > 170
            assert boxes.min(axis=(1, 2, 3)).max() < 80
            assert part.text in [spoken.text for spoken in label.transcript]


def test_the_sound_of_a_shifted_file_comes_as_late_as_labelled(corpus):
    for label in corpus.with_defect("shifted"):
        audio, rate = read_audio(corpus.path(label))
        fps = float(Fraction(label.fps))
        shot = label.shots[0]
        assert shot.kind == "flash"
        track = brightness_track(corpus.film(label).frames_THWC)[: shot.end_frame]
        seen = np.flatnonzero(np.diff(track) > 4) + 1
        assert np.abs(seen / fps - shot.events_s).max() <= 1.5 / fps
        envelope = np.sqrt(np.convolve(audio[0] ** 2, np.ones(rate // 100) / (rate // 100), mode="same"))
        impulses = np.zeros(audio.shape[1])
        impulses[[round(event * rate) for event in shot.events_s]] = 1.0
        rising = np.maximum(np.diff(envelope, prepend=0.0), 0.0)[: shot.end_frame * rate // round(fps) + rate]
        step = rate // 200
        coarse = rising[: len(rising) // step * step].reshape(-1, step).sum(axis=1)
        events = impulses[: len(coarse) * step].reshape(-1, step).sum(axis=1)
        lags = range(-140, 141)
        scores = [np.sum(np.roll(np.pad(events, 200), lag) * np.pad(coarse, 200)) for lag in lags]
        assert lags[int(np.argmax(scores))] * step / rate == pytest.approx(label.av_offset_s, abs=0.02)


def test_nothing_comes_round_from_the_other_end(corpus):
    for label in corpus.with_defect("shifted"):
        audio, rate = read_audio(corpus.path(label))
        samples = round((abs(label.av_offset_s) - 0.05) * rate)
        end = round(label.duration_s * rate)
        padding = audio[0, :samples] if label.av_offset_s > 0 else audio[0, end - samples : end]
        assert rms(padding) < 1e-4


def test_a_quiet_file_is_hardly_heard(corpus):
    for label in corpus.with_defect("quiet"):
        audio, _ = read_audio(corpus.path(label))
        assert 1e-4 < rms(audio) < 2e-3


def test_clean_files_are_neither_quiet_nor_clipped(corpus):
    for label in corpus.clean():
        if {shot.kind for shot in label.shots} != {"silent"}:
            audio, _ = read_audio(corpus.path(label))
            assert rms(audio) > 0.01
            assert (np.abs(audio) > 0.985).mean() < 1e-3


def test_a_clipped_file_is_at_full_scale_much_of_the_time(corpus):
    for label in corpus.with_defect("clipped"):
        audio, rate = read_audio(corpus.path(label))
        for shot in label.shots:
            part = audio[:, round(shot.start_s * rate) : round(shot.end_s * rate)]
            assert (np.abs(part) > 0.985).mean() > 0.02


def test_a_static_file_does_not_move_within_a_shot(corpus):
    for label in corpus.with_defect("static"):
        frames = corpus.film(label).frames_THWC.astype(int)
        for shot in label.shots:
            moves = np.abs(np.diff(frames[shot.start_frame : shot.end_frame], axis=0)).mean(axis=(1, 2, 3))
            assert moves.max() < 0.5
        assert rms(read_audio(corpus.path(label))[0]) > 0.01


def test_a_blurred_file_has_no_edges(corpus):
    sharp = min(laplacian_variance(corpus.film(label).frames_THWC[-1]) for label in corpus.with_defect("quiet"))
    for label in corpus.with_defect("blurred"):
        frames = corpus.film(label).frames_THWC
        assert max(laplacian_variance(frame) for frame in frames[::20]) < 0.1 * sharp


def test_a_file_without_audio_has_a_picture_only(corpus):
    for label in corpus.with_defect("without_audio"):
        with av.open(str(corpus.path(label))) as container:
            assert not container.streams.audio
        assert (label.channels, label.transcript) == (0, [])
        assert len(corpus.film(label).frames_THWC) == label.frames


def test_truncated_files_cannot_be_decoded_to_their_end(corpus):
    forms = set()
    for label in corpus.with_defect("truncated"):
        try:
            decoded = len(read_film(corpus.path(label)).frames_THWC)
        except av.FFmpegError:
            decoded = 0
        assert decoded < 0.95 * label.frames
        forms.add(label.detail)
    assert len(forms) == 2


def test_garbage_is_no_media(corpus):
    found = corpus.with_defect("garbage")
    assert {label.detail for label in found} == {"plain text", "random bytes", "web page", "empty file"}
    for label in found:
        assert corpus.path(label).suffix == ".mp4"
        assert not decodes(corpus.path(label))


def test_near_duplicates_show_nearly_the_same_frames_in_other_bytes(corpus):
    originals = {label.path: label for label in corpus.clean()}
    found = corpus.with_defect("near_duplicate")
    assert {label.detail for label in found} == {"scaled", "brighter", "coarser"}
    for label in found:
        original = originals[label.duplicate_of]
        assert label.sha256 != original.sha256
        ours, theirs = corpus.film(label), corpus.film(original)
        assert len(ours.frames_THWC) == len(theirs.frames_THWC)
        size = (ours.frames_THWC.shape[2], ours.frames_THWC.shape[1])
        gain = 1.2 if label.detail == "brighter" else 1.0
        for a, b in zip(ours.frames_THWC[::12], theirs.frames_THWC[::12], strict=True):
            expected = np.clip(gain * np.asarray(Image.fromarray(b).resize(size), np.float32), 0, 255)
            assert np.abs(a - expected).mean() < 4
        length = min(ours.audio_CL.shape[1], theirs.audio_CL.shape[1])
        assert np.corrcoef(ours.audio_CL[0, :length], theirs.audio_CL[0, :length])[0, 1] > 0.98
        assert [shot.kind for shot in label.shots] == [shot.kind for shot in original.shots]
