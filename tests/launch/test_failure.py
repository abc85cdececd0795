"""Whom to blame when ranks fail, and what they said."""

import os
from pathlib import Path

import pytest

from nava.launch.failure import RankFailure, earliest, first_failure, last_words


def rank_log(folder: Path, local_rank: int, text: str, written_s: float, name: str = "stderr.log") -> None:
    file = folder / "run_ab" / "attempt_0" / str(local_rank) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, (written_s, written_s))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nava: no shards in /data\n", "no shards in /data"),
        ("Traceback (most recent call last):\n  line\nValueError: no\n", "ValueError: no"),
        ("[rank3]: Traceback\n[rank3]: my.module.BadError: lost\n", "my.module.BadError: lost"),
        ("RuntimeError: gone\n[W1129] Warning: destroy_process_group() was not called\n", "RuntimeError: gone"),
        ("only words\n\n", "only words"),
        ("", ""),
        ("x" * 5000, "x" * 400),
        ("caf\udce9\n".encode("utf-8", "surrogateescape").decode("latin-1"), "café"),
    ],
)
def test_last_words_are_the_line_of_the_error(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "stderr.log"
    file.write_text(text)
    assert last_words(file) == words


def test_a_killed_rank_has_no_last_words_but_those_of_an_error(tmp_path: Path) -> None:
    file = tmp_path / "stderr.log"
    file.write_text("step 4: loss 0.3\n")
    assert last_words(file, killed=True) == ""
    file.write_text("torch.OutOfMemoryError: CUDA out of memory\n")
    assert last_words(file, killed=True) == "torch.OutOfMemoryError: CUDA out of memory"


def test_bytes_that_are_no_text_do_not_hide_the_error(tmp_path: Path) -> None:
    file = tmp_path / "stderr.log"
    file.write_bytes(b"\xff\xfe\x00" * 9000 + b"\nValueError: wrong\n")
    assert last_words(file) == "ValueError: wrong"


def test_the_rank_that_fell_silent_first_is_blamed(tmp_path: Path) -> None:
    rank_log(tmp_path, 0, "RuntimeError: connection closed by peer\n", 20.0)
    rank_log(tmp_path, 1, "ValueError: bad clip\n", 10.0)
    failure = first_failure(tmp_path, {8: (0, 1), 9: (1, 1)})
    assert failure.sentence == "rank 9 ended with exit code 1: ValueError: bad clip"


def test_a_rank_that_was_told_to_end_is_not_blamed(tmp_path: Path) -> None:
    rank_log(tmp_path, 0, "", 5.0)
    rank_log(tmp_path, 1, "ValueError: bad clip\n", 10.0)
    assert first_failure(tmp_path, {0: (0, -15), 1: (1, 1)}).rank == 1


def test_what_a_rank_said_on_stdout_counts_when_it_said_nothing_else(tmp_path: Path) -> None:
    rank_log(tmp_path, 0, "", 5.0)
    rank_log(tmp_path, 0, "nava: out of disk\n", 6.0, "stdout.log")
    assert first_failure(tmp_path, {0: (0, 1)}).last_words == "out of disk"


def test_without_logs_the_exit_code_remains(tmp_path: Path) -> None:
    failure = first_failure(tmp_path, {3: (3, 7)})
    assert failure.sentence == "rank 3 ended with exit code 7"


@pytest.mark.parametrize(
    ("exit_code", "shell", "sentence"),
    [
        (-9, 137, "rank 0 was killed by SIGKILL (out of memory?)"),
        (-11, 139, "rank 0 was killed by SIGSEGV"),
        (-90, 218, "rank 0 was killed by signal 90"),
        (3, 3, "rank 0 ended with exit code 3"),
    ],
)
def test_exit_codes_are_told_as_a_shell_does(exit_code: int, shell: int, sentence: str) -> None:
    failure = RankFailure(0, exit_code, "", 0.0)
    assert failure.shell_exit_code == shell
    assert failure.sentence == sentence


def test_of_several_nodes_the_first_counts() -> None:
    late, early = RankFailure(0, 1, "late", 9.0), RankFailure(8, 1, "early", 2.0)
    assert earliest([late, RankFailure(None, -15, "", 1.0), early]) is early
