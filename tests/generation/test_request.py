from dataclasses import asdict
from pathlib import Path

import pytest

from nava.config.generation import GenerationConfig, GuidanceScales
from nava.generation.request import (
    Request,
    RequestError,
    SamplerOverrides,
    Task,
    infer_task,
    parse_size,
    parse_task,
    parse_voice,
)
from nava.runtime.errors import InputError

IMAGE, VOICE = Path("a.png"), parse_voice("a.wav")


@pytest.mark.parametrize(
    ("task", "video", "audio", "image"),
    [
        ("T2AV", True, True, False),
        ("TI2AV", True, True, True),
        ("TIA2AV", True, True, True),
        ("T2A", False, True, False),
        ("T2V", True, False, False),
    ],
)
def test_what_goes_in_and_comes_out_of_a_task(task, video, audio, image):
    found = Task(task)
    assert (found.has_video, found.has_audio, found.takes_image) == (video, audio, image)


@pytest.mark.parametrize(
    ("given", "task"),
    [
        ({}, Task.T2AV),
        ({"voices": (VOICE,)}, Task.T2AV),
        ({"image": IMAGE}, Task.TI2AV),
        ({"image": IMAGE, "voices": (VOICE,)}, Task.TIA2AV),
        ({"task": Task.T2A}, Task.T2A),
        ({"task": Task.T2A, "voices": (VOICE,)}, Task.T2A),
        ({"task": Task.T2V}, Task.T2V),
    ],
)
def test_the_task_follows_from_what_is_given(given, task):
    assert infer_task(Request("x", **given)) is task


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"task": Task.T2A, "image": IMAGE}, "image"),
        ({"task": Task.T2V, "image": IMAGE}, "image"),
        ({"task": Task.TI2AV}, "image"),
        ({"task": Task.T2V, "voices": (VOICE,)}, "voices"),
        ({"task": Task.TI2AV, "image": IMAGE, "voices": (VOICE,)}, "voices"),
        ({"task": Task.TIA2AV, "image": IMAGE}, "voices"),
    ],
)
def test_what_does_not_fit_the_task_is_refused_by_field(given, field):
    with pytest.raises(RequestError, match=f"^{field}: task {given['task']} ") as refusal:
        infer_task(Request("x", **given))
    assert refusal.value.field == field
    assert refusal.value.exit_code == 2
    assert "\n" not in str(refusal.value)


def test_overrides_change_what_they_name_and_nothing_else():
    own = GenerationConfig(steps=20, audio=GuidanceScales(1.0, 2.0, 3.0))
    assert SamplerOverrides().apply(own) == own
    changed = SamplerOverrides(mode="release", steps=5, video_text=4.0, audio_timbre=0.0).apply(own)
    before, after = asdict(own), asdict(changed)
    assert after == before | {
        "mode": "release",
        "steps": 5,
        "video": before["video"] | {"text": 4.0},
        "audio": before["audio"] | {"timbre": 0.0},
    }
    assert own.steps == 20


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"mode": "fast"}, "mode"),
        ({"video_text": -1.0}, "guidance of video by text"),
        ({"audio_align": float("nan")}, "guidance of audio by align"),
        ({"audio_timbre": float("inf")}, "guidance of audio by timbre"),
    ],
)
def test_settings_that_no_sampler_takes_are_refused_by_name(overrides, message):
    with pytest.raises(InputError, match=message):
        SamplerOverrides(**overrides).apply(GenerationConfig())


def test_sizes_are_written_width_first_and_kept_height_first():
    assert parse_size("1280x704") == (704, 1280)
    assert parse_size(" 64X32 ") == (32, 64)
    for text in ("1280", "x704", "1280x", "axb", "-64x64", "64.0x64", "1280x704x3"):
        with pytest.raises(RequestError, match=r"^size: .* write WIDTHxHEIGHT"):
            parse_size(text)


def test_tasks_by_name_in_any_case():
    assert parse_task("ti2av") is Task.TI2AV
    with pytest.raises(RequestError, match=r"^task: 'T2X' is unknown; there are T2AV, TI2AV, T2A, T2V, TIA2AV"):
        parse_task("T2X")


def test_a_voice_is_a_file_or_a_name_and_a_file(tmp_path):
    assert (VOICE.path, VOICE.name) == (Path("a.wav"), None)
    named = parse_voice("Anna=voices/a=1.wav")
    assert (named.path, named.name) == (Path("voices/a=1.wav"), "Anna")
    assert parse_voice("voices/a=1.wav").path == Path("voices/a=1.wav")
    odd = tmp_path / "x=y.wav"
    odd.touch()
    found = parse_voice(odd.name, lambda name: tmp_path / name)
    assert (found.path, found.name) == (odd, None)
    for long in ("b" * 300, "a\0b", "\ud800"):
        assert parse_voice(f"Anna={long}").path == Path(long)
    for text in ("", "  ", "Anna=", " =a.wav"):
        with pytest.raises(RequestError, match=r"^voices: .* names no file; write FILE or NAME=FILE"):
            parse_voice(text)
