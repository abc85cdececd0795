"""Audio tags by a model behind an endpoint, against the contract stub: a closed list, and no clip lost in silence."""

import pickle
import subprocess
import sys
import threading

import pytest

from nava.config.annotation import AnnotationConfig, EndpointConfig
from nava.config.curation import CurationConfig
from nava.config.speech import AudioTagConfig, SpeechConfig
from nava.data.annotation.clients import make_client
from nava.data.annotation.cost import CALLS_FILE, BudgetSpentError, CostAccount
from nava.data.annotation.endpoint import AnswerError, BusyError, RefusedError
from nava.data.clip_media import read_wav
from nava.data.curation.plan import CurationPlan
from nava.data.speech.audio_tags import AudioTag
from nava.data.speech.recognition import Recording
from nava.data.speech.stages import AudioTagStage, speech_stages
from nava.data.speech.tagging_endpoint import FORM, INSTRUCTIONS, EndpointAudioTagger, read_audio_tags
from nava.runtime.errors import InputError, RunStoppedError
from tests.data.annotation.conftest import ENDPOINTS, Waits, chat, faults, metered
from tests.data.annotation.contract_stub import KEY, Fault, serving
from tests.data.speech.sounds import RATE_HZ, rain, sung, tune, write_wav
from tests.data.speech.test_speech_stages import task_of

KEY_VARIABLE = "NAVA_STUB_KEY"
MUSIC = {"tags": ["music"]}


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    # The chat API names the form, Gemini's only its properties.
    with serving(answers={"audio_tags": MUSIC, "tags": MUSIC}) as server:
        yield server
        assert server.violations == []


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "clip.wav"
    write_wav(path, tune())
    return Recording(read_wav(path, RATE_HZ), path)


def tagger(endpoint, folder, **changes):
    return EndpointAudioTagger(metered(endpoint, folder / "cache", **changes), EndpointConfig())


def settings(stub, folder, provider="openai", model="stub-sound", attempts=1, **annotation):
    """The sections `speech.audio_tags` and `annotation` that send clips to the stub."""
    url = f"{stub.url}/v1" if provider == "openai" else stub.url
    config = EndpointConfig(provider, model, base_url=url, api_key_variable=KEY_VARIABLE, max_attempts=attempts)
    config.input_price_usd, config.output_price_usd = 1.0, 10.0
    return AudioTagConfig("endpoint", endpoint=config), AnnotationConfig(cache_dir=str(folder / "cache"), **annotation)


def tag(folder, sections, *clips, speakers=0):
    """Run the stage over clips in which so many speak."""
    task = task_of(folder, *clips)
    for clip in task.clips:
        clip.row["speakers"] = speakers
    stage = pickle.loads(pickle.dumps(AudioTagStage(*sections)))
    stage.setup()
    return stage.process([task])[0].clips


@pytest.mark.parametrize("api", ENDPOINTS)
def test_a_model_hears_the_clip_and_chooses_from_the_list(stub, tmp_path, recording, api):
    made = tagger(ENDPOINTS[api](stub, model="stub-sound"), tmp_path)
    assert made.kinds(recording, 0, 0.0) == {AudioTag.MUSIC}
    assert made.backend == f"{api}:stub-sound (unproven)"
    (seen,) = stub.seen
    assert seen.media == [("audio", len(recording.samples_N))]
    assert (seen.instructions, seen.text) == (INSTRUCTIONS, "")
    asked = (
        seen.body["response_format"]["json_schema"]["schema"]
        if api == "openai"
        else seen.body["generationConfig"]["responseJsonSchema"]
    )
    assert asked["properties"]["tags"]["items"]["enum"] == [str(tag) for tag in AudioTag]


def test_the_sound_goes_as_input_audio_or_as_the_server_takes_it(stub, tmp_path, recording):
    for part in ("input_audio", "audio_url"):
        tagger(chat(stub, "stub-sound", audio_part=part), tmp_path / part).kinds(recording, 0, 0.0)
    kinds = [seen.body["messages"][1]["content"][0]["type"] for seen in stub.seen]
    assert kinds == ["input_audio", "audio_url"]


@pytest.mark.parametrize(
    ("tags", "speakers", "kinds"),
    [
        (["music", "singing"], 0, {AudioTag.MUSIC, AudioTag.SINGING}),
        (["single_speaker", "music"], 1, {AudioTag.MUSIC}),
        (["multi_speaker"], 1, set()),
        (["multi_speaker"], 0, {AudioTag.AMBIENT}),
        (["ambient", "single_speaker"], 0, {AudioTag.AMBIENT}),
        (["silence"], 0, {AudioTag.SILENCE}),
    ],
)
def test_speakers_are_counted_from_the_turns_whatever_the_model_says(stub, tmp_path, recording, tags, speakers, kinds):
    stub.answers["audio_tags"] = {"tags": tags}
    # What the pitch says of singing is not asked.
    assert tagger(chat(stub, "stub-sound"), tmp_path).kinds(recording, speakers, 9.0) == kinds


@pytest.mark.parametrize("api", ENDPOINTS)
def test_a_storm_of_faults_ends_in_tags_that_are_paid_once(stub, tmp_path, recording, api):
    stub.retry_after = "7"
    stub.faults = faults(
        Fault.TOO_MANY, Fault.SERVER_ERROR, Fault.CLOSED, Fault.CUT_JSON, Fault.CUT_LENGTH, Fault.OTHER_FORM
    )
    waits = Waits()
    endpoint = ENDPOINTS[api](stub, model="stub-sound")
    made = tagger(endpoint, tmp_path, waits=waits, attempts=7)
    assert made.kinds(recording, 0, 0.0) == {AudioTag.MUSIC}
    assert waits.slept == [8.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert tagger(endpoint, tmp_path).kinds(recording, 0, 0.0) == {AudioTag.MUSIC}
    assert len(stub.seen) == 7
    # Three answers of no use, and the good one.
    assert CostAccount(tmp_path / "cache", 0).totals()["stub-sound"].calls == 4


def test_a_server_that_does_not_answer_in_time_is_asked_again(stub, tmp_path, recording):
    stub.faults = faults(Fault.HANGS)
    made = tagger(chat(stub, "stub-sound", timeout_s=1.0), tmp_path)
    assert made.kinds(recording, 0, 0.0) == {AudioTag.MUSIC}
    stub.faults = faults(Fault.HANGS)
    with pytest.raises(BusyError, match="did not answer in time"):
        tagger(chat(stub, "stub-sound", timeout_s=1.0), tmp_path / "other", attempts=1).kinds(recording, 0, 0.0)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "no object of tags alone"),
        (["music"], "no object of tags alone"),
        ({}, "no object of tags alone"),
        ({"tags": ["music"], "why": "a tune"}, "no object of tags alone"),
        ({"tags": "music"}, "no list of tags"),
        ({"tags": []}, "no list of tags"),
        ({"tags": [1]}, "no list of tags"),
        ({"tags": ["Music"]}, "outside the list: Music"),
        ({"tags": ["music", "speech", "noise"]}, "outside the list: noise, speech"),
        ({"tags": ["single_speaker", "multi_speaker"]}, "exclude each other: multi_speaker, single_speaker"),
        ({"tags": ["silence", "ambient"]}, "exclude each other: ambient, silence"),
    ],
)
def test_what_is_no_answer(answer, problem):
    with pytest.raises(AnswerError, match=problem):
        read_audio_tags(answer)


def test_every_tag_is_explained_and_may_be_said_twice():
    assert all(f"{tag}: " in INSTRUCTIONS for tag in AudioTag)
    assert read_audio_tags({"tags": ["music", "singing", "music"]}) == {AudioTag.SINGING, AudioTag.MUSIC}
    assert FORM.name == "audio_tags"


def test_an_answer_outside_the_list_is_tried_again_and_never_kept(stub, tmp_path, recording):
    said = iter([{"tags": ["speech"]}, {"tags": []}, MUSIC])
    stub.answers["audio_tags"] = lambda seen: next(said)
    waits = Waits()
    assert tagger(chat(stub, "stub-sound"), tmp_path, waits=waits).kinds(recording, 0, 0.0) == {AudioTag.MUSIC}
    assert waits.slept == [1.0, 2.0]
    (kept,) = (tmp_path / "cache" / "answers").rglob("*.json")
    assert '"music"' in kept.read_text()


@pytest.mark.parametrize(("fault", "error"), [(Fault.BAD_REQUEST, RefusedError), (Fault.REFUSAL, RefusedError)])
def test_what_will_not_change_is_asked_once(stub, tmp_path, recording, fault, error):
    stub.faults = faults(fault)
    with pytest.raises(error):
        tagger(chat(stub, "stub-sound"), tmp_path).kinds(recording, 0, 0.0)
    assert len(stub.seen) == 1


@pytest.mark.parametrize("provider", ["openai", "gemini"])
def test_the_stage_writes_tags_and_who_said_them(stub, tmp_path, provider):
    (clip,) = tag(tmp_path, settings(stub, tmp_path, provider), tune(), speakers=1)
    assert clip.row["audio_tags"] == ["single_speaker", "music"]
    assert clip.row["audio_tag_backend"] == f"{provider}:stub-sound (unproven)"


def test_a_clip_without_a_usable_answer_fails_and_says_why(stub, tmp_path):
    stub.answers["audio_tags"] = lambda seen: {"tags": ["jazz"]} if len(stub.seen) == 1 else MUSIC
    bad, good = tag(tmp_path, settings(stub, tmp_path, max_in_flight=1), rain(), tune())
    assert (bad.row["status"], bad.row["drop_reason"], bad.row["stage"]) == ("failed", "speech_failed", "audio_tags")
    assert bad.row["detail"] == "audio_tags: the answer has tags outside the list: jazz (1 attempt)"
    assert bad.row.get("audio_tags") is None
    assert (good.is_open, good.row["audio_tags"]) == (True, ["music"])


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Fault.CUT_JSON, "the answer is no JSON"),
        (Fault.CUT_LENGTH, "the answer was cut after 100 of 2048 output tokens"),
        (Fault.OTHER_FORM, "no object of tags alone"),
        (Fault.TOO_MANY, "HTTP 429"),
        (Fault.SERVER_ERROR, "HTTP 500"),
        (Fault.REFUSAL, "the model refused"),
    ],
)
def test_every_fault_that_stays_is_a_record(stub, tmp_path, fault, problem):
    stub.faults = faults(fault)
    (clip,) = tag(tmp_path, settings(stub, tmp_path), tune())
    assert (clip.row["status"], clip.row["drop_reason"]) == ("failed", "speech_failed")
    assert problem in clip.row["detail"]


def test_too_long_a_sound_is_a_record_and_is_not_sent(stub, tmp_path):
    sections = settings(stub, tmp_path)
    sections[0].endpoint.max_media_mb = 0.01
    (clip,) = tag(tmp_path, sections, tune())
    assert "10000 may be sent" in clip.row["detail"]
    assert stub.seen == []


def test_a_refused_key_or_a_spent_budget_stops_the_run_and_blames_no_clip(stub, tmp_path):
    stub.faults = faults(Fault.NO_KEY)
    with pytest.raises(RunStoppedError, match="HTTP 401"):
        tag(tmp_path, settings(stub, tmp_path), tune())
    with pytest.raises(BudgetSpentError, match=r"annotation\.max_cost_usd is 0\.001 USD"):
        tag(tmp_path, settings(stub, tmp_path, max_cost_usd=0.001), tune())
    assert len(stub.seen) == 1


def test_clips_are_asked_about_together_and_a_second_run_asks_nothing(stub, tmp_path):
    stub.gate = threading.Barrier(3)
    sections = settings(stub, tmp_path, max_in_flight=3)
    clips = tag(tmp_path / "one", sections, tune(), rain(), sung())
    assert [clip.row["audio_tags"] for clip in clips] == [["music"]] * 3
    assert stub.most_in_flight == 3
    stub.gate = None
    again = tag(tmp_path / "two", sections, tune(), rain(), sung())
    assert [clip.row["audio_tags"] for clip in again] == [["music"]] * 3
    assert len(stub.seen) == 3
    calls = (tmp_path / "cache" / CALLS_FILE).read_text().splitlines()
    assert len(calls) == 3
    assert all('"form": "audio_tags"' in call and '"cost_usd": 0.002' in call for call in calls)


def test_the_captioner_of_the_same_server_shares_limits_and_account(stub, tmp_path):
    tags, annotation = settings(stub, tmp_path)
    annotation.sound = tags.endpoint
    first = make_client(tags.endpoint, "speech.audio_tags.endpoint", annotation)
    second = make_client(annotation.sound, "annotation.sound", annotation)
    assert first._limiter is second._limiter
    assert first._account is second._account


@pytest.mark.parametrize(("provider", "library"), [("openai", "openai"), ("gemini", "google.genai")])
def test_a_missing_key_or_library_is_told_before_anything_runs(stub, monkeypatch, tmp_path, provider, library):
    tags, annotation = settings(stub, tmp_path, provider)
    config = SpeechConfig(audio_tags=tags)
    assert isinstance(speech_stages(config, annotation)[1], AudioTagStage)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, library, None)
        with pytest.raises(InputError, match=rf"speech\.audio_tags\.endpoint\.provider is {provider}, .*pip install"):
            speech_stages(config, annotation)
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(InputError, match=r"speech\.audio_tags\.endpoint\.api_key_variable .*which is not set"):
        speech_stages(config, annotation)


def test_who_tags_is_part_of_what_words_are_found_again_by(stub, tmp_path):
    def identity(**changes):
        tags, annotation = settings(stub, tmp_path)
        for name, value in changes.items():
            setattr(tags if name == "backend" else tags.endpoint, name, value)
        plan = CurationPlan(CurationConfig(), SpeechConfig(audio_tags=tags), annotation)
        return plan.words_key(["a"]), plan.config_sha256

    base = identity()
    assert identity(base_url="http://elsewhere/v1", max_attempts=9, timeout_s=1.0) == base
    for changes in ({"backend": "rules"}, {"model": "other"}, {"provider": "gemini"}):
        changed = identity(**changes)
        assert changed[0] != base[0], changes
        assert changed[1] != base[1], changes


def test_a_configuration_that_asks_nobody_loads_no_client():
    code = """
import sys
from nava.config.annotation import AnnotationConfig
from nava.config.speech import AudioTagConfig
from nava.data.speech.audio_tags import build_tagger
build_tagger(AudioTagConfig(), AnnotationConfig())
print(sorted({"openai", "google.genai", "cv2", "nava.data.speech.tagging_endpoint"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
