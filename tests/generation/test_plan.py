from dataclasses import replace
from pathlib import Path

import pytest

from nava.config.generation import GenerationConfig
from nava.generation.request import Request, RequestError, Task, parse_voice
from tests.generation.voice_package import (
    DIALOGUE,
    FPS,
    NEGATIVE_PROMPTS,
    OWN_FRAMES,
    PROMPT,
    SIZE,
    write_image,
    write_voice,
)

OWN_AUDIO = 10


def planned(generator, **given):
    return generator.plan(Request(**({"prompt": PROMPT} | given)))


def test_what_is_left_out_is_the_packages_own(generator):
    plan = planned(generator)
    assert (plan.task, plan.size, plan.sampler) == (Task.T2AV, (SIZE, SIZE), generator.sampler)
    assert plan.video_shape == (48, 3, 2, 2)
    assert plan.audio_shape == (OWN_AUDIO, 64)
    assert plan.seconds == OWN_FRAMES / FPS
    assert plan.voices == ()


@pytest.mark.parametrize(
    ("length", "latents", "frames", "sound"),
    [
        ({"seconds": 1.0}, 7, 25, 27),
        ({"seconds": 2.0}, 13, 49, 52),
        ({"seconds": 3}, 19, 73, 77),
        ({"seconds": 0.5}, 4, 13, 14),
        ({"frames": 49}, 13, 49, 52),
        ({"frames": 1}, 1, 1, 2),
    ],
)
def test_lengths_follow_the_rules_of_the_latents(generator, length, latents, frames, sound):
    plan = planned(generator, **length)
    assert plan.video_shape == (48, latents, 2, 2)
    assert plan.audio_shape == (sound, 64)
    assert plan.seconds == frames / FPS
    # The sound covers the picture, and by less than one latent of 40 ms more.
    assert 0 <= sound / 25 - plan.seconds < 1 / 25


def test_sound_alone_lasts_as_long_as_asked_for(generator):
    plan = planned(generator, task=Task.T2A, seconds=1.25)
    assert (plan.video_shape, plan.size, plan.audio_shape, plan.seconds) == (None, None, (32, 64), 1.25)
    own = planned(generator, task=Task.T2A)
    assert (own.audio_shape, own.seconds) == ((OWN_AUDIO, 64), None)


def test_pictures_alone_have_no_sound(generator):
    plan = planned(generator, task=Task.T2V)
    assert (plan.video_shape, plan.audio_shape) == ((48, 3, 2, 2), None)


def test_sound_may_keep_its_last_latent_whole(generator):
    assert planned(generator, fit_sound=False).seconds is None


def test_a_size_is_given_in_pixels(generator):
    plan = planned(generator, size=(48, 64))
    assert (plan.size, plan.video_shape) == ((48, 64), (48, 3, 3, 4))


def test_voices_are_bound_to_the_spans(generator, tmp_path):
    voices = tuple(parse_voice(str(write_voice(tmp_path / f"{name}.wav"))) for name in "ab")
    plan = planned(generator, prompt=DIALOGUE, voices=voices)
    assert [voice.path for voice in plan.voices] == [voice.path for voice in voices]
    with pytest.raises(RequestError, match=r"^voices: "):
        planned(generator, prompt=DIALOGUE, voices=(*voices, voices[0]))


def bad_files(folder: Path) -> dict[str, Path]:
    text = folder / "text.png"
    text.write_text("not a picture")
    return {
        "image": write_image(folder / "good.png"),
        "no_image": text,
        "voice": write_voice(folder / "good.wav"),
        "short": write_voice(folder / "short.wav", seconds=0.1),
        "no_voice": text,
        "missing": folder / "missing",
        "overlong": folder / ("a" * 300),
        "nul": folder / "a\0b",
    }


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"prompt": "She says <S>hello"}, "prompt", "<S> without an <E>"),
        ({"prompt": "hello<E>"}, "prompt", "<E> without an <S>"),
        ({"prompt": "  "}, "prompt", "no text"),
        ({"prompt": "bad \ud800 one"}, "prompt", "character 5 is U+D800, half of a character"),
        ({"prompt": "bad \ud800 <S>"}, "prompt", "U+D800"),
        ({"prompt": "word " * 40 + "<S>late<E>"}, "prompt", "speech span 1 ('late') begins at word 41"),
        ({"prompt": "<S><extra_id_2>hello<E>"}, "prompt", "character 4: <extra_id_2> stands for the voice"),
        ({"seed": -1}, "seed", "-1 is outside 0"),
        ({"seed": 2**62}, "seed", "outside 0"),
        ({"seconds": 100}, "seconds", "100 is more than the 3 s of this package"),
        ({"seconds": 3.01}, "seconds", "more than"),
        ({"seconds": 0}, "seconds", "not a length"),
        ({"seconds": -2.0}, "seconds", "not a length"),
        ({"seconds": float("nan")}, "seconds", "not a length"),
        ({"seconds": 1, "frames": 25}, "seconds", "frames as well"),
        ({"frames": 24}, "frames", "use 21 or 25"),
        ({"frames": 0}, "frames", "4n"),
        ({"frames": 77}, "frames", "more than the 3 s"),
        ({"frames": 9, "task": Task.T2A}, "frames", "no pictures"),
        ({"size": (40, 32)}, "size", "32x40 pixels are not multiples of 16"),
        ({"size": (0, 32)}, "size", "multiples of 16"),
        ({"image": "no_image"}, "image", ""),
        ({"image": "missing"}, "image", ""),
        ({"image": "overlong"}, "image", "cannot be opened"),
        ({"image": "nul"}, "image", ""),
        ({"image": "image", "task": Task.T2A}, "image", "takes no image"),
        ({"voices": ["short"]}, "voices", "0.1"),
        ({"voices": ["no_voice"]}, "voices", ""),
        ({"voices": ["missing"]}, "voices", ""),
        ({"voices": ["overlong"]}, "voices", "cannot be opened"),
        ({"voices": ["nul"]}, "voices", ""),
        ({"voices": ["voice"], "prompt": "It rains."}, "voices", ""),
        ({"voices": ["voice"], "task": Task.T2V}, "voices", "takes no reference voice"),
    ],
)
def test_what_cannot_be_is_refused_by_field_in_one_line(generator, tmp_path, given, field, words):
    files = bad_files(tmp_path)
    given = dict(given)
    if "image" in given:
        given["image"] = files[given["image"]]
    if "voices" in given:
        given["voices"] = tuple(parse_voice(str(files[name])) for name in given["voices"])
    with pytest.raises(RequestError, match=f"^{field}: ") as refusal:
        planned(generator, **given)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert refusal.value.field == field


def test_what_the_package_has_not_got_is_refused(generator, tmp_path):
    voice = parse_voice(str(write_voice(tmp_path / "a.wav")))
    with pytest.raises(RequestError, match=r"^voices: this package has no timbre conditioning"):
        planned(replace(generator, timbre_encoder=None), voices=(voice,))
    with pytest.raises(RequestError, match=r"^voices: this package has no timbre conditioning"):
        planned(replace(generator, speech_slots=False), voices=(voice,))
    with pytest.raises(RequestError, match=r"^task: T2AV has pictures, but this package makes sound alone"):
        planned(replace(generator, video_shape=None), task=Task.T2AV)
    with pytest.raises(RequestError, match=r"^task: T2A has sound, but this package makes pictures alone"):
        planned(replace(generator, audio_shape=None), task=Task.T2A)


def test_a_package_of_one_modality_needs_no_task(generator):
    assert planned(replace(generator, video_shape=None)).task is Task.T2A
    assert planned(replace(generator, audio_shape=None)).task is Task.T2V


def test_mode_release_needs_the_negative_prompts(generator):
    release = GenerationConfig(mode="release", steps=2)
    assert planned(generator, sampler=release).sampler.mode == "release"
    with pytest.raises(RequestError, match=r"^mode: .*negative_prompts\.json.*video, audio and joint"):
        planned(replace(generator, negative_prompts=None), sampler=release)


@pytest.mark.parametrize(("task", "text"), [(Task.T2V, "video"), (Task.T2A, "audio"), (Task.T2AV, "joint")])
def test_a_plan_holds_the_negative_prompt_of_its_task_in_mode_release_only(generator, task, text):
    release = GenerationConfig(mode="release", steps=2)
    assert planned(generator, task=task, sampler=release).negative_prompt == NEGATIVE_PROMPTS[text]
    assert planned(generator, task=task).negative_prompt is None
    torn = replace(generator, negative_prompts=dict.fromkeys(NEGATIVE_PROMPTS, "\ud800"))
    with pytest.raises(RequestError, match=r"^negative prompt: character 1 is U\+D800"):
        planned(torn, task=task, sampler=release)


def test_words_that_do_not_fit_are_counted_as_they_are_encoded(generator):
    full = "<S>hello<E> " + "rain " * 28
    assert planned(generator, prompt=full).dropped_words == 0
    assert planned(generator, prompt=full + "rain rain").dropped_words == 2
    # Without timbre conditioning there is no slot, and room for one word more.
    assert planned(replace(generator, speech_slots=False), prompt=full + "rain rain").dropped_words == 1


@pytest.mark.parametrize(
    ("picture", "asked", "size"),
    [((400, 300), None, (832, 1088)), ((300, 400), None, (1088, 832)), ((300, 400), (64, 48), (64, 48))],
)
def test_a_package_of_the_releases_sizes_takes_the_bucket_of_the_image(generator, tmp_path, picture, asked, size):
    image = write_image(tmp_path / "a.png", size=picture)
    large = replace(generator, video_shape=(48, 3, 44, 80))
    assert planned(large, image=image, size=asked).size == size


def test_other_packages_cut_the_image_to_their_own_size(generator, tmp_path):
    assert planned(generator, image=write_image(tmp_path / "a.png", size=(400, 300))).size == (SIZE, SIZE)
