"""`nava data inspect`, `report` and `serve-report` from the shell's side."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nava.cli import main
from tests.console.small_corpus import COPY, KEPT, SOUND, TITLED, record, validated, write_corpus, write_tables


def nava(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["data", *map(str, arguments)])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_corpus(tmp_path_factory.mktemp("commands") / "corpus")
    validated(folder)
    return folder


def test_inspect_prints_and_writes_a_page_that_carries_its_media(corpus: Path) -> None:
    result = nava("inspect", KEPT[:3] + "1", "--dir", corpus)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{KEPT}  kept\nKept: it passes all 9 rules")
    page = corpus / "report" / "clips" / f"{KEPT}.html"
    assert result.output.splitlines()[-1] == f"{page}: the same with a player"
    assert 'src="data:video/mp4;base64,' in page.read_text()
    sound = nava("inspect", SOUND, "--dir", corpus, "-o", corpus / "sound.html")
    assert sound.exit_code == 0
    assert 'src="data:audio/flac;base64,' in (corpus / "sound.html").read_text()


def test_a_page_links_the_pages_beside_it(tmp_path: Path, corpus: Path) -> None:
    for _ in range(2):
        for clip_id in (KEPT, COPY):
            assert nava("inspect", clip_id, "--dir", corpus, "-o", tmp_path / f"{clip_id}.html").exit_code == 0
    assert f'href="{COPY}.html"' in (tmp_path / f"{KEPT}.html").read_text()
    assert f'href="{KEPT}.html"' in (tmp_path / f"{COPY}.html").read_text()


def test_json_is_json_and_writes_nothing_unasked(tmp_path: Path) -> None:
    write_tables(tmp_path, [record(KEPT, "one")])
    result = nava("inspect", KEPT, "--dir", tmp_path, "--json")
    assert json.loads(result.output)["clip"]["clip_id"] == KEPT
    assert not (tmp_path / "report").exists()
    assert nava("inspect", KEPT, "--dir", tmp_path, "--json", "-o", tmp_path / "page.html").exit_code == 0
    assert (tmp_path / "page.html").is_file()


@pytest.mark.parametrize(("clip_id", "said"), [("aa", "begin with 'aa'"), (KEPT[:-1] + "9", f"did you mean {KEPT}")])
def test_a_wrong_id_lists_near_ones(corpus: Path, clip_id: str, said: str) -> None:
    result = nava("inspect", clip_id, "--dir", corpus)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("command", [("inspect", KEPT, "--dir"), ("report",), ("serve-report",)])
def test_a_folder_without_clips_is_wrong_input(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = nava(*command, tmp_path)
    assert result.exit_code == 2
    assert "`nava data curate` makes such a folder" in result.stderr


def test_a_hostile_id_does_not_write_elsewhere(tmp_path: Path) -> None:
    write_tables(tmp_path / "corpus", [record("../../../outside", "one")])
    assert nava("inspect", "..", "--dir", tmp_path / "corpus").exit_code == 0
    written = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")]
    assert written == ["corpus/report/clips/..%2F..%2F..%2Foutside.html"]


def test_the_report_is_one_page_of_the_asked_size(corpus: Path, tmp_path: Path) -> None:
    result = nava("report", corpus)
    page = (corpus / "report" / "index.html").read_text()
    assert (result.exit_code, result.output.split(":")[0]) == (0, str(corpus / "report" / "index.html"))
    assert page.count("data:image/jpeg;base64,") == 1
    assert TITLED in page
    assert "data:video" not in page
    assert nava("report", corpus, "-o", tmp_path / "small.html", "--thumbnails", 0, "--records", 1).exit_code == 0
    small = (tmp_path / "small.html").read_text()
    assert "data:image/jpeg" not in small
    assert "The first 1 are here" in small


def test_the_server_says_where_it_is_and_ends_well_on_ctrl_c(corpus: Path) -> None:
    command = [sys.executable, "-m", "nava.cli", "data", "serve-report", str(corpus), "--port", "0"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        # A shell's background jobs ignore it, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        url = line.split(": ")[0]
        assert url.startswith("http://127.0.0.1:")
        assert "Ctrl-C" in line
        with urllib.request.urlopen(url) as answer:
            assert b"gate passed" in answer.read()
        server.send_signal(signal.SIGINT)
        output, errors = server.communicate()
        assert (server.returncode, output, errors) == (0, "ended\n", "")
