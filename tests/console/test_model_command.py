"""`nava model` from the outside."""

import json

from click.testing import CliRunner

from nava.cli import main


def run(*arguments: str):
    return CliRunner().invoke(main, ["model", *arguments])


def test_keys_as_json():
    shapes = json.loads(run("keys", "--model", "nava_6b", "--json").output)
    assert shapes["backbone.patch_embedding.weight"] == [3072, 48, 1, 2, 2]
    assert len(shapes) == 1052


def test_keys_for_people_end_on_the_count():
    result = run("keys", "--model", "nava_30ufl")
    assert result.output.splitlines()[-1].endswith("tensors, 5,541,467,840 parameters")


def test_an_unknown_model_is_one_line_and_exit_code_2():
    result = run("keys", "--model", "nava_7b")
    assert result.exit_code == 2
    assert result.output.startswith("nava: unknown model 'nava_7b'; there are tiny")
    assert result.output.count("\n") == 1
