"""A run that is killed while a question is in flight: the next run pays for the rest and for nothing twice."""

import subprocess
import sys
import threading

from nava.data.annotation.cost import CostAccount
from tests.data.annotation.conftest import chat, metered, request, words
from tests.data.annotation.contract_stub import KEY

QUESTIONS = [f"question {number}" for number in range(6)]
ASKING = """
import sys
from pathlib import Path
from nava.data.annotation.openai_chat import ChatClient
from tests.data.annotation.conftest import metered, request, words
url, key, folder, *questions = sys.argv[1:]
client = metered(ChatClient("stub-vision", url + "/v1", key, 60.0, "input_audio"), Path(folder))
for question in questions:
    client.ask(request(question), words)
"""


def test_what_was_answered_is_not_asked_again(stub, tmp_path):
    arrived = threading.Event()

    def hang_at_the_fourth(seen):
        if seen.text == QUESTIONS[3] and not arrived.is_set():
            arrived.set()
            stub.ending.wait()
        return {"words": f"answer to {seen.text}"}

    stub.answers["greeting"] = hang_at_the_fourth
    run = subprocess.Popen([sys.executable, "-c", ASKING, stub.url, KEY, str(tmp_path), *QUESTIONS])
    try:
        assert arrived.wait(timeout=120), "the run ended before its fourth question"
    finally:
        run.kill()
        run.wait()
    client = metered(chat(stub), tmp_path)
    assert [client.ask(request(question), words) for question in QUESTIONS] == [f"answer to {q}" for q in QUESTIONS]
    asked = [seen.text for seen in stub.seen]
    assert asked == [*QUESTIONS[:4], *QUESTIONS[3:]], "only the question in flight is asked twice"
    assert CostAccount(tmp_path, 0.0).totals()["stub-vision"].calls == len(QUESTIONS)
