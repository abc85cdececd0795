import builtins
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from nava.artifacts.source_manifest import Source
from nava.config.annotation import AnnotationConfig
from nava.config.speech import SpeechConfig
from nava.data.annotation.endpoint import BusyError
from nava.data.curation.stage import Clip, SourceTask, check_stages
from nava.data.speech.recognition import Recogniser
from nava.data.speech.stages import AudioTagStage, SpeechStage, speech_stages
from nava.data.speech.transcript import Word
from nava.runtime.errors import RunStoppedError
from tests.data.speech.sounds import RATE_HZ, dialog, in_clip, rain, spoken, sung, tune, write_wav

T0_S = 10.0  # where the clips begin in their source


class Scripted(Recogniser):
    """Gives the words, or raises the error, that the test says."""

    backend = "scripted"

    def __init__(self, result):
        self.result, self.calls = result, 0

    def words(self, recording):
        self.calls += 1
        if isinstance(self.result, Exception):
            raise self.result
        return [Word(*one) for one in self.result]


def task_of(folder, *clips, transcript=None):
    source = Source("src-1", "a.mp4", "0" * 64, 1, None, "", "", transcript=transcript)
    made = []
    for number, samples in enumerate(clips):
        write_wav(folder / "media" / f"{number}.wav", samples)
        duration_s = len(samples) / RATE_HZ
        row = {"clip_id": str(number), "modality": "av", "audio_path": f"media/{number}.wav", "duration_s": duration_s}
        made.append(Clip(row | {"t0_us": int(T0_S * 1e6), "t1_us": int((T0_S + duration_s) * 1e6)}))
    return SourceTask(source, str(folder), folder, clips=made)


def listen(task, result=None, **recognition):
    """Run both stages; returns the rows and the recogniser that stood in, if any."""
    config = SpeechConfig()
    for name, value in recognition.items():
        setattr(config.recognition, name, value)
    stages = speech_stages(config, AnnotationConfig())
    for stage in stages:
        stage.setup()
    recogniser = None
    if result is not None:
        recogniser = stages[0]._recogniser = Scripted(result)
    for stage in stages:
        stage.process([task])
    return [clip.row for clip in task.clips], recogniser


def vtt(*cues):
    lines = [f"00:00:{t0:06.3f} --> 00:00:{t1:06.3f}\n{text}\n" for t0, t1, text in cues]
    return "\n".join(["WEBVTT\n", *lines])


def one_speaker():
    return in_clip((0.1, spoken(1, 4)), n_samples=len(spoken(1, 4)) + 3_200)


def test_without_transcript_and_recogniser_voices_are_counted_and_words_are_not_invented(tmp_path):
    (row, *_), _ = listen(task_of(tmp_path, one_speaker()))
    assert (row["speakers"], row["speech"], row["asr_backend"]) == (1, [], "none")
    assert 0.6 < row["speech_ratio"] <= 1.0
    assert (row["audio_tags"], row["audio_tag_backend"]) == (["single_speaker"], "rules.v1")


def test_kinds_of_clips_come_out_apart(tmp_path):
    rows, _ = listen(task_of(tmp_path, dialog()[0], sung(), tune(), rain(), in_clip()))
    tags = [row["audio_tags"] for row in rows]
    assert tags == [["multi_speaker"], ["singing"], ["music"], ["ambient"], ["silence"]]
    assert [row["speakers"] for row in rows] == [2, 0, 0, 0, 0]
    assert [row["speech_ratio"] > 0 for row in rows] == [True, False, False, False, False]


def test_a_transcripts_words_and_named_voices_come_first(tmp_path):
    cues = [(9.0, 10.5, "<v Ada>before in"), (10.6, 11.4, "<v Ben>No."), (50.0, 51.0, "<v Cleo>later")]
    task = task_of(tmp_path, one_speaker(), transcript=vtt(*cues))
    (row, *_), recogniser = listen(task, result=[("wrong", 0.1, 0.2)])
    assert row["asr_backend"] == "sidecar"
    assert [(span["speaker"], span["text"]) for span in row["speech"]] == [("Ada", "in"), ("Ben", "No.")]
    assert (row["speech"][1]["t0_s"], row["speech"][1]["t1_s"]) == (pytest.approx(0.6), pytest.approx(1.4))
    assert (row["speakers"], row["audio_tags"]) == (2, ["multi_speaker"])
    assert recogniser.calls == 0


def test_words_of_a_transcript_without_voices_go_to_the_turns(tmp_path):
    clip, start_s = dialog()
    cues = [(T0_S + 0.2, T0_S + start_s - 0.1, "one"), (T0_S + start_s + 0.1, T0_S + start_s + 0.5, "two")]
    (row, *_), _ = listen(task_of(tmp_path, clip, transcript=vtt(*cues)))
    assert [(span["speaker"], span["text"]) for span in row["speech"]] == [("S1", "one"), ("S2", "two")]
    assert row["speakers"] == 2


def test_a_transcript_that_is_silent_here_leaves_the_speakers_to_the_turns(tmp_path):
    task = task_of(tmp_path, one_speaker(), transcript=vtt((50.0, 51.0, "<v Ada>later")))
    (row, *_), _ = listen(task)
    assert (row["speech"], row["asr_backend"], row["speakers"]) == ([], "sidecar", 1)


def test_transcripts_may_be_switched_off(tmp_path):
    task = task_of(tmp_path, one_speaker(), transcript=vtt((10.1, 10.5, "<v Ada>Hi")))
    (row, *_), _ = listen(task, result=[("heard", 0.3, 0.6)], transcripts=False)
    assert row["asr_backend"] == "scripted"
    assert [(span["speaker"], span["text"]) for span in row["speech"]] == [("S1", "heard")]


def test_the_recogniser_is_asked_only_where_a_voice_is_heard(tmp_path):
    rows, recogniser = listen(task_of(tmp_path, rain(), one_speaker(), tune()), result=[("yes", 0.3, 0.6)])
    assert recogniser.calls == 1
    assert [len(row["speech"]) for row in rows] == [0, 1, 0]


def test_spans_lie_in_the_clip_whatever_a_recogniser_says(tmp_path):
    clip = one_speaker()
    length_s = len(clip) / RATE_HZ
    wild = [("a", -0.5, 0.6), ("b", length_s - 0.2, length_s + 0.1), ("c", length_s, length_s + 9), ("d", 1.0, 1.0)]
    (row, *_), _ = listen(task_of(tmp_path, clip), result=wild)
    assert all(0 <= span["t0_s"] < span["t1_s"] <= length_s for span in row["speech"])
    assert " ".join(span["text"] for span in row["speech"]).split() == ["a", "d", "b"]


def test_a_clip_that_is_not_recognised_fails_and_the_next_one_does_not(tmp_path):
    task = task_of(tmp_path, one_speaker(), rain())
    rows, _ = listen(task, result=BusyError("server is down (5 attempts)"))
    assert (rows[0]["status"], rows[0]["drop_reason"]) == ("failed", "speech_failed")
    assert "server is down" in rows[0]["detail"]
    assert (rows[1].get("status"), rows[1]["audio_tags"]) == (None, ["ambient"])


def test_a_fault_that_no_clip_is_to_blame_for_ends_the_run(tmp_path):
    with pytest.raises(RunStoppedError):
        listen(task_of(tmp_path, one_speaker()), result=RunStoppedError("the key is refused"))


def test_the_same_clips_give_the_same_rows(tmp_path):
    first, _ = listen(task_of(tmp_path / "a", dialog()[0], one_speaker()))
    second, _ = listen(task_of(tmp_path / "b", dialog()[0], one_speaker()))
    assert first == second


def test_nothing_is_read_but_the_clips_sound(tmp_path, monkeypatch):
    """The truth about generated media lies near them: no code path may open it."""
    media = tmp_path / "media-root"
    (media / "truth").mkdir(parents=True)
    for name in ("labels.jsonl", "truth/a.mp4.json", "a.vtt"):
        (media / name).write_text("not to be read")
    task = task_of(tmp_path / "work", one_speaker(), transcript=None)
    task.media_root = str(media)
    config = SpeechConfig()
    stages = speech_stages(config, AnnotationConfig())
    for stage in stages:
        stage.setup()
    opened = []

    def watch(function):
        def call(file, *args, **kwargs):
            opened.append(str(file))
            return function(file, *args, **kwargs)

        return call

    for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "listdir"), (os, "scandir")):
        monkeypatch.setattr(module, name, watch(getattr(module, name)))
    for stage in stages:
        stage.process([task])
    monkeypatch.undo()
    under = [Path(name) for name in opened if str(tmp_path) in name]
    assert {path.name for path in under} == {"0.wav"}
    assert task.clips[0].row["asr_backend"] == "none"


def test_no_module_that_listens_knows_the_labels():
    folder = Path(sys.modules[SpeechStage.__module__].__file__).parent
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    assert not any(word in text for word in ("data.synthetic", "labels.jsonl", "LABELS_NAME", "truth"))


def test_the_stages_fit_together_and_travel_to_workers():
    stages = speech_stages(SpeechConfig(), AnnotationConfig())
    assert [type(stage) for stage in stages] == [SpeechStage, AudioTagStage]
    assert pickle.loads(pickle.dumps(stages)) == stages
    given = {"audio_path", "duration_s", "t0_us", "t1_us"}
    assert set(stages[0].reads) <= given
    assert set(stages[1].reads) <= given | set(stages[0].adds)
    with pytest.raises(ValueError, match="audio_path"):
        check_stages(stages)


def test_planning_the_stages_loads_no_framework():
    code = """
import sys
from nava.config.annotation import AnnotationConfig
from nava.config.speech import SpeechConfig
from nava.data.speech.stages import speech_stages
speech_stages(SpeechConfig(), AnnotationConfig())
print(sorted({"torch", "openai", "faster_whisper", "onnxruntime", "scipy", "cv2"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
