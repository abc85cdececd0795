"""Votes are kept one by one, whoever writes at once and whoever is killed."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from nava.evaluation.study.votes import VoteStore, latest, parse_vote, write_votes
from nava.runtime.errors import InputError
from tests.evaluation.study.small_study import MODELS, vote

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from nava.evaluation.study.votes import VoteStore
from tests.evaluation.study.small_study import vote
store = VoteStore(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    store.append(vote(sys.argv[2], item_id=f"i{{number}}"))
    print(number, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> VoteStore:
    return VoteStore(tmp_path / "votes.jsonl")


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    code = WRITER.format(root=str(Path(__file__).parents[3]))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path), name, str(count)], stdout=subprocess.PIPE, text=True
    )


def test_a_vote_is_read_as_it_was_given(store: VoteStore) -> None:
    given = [vote(), vote("zoë", seconds=None, played=None, time=None, choice="tie", kind="repeat")]
    for one in given:
        store.append(one)
    found = store.read()
    assert list(found.votes) == given
    assert (found.lines, found.end, found.torn) == (2, store.path.stat().st_size, "")


def test_no_file_holds_no_votes(store: VoteStore) -> None:
    assert store.read().votes == ()


def test_reading_goes_on_where_it_stopped(store: VoteStore) -> None:
    store.append(vote("ann"))
    first = store.read()
    assert store.read(first).votes == ()
    store.append(vote("bob"))
    second = store.read(first)
    assert [one.rater for one in second.votes] == ["bob"]
    assert second.lines == 2
    with store.path.open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(InputError, match=r"votes\.jsonl, line 3: field 'schema_version' is missing"):
        store.read(second)


@pytest.mark.parametrize("length", [1, 17, 200, -1])
def test_a_torn_line_is_told_and_gone_with_the_next_vote(store: VoteStore, length: int) -> None:
    store.append(vote("ann"))
    with store.path.open("ab") as file:
        file.write(vote("bob").line()[:length])
    found = store.read()
    assert [one.rater for one in found.votes] == ["ann"]
    assert found.torn == vote("bob").line()[:length].decode()
    store.append(vote("cy"))
    assert [one.rater for one in store.read().votes] == ["ann", "cy"]
    assert store.read().torn == ""
    assert [one.rater for one in store.read(found).votes] == ["cy"]


def test_a_long_torn_line_and_a_file_of_nothing_else(store: VoteStore) -> None:
    store.path.write_bytes(b"x" * 10_000)
    assert len(store.read().torn) == 10_000
    store.append(vote("ann"))
    store.path.write_bytes(store.path.read_bytes() + b"y" * 9000)
    store.append(vote("bob"))
    assert [one.rater for one in store.read().votes] == ["ann", "bob"]


def test_a_full_disk_leaves_the_file_as_it_was(store: VoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append(vote("ann"))
    before = store.path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.append(vote("bob"))
    assert store.path.read_bytes() == before


def test_a_vote_is_on_the_disk_before_append_returns(store: VoteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(store.path.read_bytes()))
    store.append(vote("ann"))
    assert seen == [vote("ann").line()]


def test_threads_and_processes_do_not_disturb_each_other(store: VoteStore) -> None:
    processes = [writer(store.path, f"process{number}", 60) for number in range(2)]

    def work(name: str) -> None:
        for number in range(40):
            store.append(vote(name, item_id=f"i{number}"))

    threads = [threading.Thread(target=work, args=(f"thread{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    found = store.read()
    assert len(found.votes) == len(set(found.votes)) == 2 * 60 + 4 * 40
    for rater in ("process0", "thread3"):
        items = [one.item_id for one in found.votes if one.rater == rater]
        assert items == [f"i{number}" for number in range(len(items))]


def test_of_a_killed_writer_no_vote_that_it_reported_is_lost(store: VoteStore) -> None:
    process = writer(store.path, "ann", 100_000)
    assert process.stdout is not None
    reported = [int(process.stdout.readline()) for _ in range(30)][-1]
    process.kill()
    reported = max([reported, *map(int, process.communicate(timeout=60)[0].split())])
    store.append(vote("bob"))
    found = store.read()
    kept = [one.item_id for one in found.votes if one.rater == "ann"]
    assert kept == [f"i{number}" for number in range(len(kept))]
    assert reported + 1 <= len(kept) <= reported + 2
    assert found.votes[-1].rater == "bob"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("choice", "up", "must be left or tie or right"),
        ("choice", None, "must be a text"),
        ("kind", "game", "must be vote or attention or repeat"),
        ("seconds", -1, "finite number from 0"),
        ("seconds", "3", "finite number from 0"),
        ("played", "yes", "must be true or false"),
        ("rater", "", "must be a text that is not empty"),
        ("schema_version", 2, "must be 1"),
        ("right_model", MODELS[0], "must differ from left_model"),
        ("time", 3, "must be a text"),
    ],
)
def test_a_malformed_vote_is_refused_by_line_and_field(field: str, value: object, said: str) -> None:
    record = json.loads(vote().line()) | {field: value}
    with pytest.raises(InputError, match=f"line 7: field '{field}' is .*{said}"):
        parse_vote(json.dumps(record).encode(), "line 7")
    del record[field]
    with pytest.raises(InputError, match=f"line 7: field '{field}' is missing"):
        parse_vote(json.dumps(record).encode(), "line 7")


def test_unknown_fields_and_other_lines_are_refused(store: VoteStore) -> None:
    record = json.loads(vote().line()) | {"mood": "good"}
    with pytest.raises(InputError, match="unknown field 'mood'"):
        parse_vote(json.dumps(record).encode(), "line 1")
    store.append(vote())
    store.path.write_bytes(store.path.read_bytes() + b"\n" + vote().line())
    with pytest.raises(InputError, match="line 2: not JSON"):
        store.read()


def test_a_line_break_within_a_text_is_no_line_break_of_the_file(store: VoteStore) -> None:
    given = vote(case="a\r\nb\u2028c\x0bd\x1ee")
    store.append(given)
    assert store.read().votes == (given,)


def test_the_last_answer_counts(tmp_path: Path) -> None:
    first, other, again = vote(choice="left"), vote("bob"), vote(choice="right")
    elsewhere = replace(first, criterion="audio-visual alignment")
    assert latest([first, other, elsewhere, again]) == [again, other, elsewhere]
    write_votes(tmp_path / "new.jsonl", [first, other])
    assert VoteStore(tmp_path / "new.jsonl").read().votes == (first, other)
