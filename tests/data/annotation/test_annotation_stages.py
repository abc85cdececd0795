"""Visual tags, captions and prompts of clips on disk, by rules and through the contract stub."""

import pickle
import re
import sys
import threading

import pytest

from nava.artifacts.clip_manifest import Reason, Status
from nava.conditioning.prompt import parse_prompt, speech_in
from nava.config.annotation import AnnotationConfig
from nava.data.annotation.clients import make_client
from nava.data.annotation.cost import REPORT_FILE, BudgetSpentError
from nava.data.annotation.stages import CaptionStage, PromptStage, VisualTagStage, annotation_stages
from nava.runtime.errors import InputError, RunStoppedError
from nava.runtime.storage import read_json
from tests.data.annotation.conftest import faults
from tests.data.annotation.contract_stub import Fault, serving
from tests.data.annotation.kept_clips import ANSWERS, grounded, stub_config, task_of, utterance, write_clip


@pytest.fixture
def stub():
    with serving(answers=dict(ANSWERS)) as server:
        yield server
        assert server.violations == []


def run(stages, task):
    for stage in stages:
        stage.setup()
        (task,) = stage.process([task])
    return task


def annotate(config, folder, *clips):
    return run(annotation_stages(config), task_of(folder, *clips)).clips


def test_the_rules_need_nothing_and_write_what_they_always_wrote(tmp_path):
    spoken = [utterance("where is it"), utterance("here", 1.0, 1.4, "Ben")]
    silent, talking = annotate(
        AnnotationConfig(), tmp_path, write_clip(tmp_path, "a"), write_clip(tmp_path, "b", speech=spoken, speakers=2)
    )
    sentence = "A blue bar on the right flashes, with a low tone at each flash."
    assert silent.row["caption"] == sentence
    assert silent.row["tags"] == ["flash", "side:right", "colour:blue", "sound:struck_tone", "pitch:low"]
    assert (silent.row["caption_backend"], silent.row["caption_model"]) == ("rules.v1", "rules.v1")
    assert talking.row["caption"] == f"{sentence} <S>where is it<E> <S>here<E>"
    assert talking.row["tags"] == [*silent.row["tags"], "transcript"]
    assert talking.row["speech"] == spoken
    assert talking.row["asr_backend"] == "none"
    assert silent.row["prompt"] == (
        "Visual: A blue bar on the right.\nTemporal dynamics: The bar flashes.\nCamera: A static camera.\n"
        "Audio: A low tone at each flash."
    )
    assert talking.row["prompt"] == (
        f"{silent.row['prompt']} Ada (0.2 to 0.9 s): <S>where is it<E> Ben (1.0 to 1.4 s): <S>here<E>"
    )
    assert [span.times_s for span in speech_in(talking.row["prompt"])] == [(0.2, 0.9), (1.0, 1.4)]


def test_sound_alone_has_an_audio_part_and_no_visual_tags(tmp_path):
    (clip,) = annotate(AnnotationConfig(), tmp_path, write_clip(tmp_path, has_picture=False))
    assert clip.row["caption"] == "A low tone at each strike."
    assert clip.row["prompt"] == "Audio: A low tone at each strike."
    assert clip.row["visual_tags"] is None
    assert clip.row["visual_tag_backend"] is None


def test_stages_travel_to_workers_before_they_are_set_up(tmp_path):
    stages = pickle.loads(pickle.dumps(annotation_stages(AnnotationConfig())))
    assert run(stages, task_of(tmp_path, write_clip(tmp_path))).clips[0].row["prompt"]


def test_what_stages_pass_on_travels_too(tmp_path):
    task = run([CaptionStage(AnnotationConfig())], task_of(tmp_path, write_clip(tmp_path)))
    task = run([PromptStage()], pickle.loads(pickle.dumps(task)))
    assert task.clips[0].row["prompt"].startswith("Visual: ")


def test_closed_clips_are_left_alone(tmp_path):
    dropped = write_clip(tmp_path)
    dropped.close(Reason.BLURRED, "x", "filters")
    before = dict(dropped.row)
    (clip,) = annotate(AnnotationConfig(), tmp_path, dropped)
    assert clip.row == before


def test_two_models_see_and_hear_and_their_words_stand_side_by_side(stub, monkeypatch, tmp_path):
    config = stub_config(stub, monkeypatch, tmp_path)
    (clip,) = annotate(config, tmp_path, write_clip(tmp_path, speech=[utterance("Good morning.")]))
    said = "A woman at a desk. She looks up. A static medium shot. Rain on glass."
    assert clip.row["caption"] == f"{said} <S>Good morning.<E>"
    assert clip.row["caption_backend"] == "openai:stub-vision + openai:stub-sound (unproven)"
    assert clip.row["caption_model"] == "stub-vision + stub-sound"
    assert clip.row["tags"] == []
    prompt = parse_prompt(clip.row["prompt"])
    assert (prompt.visual, prompt.temporal, prompt.camera) == tuple(ANSWERS["picture_caption"].values())
    assert prompt.audio == "Rain on glass. Ada (0.2 to 0.9 s): <S>Good morning.<E>"
    media = {seen.form: seen.media for seen in stub.seen}
    assert media == {"picture_caption": [("video", 49)], "sound_caption": [("audio", 33_280)]}


def test_frames_of_the_clip_go_with_their_times(stub, monkeypatch, tmp_path):
    config = stub_config(stub, monkeypatch, tmp_path)
    config.picture.picture_input, config.picture.frames = "frames", 4
    annotate(config, tmp_path, write_clip(tmp_path))
    (seen,) = [seen for seen in stub.seen if seen.form == "picture_caption"]
    assert seen.media == [("image", (64, 64))] * 4
    assert seen.text.split("\n") == ["At 0.25 s:", "At 0.75 s:", "At 1.25 s:", "At 1.75 s:"]


def test_a_third_model_rewrites(stub, monkeypatch, tmp_path):
    config = stub_config(stub, monkeypatch, tmp_path, fusion="rewriting")
    (clip,) = annotate(config, tmp_path, write_clip(tmp_path, speech=[utterance("Good morning.")]))
    assert clip.row["caption"].startswith("A woman at a desk by a window in the rain. She looks up.")
    assert clip.row["caption"].endswith("Rain taps on the window. <S>Good morning.<E>")
    assert clip.row["caption_backend"].endswith("gemini:stub-rewriter (unproven)")
    text = stub.seen[-1].text
    assert "Picture: A woman at a desk." in text
    assert "Sound: Rain on glass." in text
    assert "Transcript: Good morning." in text


def test_sound_alone_is_heard_and_not_rewritten(stub, monkeypatch, tmp_path):
    config = stub_config(stub, monkeypatch, tmp_path, fusion="rewriting")
    (clip,) = annotate(config, tmp_path, write_clip(tmp_path, has_picture=False))
    assert clip.row["caption"] == "Rain on glass."
    assert clip.row["prompt"] == "Audio: Rain on glass."
    assert clip.row["caption_model"] == "stub-sound"
    assert [seen.form for seen in stub.seen] == ["sound_caption"]


SPOKEN = [
    grounded("Good morning.", voice="young woman", emotion="cheerful", rate="fast", position="on the left"),
    grounded("Morning!", 1.0, 1.5, "man"),
]


def test_clips_with_several_speakers_go_to_the_grounded_model(stub, monkeypatch, tmp_path):
    stub.answers["stub-grounding"] = ANSWERS["stub-grounding"] | {"speech": SPOKEN}
    config = stub_config(stub, monkeypatch, tmp_path, grounding={"multi_speaker": True})
    recognised = [utterance("good morning"), utterance("Morning", 1.0, 1.4)]
    one, several = annotate(
        config,
        tmp_path,
        write_clip(tmp_path, "one", speakers=1),
        write_clip(tmp_path, "several", speakers=2, speech=recognised, asr_backend="whisper"),
    )
    assert one.row["caption_model"] == "stub-vision + stub-sound"
    assert several.row["caption_backend"] == "gemini:stub-grounding (unproven)"
    assert several.row["speech"] == [
        utterance("Good morning.", 0.2, 0.9, "woman"),
        utterance("Morning!", 1.0, 1.5, "man"),
    ]
    assert several.row["asr_backend"] == "whisper + gemini:stub-grounding (unproven)"
    assert several.row["caption"].endswith("Rain on glass. <S>Good morning.<E> <S>Morning!<E>")
    assert several.row["prompt"].endswith(
        "Audio: Rain on glass. woman (young woman, cheerful, fast, on the left, 0.2 to 0.9 s): <S>Good morning.<E> "
        "man (1.0 to 1.5 s): <S>Morning!<E>"
    )
    (seen,) = [seen for seen in stub.seen if seen.model == "stub-grounding"]
    assert seen.media == [("video", 49)]
    assert seen.text == "The clip lasts 2.04 s."


def test_grounded_spans_are_the_speech_where_nothing_was_recognised(stub, monkeypatch, tmp_path):
    stub.answers["stub-grounding"] = ANSWERS["stub-grounding"] | {"speech": SPOKEN[:1]}
    config = stub_config(stub, monkeypatch, tmp_path, grounding={"multi_speaker": True})
    (clip,) = annotate(config, tmp_path, write_clip(tmp_path, speakers=2))
    assert clip.row["speech"] == [utterance("Good morning.", 0.2, 0.9, "woman")]
    assert clip.row["asr_backend"] == "gemini:stub-grounding (unproven)"


def test_sound_of_several_speakers_alone_is_grounded_too(stub, monkeypatch, tmp_path):
    stub.answers["stub-grounding"] = {"audio": "Two voices.", "speech": SPOKEN}
    config = stub_config(stub, monkeypatch, tmp_path, grounding={"multi_speaker": True})
    (clip,) = annotate(config, tmp_path, write_clip(tmp_path, has_picture=False, speakers=2))
    assert clip.row["caption"] == "Two voices. <S>Good morning.<E> <S>Morning!<E>"
    assert stub.seen[0].media == [("audio", 33_280)]


@pytest.mark.parametrize(
    ("speech", "problem"),
    [
        ([grounded("We never met.")], r"agrees with whisper in 0\.00 of the words"),
        ([grounded("Good morning.", 0.2, 2.4)], r"lasts from 0\.20 to 2\.40 s; the clip from 0 to 2\.04 s"),
    ],
)
def test_a_grounded_transcript_that_does_not_hold_fails_the_clip(stub, monkeypatch, tmp_path, speech, problem):
    stub.answers["stub-grounding"] = ANSWERS["stub-grounding"] | {"speech": speech}
    config = stub_config(stub, monkeypatch, tmp_path, grounding={"multi_speaker": True})
    config.grounding.endpoint.max_attempts = 1
    clip = write_clip(tmp_path, speakers=2, speech=[utterance("good morning")], asr_backend="whisper")
    (clip,) = annotate(config, tmp_path, clip)
    assert (clip.row["status"], clip.row["drop_reason"]) == (Status.FAILED, Reason.CAPTION_FAILED)
    assert re.search(problem, clip.row["detail"])


def test_a_caption_that_denies_speech_beside_speech_fails_the_clip(stub, monkeypatch, tmp_path):
    stub.answers["sound_caption"] = {"audio": "Rain, and nobody speaks."}
    config = stub_config(stub, monkeypatch, tmp_path)
    still, talking = annotate(
        config, tmp_path, write_clip(tmp_path, "a"), write_clip(tmp_path, "b", speech=[utterance("Hello.")])
    )
    assert still.is_open
    assert talking.row["drop_reason"] == Reason.CAPTION_FAILED
    assert "captions: the caption says that nobody speaks, and there are 1 utterances" in talking.row["detail"]


def test_one_clip_fails_and_nothing_else_is_lost(stub, monkeypatch, tmp_path):
    config = stub_config(stub, monkeypatch, tmp_path, max_in_flight=1)
    stub.faults = faults(Fault.BAD_REQUEST)
    first, second = annotate(
        config, tmp_path, write_clip(tmp_path, "a"), write_clip(tmp_path, "b", colour=(230, 40, 40))
    )
    assert (first.row["status"], first.row["drop_reason"], first.row["stage"]) == (
        "failed",
        "caption_failed",
        "captions",
    )
    assert "HTTP 400" in first.row["detail"]
    assert first.row.get("caption") is None
    assert second.is_open
    assert second.row["prompt"]


def test_a_killed_run_pays_for_nothing_twice(stub, monkeypatch, tmp_path):
    config = stub_config(stub, monkeypatch, tmp_path)
    clips = [write_clip(tmp_path, name, colour=colour) for name, colour in (("a", (230, 40, 40)), ("b", (40, 200, 40)))]
    annotate(config, tmp_path, clips[0])
    asked = len(stub.seen)
    again = annotate(config, tmp_path, *clips)
    assert all(clip.row["caption"] for clip in again)
    # Sounds of both clips are the same; so only the second picture is new.
    assert len(stub.seen) == asked + 1
    report = read_json(tmp_path / "cache" / REPORT_FILE)
    assert sum(cost["calls"] for cost in report["models"].values()) == len(stub.seen)


def test_a_spent_budget_stops_the_run_and_blames_no_clip(stub, monkeypatch, tmp_path):
    config = stub_config(stub, monkeypatch, tmp_path, max_cost_usd=0.001)
    task = task_of(tmp_path, write_clip(tmp_path))
    with pytest.raises(BudgetSpentError, match=r"annotation\.max_cost_usd is 0\.001 USD"):
        run([CaptionStage(config)], task)
    assert task.clips[0].is_open
    assert stub.seen == []


def test_a_refused_key_stops_the_run(stub, monkeypatch, tmp_path):
    stub.faults = faults(*[Fault.NO_KEY] * 4)
    task = task_of(tmp_path, *(write_clip(tmp_path, name) for name in "ab"))
    with pytest.raises(RunStoppedError, match="HTTP 401"):
        run([CaptionStage(stub_config(stub, monkeypatch, tmp_path))], task)
    assert all(clip.is_open for clip in task.clips)


def test_a_missing_key_is_told_before_anything_runs(stub, monkeypatch, tmp_path):
    config = stub_config(stub, monkeypatch, tmp_path)
    monkeypatch.delenv("NAVA_STUB_KEY")
    with pytest.raises(InputError, match=r"annotation\.picture\.api_key_variable .* NAVA_STUB_KEY, which is not set"):
        annotation_stages(config)


@pytest.mark.parametrize(("provider", "library"), [("openai", "openai"), ("gemini", "google.genai")])
def test_a_missing_library_is_told_before_anything_runs(stub, monkeypatch, tmp_path, provider, library):
    config = stub_config(stub, monkeypatch, tmp_path, fusion="rewriting")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf"provider is {provider}, .*pip install 'nava\[caption\]'"):
        annotation_stages(config)


def test_two_stages_share_the_limits_of_an_endpoint(stub, monkeypatch, tmp_path):
    config = stub_config(stub, monkeypatch, tmp_path)
    first, second = (make_client(config.picture, name, config) for name in ("annotation.picture", "annotation.tagger"))
    other = make_client(config.sound, "annotation.sound", config)
    assert first._limiter is second._limiter
    assert first._limiter is not other._limiter
    assert first._account is second._account is other._account


def test_clips_of_a_source_are_asked_about_at_the_same_time(stub, monkeypatch, tmp_path):
    """The stub answers only once three requests are there together."""
    stub.gate = threading.Barrier(3)
    config = stub_config(stub, monkeypatch, tmp_path, captioner="rules", visual_tagger="endpoint", max_in_flight=3)
    colours = [(230, 40, 40), (40, 200, 40), (40, 40, 230)]
    clips = [write_clip(tmp_path, f"c{number}", colour=colour) for number, colour in enumerate(colours)]
    task = run([VisualTagStage(config)], task_of(tmp_path, *clips))
    assert stub.most_in_flight == 3
    assert [clip.row["visual_tags"] for clip in task.clips] == [["documentary", "interview"]] * 3
    assert task.clips[0].row["visual_tag_backend"] == "openai:stub-vision (unproven)"
