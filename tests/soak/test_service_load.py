"""The service of the promoted package under load: every request is answered, and memory does not grow."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from nava.config.serving import ServingConfig
from nava.generation.media import read_mp4
from nava.serving.command import bentoml_command, champion_package, service_environment
from nava.serving.process import free_port, running_service
from tests.e2e.life_cycle import run

pytestmark = pytest.mark.soak
REQUESTS, THREADS = 60, 4
STEPS = 4
TRIES, PAUSE_S = 20, 0.2
MAX_GROWTH = 1.3


def server_rss_bytes() -> int:
    """Resident memory of every process below this one: the server and its workers."""
    return sum(process.memory_info().rss for process in psutil.Process().children(recursive=True))


def generate(client: httpx.Client, seed: int) -> httpx.Response:
    """Ask for a clip as a good client does: what the service turns away because it is busy is asked for again.

    The service lets in as many requests as there are threads here, and counts one until it has tidied up after it, a
    moment after the client has its answer.
    """
    request = {"prompt": ServingConfig().prompt, "seed": seed, "steps": STEPS}
    for _ in range(TRIES):
        answer = client.post("/generate", json=request)
        if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            break
        time.sleep(PAUSE_S)
    return answer


def generate_all(url: str, seeds: range, timeout_s: float) -> list[httpx.Response]:
    """A clip for every seed, asked for from several threads at once."""
    with httpx.Client(base_url=url, trust_env=False, timeout=timeout_s) as client, ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(partial(generate, client), seeds))


def require_clips(answers: list[httpx.Response], scratch: Path) -> None:
    assert [answer.status_code for answer in answers] == [httpx.codes.OK] * len(answers), answers[-1].text[:500]
    for answer in answers:
        scratch.write_bytes(answer.content)
        media = read_mp4(scratch)
        assert len(media.frames) == 49
        assert len(media.samples) >= 32_000


def test_every_request_is_answered_and_memory_does_not_grow(tmp_path: Path) -> None:
    ending = run(tmp_path / "runs")
    assert ending.code == 0, ending.output
    config = ServingConfig()
    served = champion_package(tmp_path / "runs" / "smoke")
    port = free_port(config.host)
    url = f"http://{config.host}:{port}"
    command = bentoml_command(config, config.host, port)
    environment = service_environment(served, tmp_path / "home", config)
    with running_service(command, environment, url, tmp_path / "service.log", config.start_timeout_s):
        # What is allocated once, such as thread pools and codec contexts, is no growth.
        require_clips(generate_all(url, range(2 * THREADS), config.request_timeout_s), tmp_path / "clip.mp4")
        before = server_rss_bytes()
        answers = generate_all(url, range(REQUESTS), config.request_timeout_s)
        after = server_rss_bytes()
    assert len(answers) == REQUESTS
    require_clips(answers, tmp_path / "clip.mp4")
    assert len({answer.content for answer in answers}) == REQUESTS, "seeds make no difference"
    assert after <= MAX_GROWTH * before, f"{before / 2**20:.0f} MB grew to {after / 2**20:.0f} MB"
