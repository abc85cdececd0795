import json
from dataclasses import replace
from pathlib import Path

import pytest

from nava.generation.batch import read_batch, run_batch
from nava.generation.request import Request, Task
from nava.runtime.errors import InputError
from tests.generation.voice_package import PROMPT, write_image, write_requests, write_voice

DEFAULTS = Request("", seed=3, seconds=0.2)


def read(tmp_path: Path, *lines):
    return read_batch(write_requests(tmp_path / "requests.jsonl", list(lines)), DEFAULTS)


class Told:
    """Remembers what it was told of each line."""

    def __init__(self):
        self.outcomes = []

    def __call__(self, line, outcome):
        self.outcomes.append((line.number, outcome.partition(":")[0]))


def run(lines, generator, folder):
    told, steps = Told(), []
    result = run_batch(lines, generator, folder, on_line=told, on_step=lambda *step: steps.append(step))
    return result, told.outcomes, steps


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_released_format(tmp_path):
    image, voice = write_image(tmp_path / "a.png"), write_voice(tmp_path / "a.wav")
    lines = read(
        tmp_path,
        {"prompt": "rain"},
        "",
        {"text": PROMPT, "image_path": "a.png", "spk_wavs": [str(voice)]},
        {"prompt": "wind", "image_path": None, "spk_wavs": [], "source": "set1", "fps": 24},
    )
    assert [(line.number, line.name) for line in lines] == [(1, "0001"), (3, "0003"), (4, "0004")]
    assert lines[0].request == Request("rain", 3, seconds=0.2)
    assert lines[1].request.image == image
    assert [voice.path for voice in lines[1].request.voices] == [voice]
    assert lines[2].request == Request("wind", 3, seconds=0.2)
    assert lines[2].ignored == ("fps", "source")


def test_our_own_fields(tmp_path):
    write_voice(tmp_path / "a.wav")
    line = {"prompt": PROMPT, "id": "rain-1.b", "seed": 9, "seconds": 2, "task": "t2a", "spk_wavs": ["Anna=a.wav"]}
    (found,) = read(tmp_path, line)
    assert found.name == "rain-1.b"
    assert (found.request.seed, found.request.seconds, found.request.frames) == (9, 2.0, None)
    assert found.request.task is Task.T2A
    assert [(voice.path, voice.name) for voice in found.request.voices] == [(tmp_path / "a.wav", "Anna")]


def test_a_structured_prompt_is_rendered(tmp_path):
    (found,) = read(tmp_path, {"prompt": {"visual": "A street.", "audio": "Rain."}})
    assert found.request.prompt == "Visual: A street.\nAudio: Rain."


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"prompt": "rain"', "not JSON"),
        ("[1]", "not a JSON object but list"),
        ({}, "prompt: missing"),
        ({"prompt": 5}, "prompt: missing, or neither text nor an object"),
        ({"prompt": {"sound": "rain"}}, "prompt: "),
        ({"prompt": "x", "seed": 1.5}, "seed: 1.5 is not of type int"),
        ({"prompt": "x", "seed": True}, "seed: True"),
        ({"prompt": "x", "seconds": "2"}, "seconds: '2' is not of type int or float"),
        ({"prompt": "x", "image_path": 1}, "image_path: 1"),
        ({"prompt": "x", "spk_wavs": "a.wav"}, "spk_wavs: 'a.wav' is not of type list"),
        ({"prompt": "x", "spk_wavs": [""]}, "spk_wavs: must be a list of files"),
        ({"prompt": "x", "task": "T9"}, "task: 'T9' is unknown"),
        ({"prompt": "x", "id": "../up"}, "id: '../up' is no name for a file"),
        ({"prompt": "x", "id": "a/b"}, "id: 'a/b'"),
        ({"prompt": "x", "id": ".hidden"}, "id: '.hidden'"),
        ({"prompt": "x", "id": ""}, "id: ''"),
        ({"prompt": "x", "id": "0001"}, "id: '0001' names the output of an earlier line as well"),
    ],
)
def test_a_line_that_cannot_be_read_says_why_and_ends_nothing(tmp_path, line, problem):
    lines = read(tmp_path, {"prompt": "first"}, line, {"prompt": "last"})
    assert lines[1].request is None
    assert lines[1].problem.startswith(problem)
    assert "\n" not in lines[1].problem
    assert [lines[i].request.prompt for i in (0, 2)] == ["first", "last"]


def test_a_file_without_requests_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"^requests: .*missing\.jsonl cannot be read"):
        read_batch(tmp_path / "missing.jsonl", DEFAULTS)
    (tmp_path / "empty.jsonl").write_text("\n \n")
    with pytest.raises(InputError, match="has no line"):
        read_batch(tmp_path / "empty.jsonl", DEFAULTS)
    for name in ("a" * 300, "a\0b"):
        with pytest.raises(InputError, match="cannot be read"):
            read_batch(tmp_path / name, DEFAULTS)
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_batch(tmp_path / "binary.jsonl", DEFAULTS)


def test_finished_work_is_kept_and_what_changed_is_made_again(generator, tmp_path):
    folder = tmp_path / "out"
    rain, wind = {"prompt": "rain"}, {"prompt": "wind", "task": "T2A"}
    first, outcomes, steps = run(read(tmp_path, rain, wind), generator, folder)
    assert list(first.written.values()) == [folder / "0001.mp4", folder / "0002.wav"]
    assert outcomes == [(1, "written"), (2, "written")]
    assert steps == [(1, 2), (2, 2)] * 2
    made = contents(folder)
    assert list(made) == ["0001.mp4", "0001.mp4.json", "0002.wav", "0002.wav.json"]

    again, outcomes, steps = run(read(tmp_path, rain, wind), generator, folder)
    assert (list(again.skipped), again.written, steps) == ([1, 2], {}, [])
    assert outcomes == [(1, "finished already"), (2, "finished already")]

    changed, _, _ = run(read(tmp_path, {"prompt": "snow"}, wind), generator, folder)
    assert (list(changed.written), list(changed.skipped)) == ([1], [2])
    assert contents(folder)["0001.mp4"] != made["0001.mp4"]

    # A kill between the media file and its sidecar leaves a clip that does not count, but that is ours.
    sidecar = folder / "0002.wav.json"
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"sha256": "of another", "unfinished": True}))
    back, _, _ = run(read(tmp_path, rain, wind), generator, folder)
    assert list(back.written) == [1, 2]
    assert contents(folder) == made


def test_a_clip_does_not_depend_on_the_order_of_the_lines(generator, tmp_path):
    lines = [{"prompt": "rain", "id": "a"}, {"prompt": "wind over the sea", "id": "b"}]
    run(read(tmp_path, *lines), generator, tmp_path / "one")
    run(read(tmp_path, *reversed(lines)), generator, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_bad_lines_are_told_before_anything_is_generated_and_the_rest_is_made(generator, tmp_path):
    lines = read(
        tmp_path,
        {"prompt": "rain"},
        {"prompt": "<S>unfinished"},
        "nonsense",
        {"prompt": "wind", "image_path": "missing.png"},
        {"prompt": "snow", "seconds": 100},
    )
    result, outcomes, _ = run(lines, generator, tmp_path / "out")
    assert outcomes == [(2, "refused"), (3, "refused"), (4, "refused"), (5, "refused"), (1, "written")]
    assert list(result.written) == [1]
    assert {number: reason.partition(":")[0] for number, reason in result.refused.items()} == {
        2: "prompt",
        3: "not JSON",
        4: "image",
        5: "seconds",
    }
    assert sorted(contents(tmp_path / "out")) == ["0001.mp4", "0001.mp4.json"]


def test_paths_and_texts_that_nothing_can_have_end_their_lines_only(generator, tmp_path):
    lines = read(
        tmp_path,
        {"prompt": "rain"},
        '{"prompt": "bad \\ud800 one"}',
        {"prompt": "wind", "image_path": "a" * 300},
        {"prompt": PROMPT, "spk_wavs": ["b" * 300]},
        {"prompt": PROMPT, "spk_wavs": ["Anna=" + "b" * 300]},
        {"prompt": "wind", "image_path": "a\0b"},
        '{"prompt": "wind", "image_path": "a\\ud800"}',
        {"prompt": "wind", "seconds": 10**400},
        "[" * 100_000,
        '{"prompt": "snow", "\\ud800": 1}',
    )
    result, outcomes, _ = run(lines, generator, tmp_path / "out")
    assert list(result.written) == [1, 10]
    assert outcomes[:8] == [(number, "refused") for number in range(2, 10)]
    assert {number: reason.partition(":")[0] for number, reason in result.refused.items()} == {
        2: "prompt",
        3: "image",
        4: "voices",
        5: "voices",
        6: "image",
        7: "image",
        8: "int too large to convert to float",
        9: "not JSON",
    }
    for text in (*result.refused.values(), *(name for line in lines for name in line.ignored)):
        assert "\n" not in text
    for reason in result.refused.values():
        reason.encode()


@pytest.mark.parametrize("error", [OSError("the disk is gone"), ValueError("embedded null byte")])
def test_what_no_check_has_foreseen_ends_its_line_only(generator, tmp_path, monkeypatch, error):
    def failing(path, plan, generator):
        if plan.request.prompt == "rain":
            raise error
        return False

    monkeypatch.setattr("nava.generation.batch.is_finished", failing)
    result, outcomes, _ = run(read(tmp_path, {"prompt": "rain"}, {"prompt": "wind"}), generator, tmp_path / "out")
    assert result.refused == {1: str(error)}
    assert outcomes == [(1, "refused"), (2, "written")]


def test_a_file_of_somebody_else_is_kept(generator, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0001.mp4").write_bytes(b"a stranger's film")
    result, _, _ = run(read(tmp_path, {"prompt": "rain"}, {"prompt": "wind"}), generator, tmp_path / "out")
    assert list(result.written) == [2]
    assert "0001.mp4 would be replaced" in result.refused[1]
    assert (tmp_path / "out" / "0001.mp4").read_bytes() == b"a stranger's film"


def test_other_negative_prompts_make_other_clips_in_mode_release(generator, tmp_path):
    lines = read(tmp_path, {"prompt": "rain"})
    released = replace(generator, sampler=replace(generator.sampler, mode="release"))
    other = dict.fromkeys(released.negative_prompts, "noise everywhere")
    folder = tmp_path / "out"
    run(lines, released, folder)
    made = contents(folder)
    assert list(run(lines, released, folder)[0].skipped) == [1]
    assert list(run(lines, replace(released, negative_prompts=other), folder)[0].written) == [1]
    assert contents(folder)["0001.mp4"] != made["0001.mp4"]


def test_words_that_do_not_fit_are_told(generator, tmp_path):
    told = []
    lines = read(tmp_path, {"prompt": "rain " * 34}, {"prompt": "rain " * 33}, {"prompt": "rain " * 32})
    for _ in range(2):
        run_batch(lines, generator, tmp_path / "out", on_line=lambda line, outcome: told.append((line.number, outcome)))
    notes = [(number, outcome) for number, outcome in told if outcome.startswith("note")]
    assert notes == 2 * [
        (1, "note: the last 2 words of the prompt do not fit and are ignored"),
        (2, "note: the last word of the prompt does not fit and is ignored"),
    ]
    assert json.loads((tmp_path / "out" / "0001.mp4.json").read_text())["dropped_words"] == 2


def test_a_line_ends_at_a_line_feed_only(tmp_path):
    lines = read(tmp_path, '{"prompt": "rain\u2028and wind"}\r', {"prompt": "snow"})
    assert [(line.number, line.request.prompt) for line in lines] == [(1, "rain\u2028and wind"), (2, "snow")]


def test_a_voice_that_lies_where_the_clip_would_go_is_kept(generator, tmp_path):
    voice = write_voice(tmp_path / "0001.wav")
    before = voice.read_bytes()
    lines = read(tmp_path, {"prompt": PROMPT, "task": "T2A", "spk_wavs": ["0001.wav"]})
    result, _, _ = run(lines, generator, tmp_path)
    assert result.refused[1].startswith("output: ")
    assert voice.read_bytes() == before


def test_a_line_that_fails_leaves_the_others_alone(generator, tmp_path, monkeypatch):
    def failing(clip, path, *_):
        if path.name == "0001.mp4":
            raise OSError("no space left on device")
        return write(clip, path, generator)

    from nava.generation.output import write_output as write

    monkeypatch.setattr("nava.generation.batch.write_output", failing)
    result, outcomes, _ = run(read(tmp_path, {"prompt": "rain"}, {"prompt": "wind"}), generator, tmp_path / "out")
    assert result.failed == {1: "no space left on device"}
    assert list(result.written) == [2]
    assert outcomes == [(1, "failed"), (2, "written")]


def test_speech_beyond_the_rows_is_refused_before_anything_is_generated(generator, tmp_path):
    late = {"prompt": "word " * 40 + "<S>late<E>"}
    result, outcomes, _ = run(read(tmp_path, late, {"prompt": "wind"}), generator, tmp_path / "out")
    assert list(result.refused) == [1]
    assert outcomes == [(1, "refused"), (2, "written")]
