import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nava.config.synthetic import DefectCounts
from nava.data.synthetic import generate as generator
from nava.data.synthetic.drawing import COLOURS, Stage, rgb
from nava.data.synthetic.files import read_audio
from nava.data.synthetic.generate import generate
from nava.data.synthetic.labels import read_labels
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_tree
from tests.data.synthetic.corpora import SEED, brightness_track, tiny_config
from tests.runtime.running import is_running

START_DEADLINE_S = 900.0


def flash_shots(corpus):
    found = [(label, shot) for label in corpus.clean() for shot in label.shots if shot.kind == "flash"]
    assert len(found) >= 4
    return found


def onset_s(audio_L: np.ndarray, rate: int, event_s: float) -> float:
    """When the sound first rises above a third of its peak near an event."""
    first = max(0, round((event_s - 0.04) * rate))
    near = np.abs(audio_L[first : round((event_s + 0.04) * rate)])
    return (first + int(np.flatnonzero(near > near.max() / 3)[0])) / rate


def test_everything_planned_is_there_and_labelled(corpus):
    media = {path.relative_to(corpus.folder / "media").as_posix() for path in (corpus.folder / "media").rglob("*.*")}
    sidecars = {label.sidecar for label in corpus.labels if label.sidecar}
    assert media == {label.path for label in corpus.labels} | sidecars
    assert Counter(label.defect for label in corpus.labels if label.defect) == asdict(corpus.config.defects)
    assert {label.path.rpartition(".")[2] for label in corpus.labels} == {"mp4", "wav", "flac", "mp3"}


def test_labels_carry_the_hash_of_their_file(corpus):
    for label in corpus.labels:
        assert label.sha256 == sha256_file(corpus.path(label))


def test_labels_tell_the_form_of_each_clean_file(corpus):
    for label in corpus.clean():
        film = corpus.film(label)
        assert film.frames_THWC.shape == (label.frames, label.height, label.width, 3)
        assert film.fps == Fraction(label.fps)
        assert len(film.audio_CL) == label.channels
        assert film.sample_rate_hz == label.sample_rate_hz
        assert label.duration_s == pytest.approx(float(label.frames / film.fps), abs=1e-5)


def test_flashes_are_in_the_picture_at_the_labelled_frames(corpus):
    for label, shot in flash_shots(corpus):
        fps = Fraction(label.fps)
        track = brightness_track(corpus.film(label).frames_THWC)[shot.start_frame : shot.end_frame]
        jumps = np.flatnonzero(np.diff(track) > 4) + 1 + shot.start_frame
        expected = [int(np.ceil(event * fps - 1e-3)) for event in shot.events_s]
        assert len(jumps) == len(expected)
        assert np.abs(jumps - expected).max() <= 1


def test_flashes_are_in_the_sound_at_the_labelled_times(corpus):
    for label, shot in flash_shots(corpus):
        audio, rate = read_audio(corpus.path(label))
        errors = [onset_s(audio[0], rate, event) - event for event in shot.events_s]
        assert np.abs(errors).max() < 0.01


def test_flashes_have_the_labelled_pitch_colour_and_side(corpus):
    for label, shot in flash_shots(corpus):
        audio, rate = read_audio(corpus.path(label))
        event = shot.events_s[0]
        block = audio[0, round(event * rate) : round((event + 0.2) * rate)]
        peak = np.argmax(np.abs(np.fft.rfft(block, 1 << 16))) * rate / (1 << 16)
        assert peak == pytest.approx(shot.pitch_hz, rel=0.04)

        frames = corpus.film(label).frames_THWC.astype(int)
        light = np.ptp(frames[shot.start_frame : shot.end_frame], axis=0)
        lit = light.max(axis=2) > 60
        centre = np.argwhere(lit)[:, 1].mean() / label.width
        assert ("left" if centre < 0.5 else "right") == shot.side
        hue = light[lit].mean(axis=0)
        cosine = {name: hue @ rgb(name) / np.linalg.norm(hue) / np.linalg.norm(rgb(name)) for name in COLOURS}
        assert max(cosine, key=cosine.get) == shot.colour


def test_flashes_lie_in_the_square_that_curation_keeps(corpus):
    for label, shot in flash_shots(corpus):
        stage = Stage(label.width, label.height, Fraction(label.fps), label.sample_rate_hz)
        rows, columns = stage.box(0, 0, 1, 1)
        lit = np.ptp(corpus.film(label).frames_THWC[shot.start_frame : shot.end_frame], axis=0).max(axis=2) > 40
        outside = lit.copy()
        outside[rows, columns] = False
        assert lit.any()
        assert not outside.any()


def test_a_perceptual_hash_detector_finds_the_hard_cuts_and_no_flash(corpus):
    detectors = pytest.importorskip("scenedetect.detectors")
    scenedetect = pytest.importorskip("scenedetect")
    hard_cuts = 0
    for label in corpus.clean():
        video = scenedetect.open_video(str(corpus.path(label)), backend="pyav")
        manager = scenedetect.SceneManager()
        manager.add_detector(detectors.HashDetector())
        manager.detect_scenes(video)
        found = {scene[0].frame_num for scene in manager.get_scene_list()[1:]}
        starts = {shot.start_frame for shot, cut in zip(label.shots[1:], label.cuts, strict=True) if cut.kind == "hard"}
        hard_cuts += len(starts)
        assert starts <= found
        for shot in label.shots:
            if shot.kind == "flash" and not any(cut.kind == "fade" for cut in label.cuts):
                assert not any(shot.start_frame < frame < shot.end_frame for frame in found)
    assert hard_cuts >= 3


def test_speech_is_where_the_transcript_says(corpus):
    spoken = [label for label in corpus.labels if label.transcript and label.modality == "audio"]
    assert spoken
    for label in spoken:
        audio, rate = read_audio(corpus.path(label))
        power = audio[0] ** 2
        during = [
            power[round(word.start_s * rate) : round(word.end_s * rate)].mean()
            for part in label.transcript
            for word in part.words
        ]
        between = [
            power[round((a.end_s + 0.02) * rate) : round((b.start_s - 0.02) * rate)].mean()
            for a, b in zip(label.transcript, label.transcript[1:], strict=False)
        ]
        assert np.mean(during) > 100 * max(between)


def test_transcripts_lie_beside_most_but_not_all_speech(corpus):
    for label in corpus.labels:
        beside = corpus.path(label).with_suffix(".vtt")
        assert beside.exists() == bool(label.sidecar)
        if label.sidecar:
            text = beside.read_text()
            assert text.startswith("WEBVTT\n")
            for part in label.transcript:
                assert f"<v {part.speaker}>{part.text}" in text
                assert " ".join(word.word for word in part.words) == part.text.translate(str.maketrans("", "", ".,?"))
    assert any(label.sidecar for label in corpus.labels)


def test_sidecars_can_be_left_out_altogether(tmp_path):
    generate(tmp_path, tiny_config(audio_files=1, videos=0, sidecar_share=0.0), SEED)
    assert read_labels(tmp_path)[0].transcript
    assert not list(tmp_path.rglob("*.vtt"))


def test_the_bytes_do_not_depend_on_the_number_of_workers(corpus, tmp_path):
    config = tiny_config(videos=1, audio_files=3, defects=DefectCounts(1, 1, 1, 0, 0, 0, 0, 1, 2, 0))
    generate(tmp_path / "one", config, SEED)
    config.workers = 2
    generate(tmp_path / "two", config, SEED)
    assert sha256_tree(tmp_path / "one") == sha256_tree(tmp_path / "two")


def test_another_seed_makes_other_files(tmp_path):
    for seed in (1, 2):
        generate(tmp_path / str(seed), tiny_config(videos=1, audio_files=1), seed)
    one, two = (read_labels(tmp_path / str(seed)) for seed in (1, 2))
    assert {label.sha256 for label in one}.isdisjoint(label.sha256 for label in two)


def test_what_is_complete_is_not_made_again(tmp_path, monkeypatch):
    config = tiny_config()
    generate(tmp_path, config, SEED)
    reference = sha256_tree(tmp_path)
    monkeypatch.setattr(generator, "render_file", lambda *_: pytest.fail("rendered again"))
    generate(tmp_path, config, SEED)
    assert sha256_tree(tmp_path) == reference


def test_only_what_is_missing_or_damaged_is_made_again(tmp_path, monkeypatch):
    config = tiny_config(videos=3, audio_files=3)
    media = generate(tmp_path, config, SEED)
    reference = sha256_tree(tmp_path)
    (media / "video/v0000.mp4").unlink()
    (media / "video/v0001.mp4").write_bytes(b"damaged")
    (media / "audio/a0000.vtt").unlink()
    (tmp_path / "truth/audio-a0001.flac.json").unlink()
    (tmp_path / "labels.jsonl").unlink()
    for partial in (media / "video/.12ab34cd.part.mp4", tmp_path / "truth/.video-v0002.mp4.json.12ab34cd.part"):
        partial.write_bytes(b"left by a killed run")

    rendered, render = [], generator.render_file
    monkeypatch.setattr(generator, "render_file", lambda out, plan: rendered.append(plan.path) or render(out, plan))
    generate(tmp_path, config, SEED)
    assert sorted(rendered) == ["audio/a0000.wav", "audio/a0001.flac", "video/v0000.mp4", "video/v0001.mp4"]
    assert sha256_tree(tmp_path) == reference


def test_a_changed_plan_makes_its_files_again(tmp_path):
    generate(tmp_path / "changed", tiny_config(flash_share=0.0), SEED)
    generate(tmp_path / "changed", tiny_config(flash_share=1.0), SEED)
    generate(tmp_path / "fresh", tiny_config(flash_share=1.0), SEED)
    assert sha256_tree(tmp_path / "changed") == sha256_tree(tmp_path / "fresh")


def wait_until(condition) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.02)


def child_processes(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the process tree from /proc")
def test_a_killed_run_leaves_no_worker_and_goes_on_to_the_same_bytes(tmp_path):
    config = tiny_config(videos=6, audio_files=1, workers=2)
    program = (
        "import json, sys; from pathlib import Path\n"
        "from nava.config.synthetic import CaseCounts, DefectCounts, SyntheticConfig\n"
        "from nava.data.synthetic.generate import generate\n"
        "values = json.loads(sys.argv[2]); values['defects'] = DefectCounts(**values['defects'])\n"
        "values['cases'] = CaseCounts(**values['cases'])\n"
        "generate(Path(sys.argv[1]), SyntheticConfig(**values), int(sys.argv[3]))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "killed"), json.dumps(asdict(config)), str(SEED)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        truth = tmp_path / "killed" / "truth"
        wait_until(lambda: process.poll() is not None or any(truth.glob("*.json")))
        assert process.poll() is None, "the run ended before its first file"
        workers = child_processes(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert workers
        wait_until(lambda: not any(is_running(pid) for pid in workers))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    finished = {path: path.stat().st_mtime_ns for path in truth.glob("*.json")}
    assert 0 < len(finished) < 7
    assert not (tmp_path / "killed" / "labels.jsonl").exists()

    config.workers = 1
    generate(tmp_path / "killed", config, SEED)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    generate(tmp_path / "whole", config, SEED)
    assert sha256_tree(tmp_path / "killed") == sha256_tree(tmp_path / "whole")


def test_a_folder_with_files_of_another_origin_is_refused(tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "holiday.mp4").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"1 files that are not of this corpus \(first: holiday.mp4\)"):
        generate(tmp_path, tiny_config(), SEED)
    assert (tmp_path / "media" / "holiday.mp4").read_bytes() == b"mine"


def test_without_espeak_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="espeak-ng"):
        generate(tmp_path / "corpus", tiny_config(), SEED)
    assert not (tmp_path / "corpus").exists()


def test_a_setting_out_of_range_writes_nothing(tmp_path):
    with pytest.raises(InputError, match="flash_share"):
        generate(tmp_path / "corpus", tiny_config(flash_share=2.0), SEED)
    assert not (tmp_path / "corpus").exists()


def test_an_empty_corpus_is_a_folder_with_empty_labels(tmp_path):
    media = generate(tmp_path, tiny_config(videos=0, audio_files=0), SEED)
    assert media.is_dir()
    assert read_labels(tmp_path) == []
