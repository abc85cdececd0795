"""Each case rendered small, decoded again and compared with its label."""

from collections import Counter

import av
import numpy as np
import pytest

from nava.config.synthetic import CaseCounts, DefectCounts, SyntheticConfig
from nava.data.synthetic import case_plan
from nava.data.synthetic.drawing import perceptual_hash
from nava.data.synthetic.files import read_audio, read_film
from nava.data.synthetic.generate import generate
from nava.data.synthetic.labels import read_labels
from nava.runtime.hashing import sha256_file, sha256_tree
from tests.data.synthetic.corpora import Corpus

SEED = 5
COUNTS = CaseCounts(
    transitions=2,
    subtitled=2,
    synchronous=2,
    shifted=1,
    families=2,
    recordings=5,
    rescaled=1,
    recompressed=1,
    brightened=1,
    mirrored=1,
    undecodable=7,
    damaged=1,
    slightly_damaged=1,
    spoilt=6,
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    config = SyntheticConfig(videos=0, audio_files=0, defects=DefectCounts(*[0] * 10), cases=COUNTS, workers=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(case_plan, "_LARGE", ((192, 128),))
        patch.setattr(case_plan, "_MIDDLE", ((160, 96),))
        patch.setattr(case_plan, "_SMALL", (96, 64))
        generate(folder, config, SEED)
    return Corpus(folder, config, read_labels(folder))


def details(corpus, *found):
    return [label for label in corpus.labels if label.detail in found]


def test_every_planned_file_is_there_with_the_hash_of_its_label(cases):
    assert len(cases.labels) == sum(vars(COUNTS).values())
    for label in cases.labels:
        assert label.sha256 == sha256_file(cases.path(label))


def test_cuts_lie_where_the_picture_changes_at_once(cases):
    films = [label for label in cases.clean() if len(label.cuts) >= 4]
    assert len(films) == 2
    for label in films:
        frames = cases.film(label).frames_THWC
        assert len(frames) == label.frames
        for cut, after in zip(label.cuts, label.shots[1:], strict=True):
            if cut.kind == "hard":
                before, first = frames[after.start_frame - 1], frames[after.start_frame]
                assert np.abs(before.astype(int) - first).mean() > 5
                assert (perceptual_hash(before) != perceptual_hash(first)).mean() > 0.3


def test_fades_pass_through_their_colour_between_their_labelled_times(cases):
    kinds = Counter()
    for label in cases.clean():
        for cut in label.cuts:
            kinds[cut.kind] += 1
            if cut.kind not in ("fade", "fade_white"):
                continue
            film = cases.film(label)
            level = film.frames_THWC.mean(axis=(1, 2, 3))
            distance = level if cut.kind == "fade" else 255 - level
            first, middle, last = (round(time_s * float(film.fps)) for time_s in (cut.start_s, cut.time_s, cut.end_s))
            assert distance[middle] < 5
            assert min(distance[first - 1], distance[last + 1]) > 4 * distance[middle] + 5
    assert kinds["fade"]
    assert kinds["fade_white"]
    assert kinds["dissolve"]


def test_text_is_in_the_box_and_changes_the_picture_there(cases):
    for label in cases.with_defect("subtitled"):
        frames = cases.film(label).frames_THWC.astype(int)
        for part in label.subtitles:
            middle = frames[round((part.start_s + part.end_s) / 2 * len(frames) / label.duration_s)]
            left, top, right, bottom = part.box
            assert np.abs(np.diff(middle[top:bottom, left:right], axis=1)).max() > 100


def test_a_shifted_file_has_its_words_late_or_early_by_its_offset(cases):
    (label,) = cases.with_defect("shifted")
    assert 0.25 < abs(label.av_offset_s) < 0.65
    audio, rate = read_audio(cases.path(label))
    for part in label.transcript[:1]:
        said = audio[0, round(part.start_s * rate) : round(part.end_s * rate)]
        assert (said**2).mean() > 20 * (audio[0, : max(1, round((part.start_s - 0.02) * rate))] ** 2).mean()


def test_copies_show_the_original(cases):
    by_path = {label.path: label for label in cases.labels}
    copies = [label for label in cases.labels if label.duplicate_of]
    assert {label.detail for label in copies} == {"rescaled", "recompressed", "brightened", "mirrored"}
    for label in copies:
        original = by_path[label.duplicate_of]
        assert label.cuts == original.cuts
        assert label.sha256 != original.sha256
        shown, meant = cases.film(label).frames_THWC, cases.film(original).frames_THWC
        assert len(shown) == len(meant) == label.frames
        middle = len(shown) // 2
        meant_frame = meant[middle][:, ::-1] if label.detail == "mirrored" else meant[middle]
        assert (perceptual_hash(shown[middle]) != perceptual_hash(np.ascontiguousarray(meant_frame))).mean() < 0.15


def test_recordings_decode_to_their_length_in_every_format(cases):
    recordings = [label for label in cases.labels if label.modality == "audio"]
    assert {label.path.rpartition(".")[2] for label in recordings} == {"wav", "flac", "mp3", "m4a"}
    assert {label.shots[0].kind for label in recordings} == {"speech", "dialog", "music", "singing", "rain"}
    for label in recordings:
        audio, rate = read_audio(cases.path(label))
        assert audio.shape[1] / rate == pytest.approx(label.duration_s, abs=0.06)
        speakers = {"speech": 1, "dialog": 2}.get(label.shots[0].kind, 0)
        assert len({part.speaker for part in label.transcript}) == speakers == len(label.shots[0].speakers)


def test_singing_is_pitched_and_wind_is_not(cases):
    def flatness(label):
        audio, rate = read_audio(cases.path(label))
        spectrum = np.abs(np.fft.rfft(audio[0][rate : 2 * rate] * np.hanning(rate)))[100:3000] ** 2 + 1e-12
        return np.exp(np.log(spectrum).mean()) / spectrum.mean()

    by_kind = {label.shots[0].kind: label for label in cases.clean() if len(label.shots) == 2}
    assert flatness(by_kind["singing"]) < 0.1
    landscape = next(label for label in cases.clean() if any(shot.kind == "landscape" for shot in label.shots))
    shot = next(shot for shot in landscape.shots if shot.kind == "landscape")
    frames = cases.film(landscape).frames_THWC[shot.start_frame : shot.end_frame]
    assert np.abs(frames[-1].astype(int) - frames[0]).mean() > 5


def test_what_is_no_media_cannot_be_opened(cases):
    broken = cases.with_defect("garbage")
    assert len({label.detail for label in broken}) == 7
    for label in broken:
        assert label.modality == "none"
        with pytest.raises(av.FFmpegError):
            read_film(cases.path(label))


def test_damage_is_counted_in_the_label(cases):
    (heavy,), (slight,) = cases.with_defect("damaged"), cases.with_defect("slightly_damaged")
    assert " 1 of " in slight.detail
    assert int(heavy.detail.split()[1]) > 10


def test_spoilt_files_are_spoilt(cases):
    (quiet,), (clipped,), (silent,) = (cases.with_defect(name) for name in ("quiet", "clipped", "silent"))
    levels = {label.defect: np.abs(read_audio(cases.path(label))[0]) for label in (quiet, clipped, silent)}
    assert np.sqrt((levels["quiet"] ** 2).mean()) < 0.003
    assert (levels["clipped"] > 0.95).mean() > 0.01
    assert levels["silent"].max() < 1e-3
    assert read_audio(cases.path(cases.with_defect("without_audio")[0]))[0] is None
    static = cases.film(cases.with_defect("static")[0]).frames_THWC
    assert np.abs(static[1:20].astype(int) - static[:19]).mean() < 1


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path):
    counts = CaseCounts(recordings=2, undecodable=6)
    for workers in (1, 2):
        config = SyntheticConfig(videos=0, audio_files=0, defects=DefectCounts(*[0] * 10), cases=counts)
        config.workers = workers
        generate(tmp_path / str(workers), config, SEED)
    assert sha256_tree(tmp_path / "1") == sha256_tree(tmp_path / "2")
