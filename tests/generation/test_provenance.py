import json
from dataclasses import replace

import pytest

from nava.generation.provenance import Origin, container_tags, library_versions, record, request_sha256
from nava.generation.request import Request, parse_voice
from tests.generation.voice_package import NEGATIVE_PROMPTS, PROMPT, SAMPLER, write_image, write_voice

ORIGIN = Origin("nava", "p" * 64, "w" * 64, "Apache-2.0", "float32", {"video": "v" * 64})


def planned(generator, **given):
    return generator.plan(Request(**({"prompt": PROMPT, "seed": 7} | given)))


def identity(plan, origin=ORIGIN):
    return request_sha256(plan, origin, 24.0)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "It rains."},
        {"seed": 8},
        {"seconds": 1.0},
        {"size": (48, 48)},
        {"fit_sound": False},
        {"sampler": replace(SAMPLER, steps=3)},
        {"sampler": replace(SAMPLER, mode="release")},
    ],
)
def test_whatever_decides_the_clip_decides_its_identity(generator, change):
    assert identity(planned(generator, **change)) != identity(planned(generator))
    assert identity(planned(generator)) == identity(planned(generator))


def test_what_makes_no_difference_to_the_clip_makes_none_to_its_identity(generator):
    plan = planned(generator)
    assert identity(planned(generator, sampler=replace(SAMPLER, batch_size=9, seed=1))) == identity(plan)
    assert identity(planned(generator, frames=9)) == identity(plan)
    assert identity(plan, replace(ORIGIN, name="another name")) == identity(plan)
    for other in (replace(ORIGIN, package_sha256="q" * 64), replace(ORIGIN, precision="fp8")):
        assert identity(plan, other) != identity(plan)


def test_the_negative_prompt_counts_where_it_is_used(generator):
    other = replace(generator, negative_prompts=dict.fromkeys(NEGATIVE_PROMPTS, "noise"))
    release = replace(SAMPLER, mode="release")
    assert identity(planned(generator)) == identity(planned(other))
    assert identity(planned(generator, sampler=release)) != identity(planned(other, sampler=release))
    assert record(planned(other, sampler=release), ORIGIN, 24.0)["negative_prompt"] == "noise"
    assert record(planned(other), ORIGIN, 24.0)["negative_prompt"] is None


def test_files_count_by_content_not_by_name(generator, tmp_path):
    images = [write_image(tmp_path / name, colour) for name, colour in (("a.png", (9, 9, 9)), ("b.png", (9, 9, 9)))]
    other = write_image(tmp_path / "c.png", (200, 9, 9))
    first, second, third = (identity(planned(generator, image=image)) for image in (*images, other))
    assert first == second != third
    voices = [parse_voice(str(write_voice(tmp_path / f"{f}.wav", hertz=f))) for f in (110, 220)]
    assert len({identity(planned(generator, voices=(voice,))) for voice in voices}) == 2


def test_the_record_says_what_was_asked_and_what_answered(generator, tmp_path):
    image, voice = write_image(tmp_path / "red.png"), parse_voice(str(write_voice(tmp_path / "a.wav")))
    found = record(planned(generator, image=image, voices=(voice,)), ORIGIN, 24.0)
    assert (found["prompt"], found["seed"], found["task"]) == (PROMPT, 7, "TIA2AV")
    assert found["image"]["file"] == "red.png"
    assert found["dropped_words"] == 0
    assert [voice["file"] for voice in found["voices"]] == ["a.wav"]
    assert found["sampler"]["steps"] == SAMPLER.steps
    assert found["sampler"]["mode"] == "corrected"
    assert found["model"]["weights_sha256"] == "w" * 64
    assert str(tmp_path) not in json.dumps(found)


def test_the_record_counts_words_that_were_not_read(generator):
    assert record(planned(generator, prompt="rain " * 35), ORIGIN, 24.0)["dropped_words"] == 3


def test_a_file_name_that_is_no_utf8_is_recorded_readably(generator, tmp_path):
    image = write_image(tmp_path / "a\udcff.png")
    found = record(planned(generator, image=image), ORIGIN, 24.0)
    assert found["image"]["file"] == "a\\udcff.png"
    json.dumps(found, ensure_ascii=False).encode()


def test_versions_of_what_is_installed():
    found = library_versions()
    assert {"python", "torch", "numpy", "av", "nava"} <= set(found)


def test_tags_hold_the_prompt_and_the_rest_as_json(generator):
    found = record(planned(generator), ORIGIN, 24.0)
    tags = container_tags(found)
    assert tags["title"] == PROMPT
    comment = json.loads(tags["comment"])
    assert (comment["seed"], comment["task"], comment["mode"]) == (7, "T2AV", "corrected")
    assert comment["request_sha256"] == found["request_sha256"]
    assert comment["generated_by_ai"] is True
