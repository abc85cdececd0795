"""Files of prompts: nothing is asked twice, a bad line is told by its number, a killed run goes on."""

import json
import threading

import pytest

from nava.rewriting.batch import read_lines, rewrite_batch
from nava.rewriting.rules import RuleRewriter
from nava.runtime.errors import InputError, RunStoppedError
from tests.data.annotation.conftest import faults
from tests.data.annotation.contract_stub import Fault
from tests.rewriting.scripted_model import answering, good, in_turn, losing, material, rewriter

LINES = [{"id": f"item{number}", "prompt": f"Scene {number}. Ann: <S>Line {number}.<E>"} for number in range(5)]


def write_lines(path, lines):
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def run(folder, lines, model, **options):
    """Rewrite lines into one output; what was told, and the result."""
    told = []
    source = write_lines(folder / "in.jsonl", lines)
    result = rewrite_batch(
        read_lines(source, model, "T2AV"),
        model,
        folder / "out.jsonl",
        on_line=lambda line, outcome: told.append((line.number, outcome)),
        **options,
    )
    return told, result


def output(folder):
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def test_lines_keep_what_they_had_and_say_who_wrote_the_prompt(tmp_path):
    line = {"id": "a", "prompt": "A street. Ann: <S>Hi.<E>", "seed": 7, "image_path": "a.png", "note": "你好"}
    _, result = run(tmp_path, [line], RuleRewriter())
    (written,) = output(tmp_path)
    assert written["prompt"] == "Visual: A street.\nAudio: Ann: <S>Hi.<E>"
    assert written["plain_prompt"] == line["prompt"]
    assert {name: written[name] for name in ("id", "seed", "image_path", "note")} == {
        name: line[name] for name in ("id", "seed", "image_path", "note")
    }
    assert written["rewriting"]["made_by"]["name"] == "rules"
    assert (result.written, result.kept, result.failed) == ([1], [], {})


def test_a_bad_line_is_told_by_its_number_and_the_others_are_written(tmp_path):
    lines = [LINES[0], "{broken", "", "[1]", {"prompt": "<S>open"}, {"prompt": "\ud83d"}, LINES[1], '{"prompt": NaN}']
    told, result = run(tmp_path, lines, RuleRewriter())
    assert [line["id"] for line in output(tmp_path)] == ["item0", "item1"]
    assert sorted(result.failed) == [2, 4, 5, 6, 8]
    assert result.failed[2].startswith("not JSON")
    assert "without an <E>" in result.failed[5]
    assert {number for number, outcome in told if outcome.startswith("failed")} == set(result.failed)


def test_what_is_in_the_output_is_not_asked_again(tmp_path):
    with answering(good) as stub:
        model = rewriter(stub, tmp_path / "cache")
        run(tmp_path, LINES[:3], model)
        before = (tmp_path / "out.jsonl").read_bytes()
        # Another cache: it is the output that spares the questions.
        _, result = run(tmp_path, LINES[:3], rewriter(stub, tmp_path / "other"))
        assert (result.kept, result.written) == ([1, 2, 3], [])
        assert (tmp_path / "out.jsonl").read_bytes() == before
        _, result = run(tmp_path, LINES, rewriter(stub, tmp_path / "other"))
        assert (result.kept, result.written) == ([1, 2, 3], [4, 5])
        assert len(stub.seen) == 5


def test_the_output_has_the_order_of_the_input_whatever_came_first(tmp_path):
    with answering(good) as stub:
        stub.gate = threading.Barrier(3)
        run(tmp_path, LINES[:3], rewriter(stub, tmp_path / "cache"), in_flight=3)
        assert stub.most_in_flight == 3
    assert [line["id"] for line in output(tmp_path)] == ["item0", "item1", "item2"]


def test_equal_lines_are_asked_once_and_written_twice(tmp_path):
    with answering(good) as stub:
        _, result = run(tmp_path, [LINES[0], LINES[1], LINES[0]], rewriter(stub, tmp_path / "cache"), in_flight=3)
        assert len(stub.seen) == 2
    assert result.written == [1, 2, 3]
    assert [line["id"] for line in output(tmp_path)] == ["item0", "item1", "item0"]


def test_a_changed_line_is_asked_again_and_its_old_prompt_goes(tmp_path):
    run(tmp_path, LINES[:2], RuleRewriter())
    _, result = run(tmp_path, [LINES[0], LINES[1] | {"prompt": "Another."}], RuleRewriter())
    assert (result.kept, result.written, result.outdated) == ([1], [2], 1)
    assert [line["plain_prompt"] for line in output(tmp_path)] == [LINES[0]["prompt"], "Another."]


def test_another_rewriters_lines_do_not_count(tmp_path):
    run(tmp_path, LINES[:1], RuleRewriter())
    with answering(good) as stub:
        _, result = run(tmp_path, LINES[:1], rewriter(stub, tmp_path / "cache"))
    assert (result.written, result.outdated) == ([1], 1)
    assert output(tmp_path)[0]["rewriting"]["made_by"]["name"] == "openai"


def test_lines_that_the_rules_stepped_in_for_are_asked_again_only_on_demand(tmp_path):
    with answering(losing) as stub:
        model = rewriter(stub, tmp_path / "cache", max_questions=1)
        told, result = run(tmp_path, LINES[:2], model)
        assert result.fell_back == [1, 2]
        assert "instead of openai:stub-rewriter 1 (unproven)" in told[0][1]
        _, result = run(tmp_path, LINES[:2], model)
        assert (result.kept, result.fell_back, len(stub.seen)) == ([1, 2], [1, 2], 2)
    with answering(good) as stub:
        _, result = run(tmp_path, LINES[:2], rewriter(stub, tmp_path / "other"), again=True)
    assert (result.written, result.fell_back) == ([1, 2], [])
    assert [line["rewriting"]["made_by"]["name"] for line in output(tmp_path)] == ["openai"] * 2


def test_a_line_that_fails_when_asked_again_keeps_what_it_had(tmp_path):
    with answering(losing) as stub:
        run(tmp_path, LINES[:1], rewriter(stub, tmp_path / "cache", max_questions=1))
        before = output(tmp_path)
        model = rewriter(stub, tmp_path / "cache", max_questions=1, on_failure="fail")
        _, result = run(tmp_path, LINES[:1], model, again=True)
    assert list(result.failed) == [1]
    assert output(tmp_path) == before


def test_a_stop_keeps_what_is_done(tmp_path):
    with answering(good) as stub:
        model = rewriter(stub, tmp_path / "cache")
        run(tmp_path, LINES[:1], model)
        stub.faults = faults(Fault.NO_KEY)
        with pytest.raises(RunStoppedError):
            run(tmp_path, LINES, model)
        _, result = run(tmp_path, LINES, model)
        assert (result.kept, result.written) == ([1], [2, 3, 4, 5])
        asked = [material(seen)["prompt"] for seen in stub.seen]
        assert asked == [LINES[number]["prompt"] for number in (0, 1, 1, 2, 3, 4)]


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_line_cut_by_a_kill_harms_no_other_although_the_next_run_is_cut_short_too(tmp_path, cut):
    with answering(good) as stub:
        model = rewriter(stub, tmp_path / "cache")
        run(tmp_path, LINES[:2], model)
        path = tmp_path / "out.jsonl"
        path.write_bytes(path.read_bytes()[:-cut])
        stub.faults = faults(Fault.NO_KEY)
        # Line 2 is in the cache if it was cut; the first question that is sent stops the run.
        with pytest.raises(RunStoppedError):
            run(tmp_path, LINES[:3], model)
        stub.faults = faults(Fault.NO_KEY)
        with pytest.raises(RunStoppedError):
            run(tmp_path, LINES[:3], model)
        _, result = run(tmp_path, LINES[:3], model)
    assert len(result.written) + len(result.kept) == 3
    assert [line["id"] for line in output(tmp_path)] == ["item0", "item1", "item2"]


@pytest.mark.parametrize("text", ['{"prompt": "mine"}\n', "my notes\n", "my notes", '[1]\n{"a": 1}\n', "\n3\n"])
def test_a_file_of_somebody_else_is_not_touched(tmp_path, text):
    (tmp_path / "out.jsonl").write_text(text)
    with pytest.raises(InputError, match="not written by `nava rewrite`; the file is left as it is"):
        run(tmp_path, LINES, RuleRewriter())
    assert (tmp_path / "out.jsonl").read_text() == text


def test_an_answer_lost_once_shows_in_the_record(tmp_path):
    with answering(in_turn(losing, good)) as stub:
        run(tmp_path, LINES[:1], rewriter(stub, tmp_path / "cache"))
    record = output(tmp_path)[0]["rewriting"]
    assert (record["questions"], record["fell_back_from"]) == (2, None)
    assert "is missing or changed" in record["problems"][0]


@pytest.mark.parametrize(("content", "problem"), [(b"", "has no line"), (b"\n \n", "has no line"), (b"\xff", "UTF-8")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, problem):
    (tmp_path / "in.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=rf"in\.jsonl.*{problem}"):
        read_lines(tmp_path / "in.jsonl", RuleRewriter(), "T2AV")
    with pytest.raises(InputError, match="absent"):
        read_lines(tmp_path / "absent", RuleRewriter(), "T2AV")
