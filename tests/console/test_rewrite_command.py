"""`nava rewrite` from the outside: one prompt, a file of them, a model behind a socket, a kill in the middle."""

import json
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from nava.cli import NavaGroup
from nava.console.rewrite_command import rewrite
from nava.generation.batch import read_batch
from nava.generation.request import Request
from tests.data.annotation.contract_stub import KEY
from tests.rewriting.scripted_model import KEY_VARIABLE, answering, good, losing, material

PROMPTS = [f"Scene {number}. Ann: <S>Line {number}.<E>" for number in range(6)]
# The command as the composition root registers it, so that errors become messages and exit codes.
RUNNING = """
import sys
from nava.cli import NavaGroup
from nava.console.rewrite_command import rewrite
group = NavaGroup("nava")
group.add_command(rewrite)
group(sys.argv[1:])
"""


def run(*arguments, **options):
    group = NavaGroup("nava")
    group.add_command(rewrite)
    return CliRunner().invoke(group, ["rewrite", *map(str, arguments)], **options)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Writes the settings of an endpoint, and puts its key where they say."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)

    def write(stub):
        path = tmp_path / "rewriting.yaml"
        path.write_text(
            "rewriter: endpoint\nmax_in_flight: 1\n"
            f"cache_dir: {tmp_path / 'cache'}\n"
            f"endpoint: {{provider: openai, model: stub-rewriter, base_url: {stub.url}/v1, "
            f"api_key_variable: {KEY_VARIABLE}, max_attempts: 1}}\n"
        )
        return path

    return write


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"id": f"p{n}", "prompt": text}) + "\n" for n, text in enumerate(PROMPTS)))
    return path


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_prompt_is_rewritten_by_rules_and_nothing_else_is_on_stdout():
    ran = run(
        "A dog runs. The camera pans.", "--speech", "Ann=Come!", "--speech", "Good boy.", "--audio-prompt", "wind"
    )
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.stdout == (
        "Visual: A dog runs.\nCamera: The camera pans.\nAudio: wind. Ann: <S>Come!<E> <S>Good boy.<E>\n"
    )


def test_what_a_reader_should_know_goes_to_stderr():
    ran = run('A woman says "Hi."')
    assert (ran.exit_code, ran.stdout) == (0, 'Visual: A woman says "Hi."\n')
    assert "mark them as <S>words<E>" in ran.stderr
    assert run('A woman says "Hi."', "--quotes-are-speech").stdout == "Visual: A woman says\nAudio: <S>Hi.<E>\n"


def test_the_record_as_json():
    ran = run("Rain.", "--task", "t2a", "--json")
    assert json.loads(ran.stdout)["prompt"] == "Audio: Rain."
    assert json.loads(ran.stdout)["rewriting"]["made_by"] == {
        "name": "rules",
        "version": "1",
        "model": "",
        "proven": True,
    }


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "give either a prompt, or --in and --out"),
        (["A dog.", "--in", "x"], "give either a prompt, or --in and --out"),
        (["A dog.", "--out", "x"], "--out and --again belong to --in"),
        (["A <S>dog"], "<S> without an <E>"),
        (["A dog.", "--task", "V2A"], "task: 'V2A' is unknown"),
        (["--in", "in.jsonl"], "--out: name the file"),
        (["--in", "absent.jsonl", "--out", "o"], "absent.jsonl cannot be read: No such file"),
        (["--in", "in.jsonl", "--out", "in.jsonl"], "is the input itself"),
        (["--in", "in.jsonl", "--out", "o", "--task", "V2A"], "--task: 'V2A' is unknown"),
        (["--in", "in.jsonl", "--out", "list.yaml/o"], "its folder cannot be made"),
        (["--in", "in.jsonl", "--out", "."], "cannot be read: Is a directory"),
        (["--in", "in.jsonl", "--out", "o", "--json"], "--json belong to a single prompt"),
        (["A dog.", "--set", "rewriter"], "--set: 'rewriter' is not NAME=VALUE"),
        (["A dog.", "--set", "tempo=1"], "Key 'tempo' not in 'RewritingConfig'"),
        (["A dog.", "--set", "max_questions=many"], "'many' of type 'str' could not be converted"),
        (["A dog.", "--settings", "absent.yaml"], "absent.yaml cannot be read"),
        (["A dog.", "--settings", "list.yaml"], "settings of rewriting:"),
        (["A dog.", "--set", "rewriter=endpoint"], "rewriting.cache_dir is ''"),
    ],
)
def test_wrong_input_is_told_in_one_line(tmp_path, monkeypatch, arguments, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"prompt": "A dog."}\n')
    (tmp_path / "list.yaml").write_text("- a\n")
    ran = run(*arguments)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert problem in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_file_is_rewritten_as_generate_takes_it(tmp_path, prompts):
    with prompts.open("a") as file:
        file.write("{broken\n")
    output = tmp_path / "out.jsonl"
    ran = run("--in", prompts, "--out", output)
    assert ran.exit_code == 1
    assert "line 7: failed: not JSON" in ran.stderr
    assert f"{output}: 6 rewritten, 1 failed" in ran.stdout
    requests = read_batch(output, Request(""))
    assert [line.problem for line in requests] == [""] * 6
    assert [line.name for line in requests] == [f"p{number}" for number in range(6)]
    assert requests[2].request.prompt == "Visual: Scene 2.\nAudio: Ann: <S>Line 2.<E>"
    again = run("--in", prompts, "--out", output)
    assert (again.exit_code, f"{output}: 6 there already, 1 failed" in again.stdout) == (1, True)


def test_a_model_writes_and_its_key_is_nowhere(tmp_path, prompts, settings):
    with answering(good) as stub:
        ran = run("--in", prompts, "--out", tmp_path / "out.jsonl", "--settings", settings(stub))
        assert len(stub.seen) == 6
    assert ran.exit_code == 0, ran.output
    assert "line 1: written by openai:stub-rewriter 1 (unproven)" in ran.stdout
    files = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert all(KEY not in text for text in [ran.output, *files])


def test_prompts_that_the_rules_stepped_in_for_are_counted_and_are_no_failure(tmp_path, prompts, settings):
    with answering(losing) as stub:
        path = settings(stub)
        ran = run("--in", prompts, "--out", tmp_path / "out.jsonl", "--settings", path, "--set", "max_questions=2")
        assert (ran.exit_code, len(stub.seen)) == (0, 12)
        assert "6 rewritten, 6 of these by the rules instead of the endpoint" in ran.stdout
        changes = ["--set", "on_failure=fail", "--set", "max_questions=2", "--again"]
        ran = run("--in", prompts, "--out", tmp_path / "out.jsonl", "--settings", path, *changes)
        assert (ran.exit_code, len(stub.seen)) == (1, 12), "answers that lost the speech are in the cache"


def test_a_killed_run_goes_on_where_it_was(tmp_path, prompts, settings):
    arrived = threading.Event()

    def hang_at_the_fourth(seen):
        if material(seen)["prompt"] == PROMPTS[3] and not arrived.is_set():
            arrived.set()
            stub.ending.wait()
        return good(seen)

    output = tmp_path / "out.jsonl"
    with answering(hang_at_the_fourth) as stub:
        arguments = ["rewrite", "--in", prompts, "--out", output, "--settings", settings(stub)]
        killed = subprocess.Popen([sys.executable, "-c", RUNNING, *map(str, arguments)], stdout=subprocess.DEVNULL)
        try:
            assert arrived.wait(timeout=120), "the run ended before its fourth prompt"
        finally:
            killed.kill()
            killed.wait()
        assert [line["id"] for line in lines_of(output)] == ["p0", "p1", "p2"]
        # Another cache: it is the output that spares the questions.
        ran = run(*arguments[1:], "--set", f"cache_dir={tmp_path / 'other'}")
        asked = [material(seen)["prompt"] for seen in stub.seen]
    assert ran.exit_code == 0, ran.output
    assert "3 rewritten, 3 there already" in ran.stdout
    assert asked == [*PROMPTS[:4], *PROMPTS[3:]], "only the prompt in flight is asked twice"
    assert [line["id"] for line in lines_of(output)] == [f"p{number}" for number in range(6)]
