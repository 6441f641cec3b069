"""Requests spoilt by chance, to every path: none makes the server fail, hang or lose anything.

`make fuzz` tries many more of them (FUZZ_EXAMPLES).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from engine.access.keys import Role
from tests.attacks.requests import good_requests, spoilt
from tests.conftest import ServerProcess
from tests.faults.conftest import Peer, ask, baseline, wait_until
from tests.handlers.keyed import Keyed

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "250"))
SILENCE = 0.1  # seconds after which what waits for more bytes, or streams for ever, is left alone
# A model that is not here cannot be had either: nothing is downloaded.
OFFLINE = {"HF_HUB_OFFLINE": "1"}
QUESTION = {"text": "Where is the station?", "target_lang": "de", "source_lang": "en"}

tries = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("data")
    engine = os.environ.get("FUZZ_ENGINE", "echo")
    flags = ("--engine", engine, "--data.folder", str(folder))
    yield from _attacked(ServerProcess(*flags, environ=OFFLINE))


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Keyed:
    return Keyed(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def key(keyed: Keyed) -> str:
    return keyed.add("all", *Role)


@pytest.fixture(scope="module")
def closed_server(keyed: Keyed, key: str) -> Iterator[ServerProcess]:
    yield from _attacked(keyed.serve())


def _attacked(server: ServerProcess) -> Iterator[ServerProcess]:
    yield server
    assert server.process.poll() is None
    log = server.log()
    server.close()
    assert "Traceback" not in log, log
    assert not re.search(r" (ERROR|CRITICAL) ", log), log


def received(port: int, data: bytes, silence: float = SILENCE) -> bytes:
    """What the server answers to these bytes, as far as it comes soon."""
    end = time.monotonic() + 4 * silence
    with Peer(port, timeout=silence) as peer, suppress(TimeoutError, ConnectionError):
        peer.send(data)
        while time.monotonic() < end and peer.read():
            pass
    return peer.received


def check(server: ServerProcess, data: bytes) -> None:
    """No answer is a server's error, and each begins as an answer does."""
    answer = received(server.port, data)
    assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:200]
    assert not re.search(rb"^HTTP/1\.1 5(?!03)\d\d", answer, re.MULTILINE), answer[:2000]
    assert server.process.poll() is None


def test_good_requests_are_good(open_server: ServerProcess) -> None:
    """Those that are spoilt below: most reach what they are for."""
    answers = [received(open_server.port, request, 1.0)[:12] for request in good_requests()]
    assert sum(answer[9:10] == b"2" for answer in answers) >= 30
    assert not {answer for answer in answers if answer[9:10] == b"5"} - {b"HTTP/1.1 503"}


def test_spoilt_requests_harm_nobody(open_server: ServerProcess) -> None:
    requests = good_requests()

    @tries
    @given(spoilt(requests))
    def attack(data: bytes) -> None:
        check(open_server, data)

    attack_and_look(open_server, attack)


def test_spoilt_requests_with_a_key_harm_nobody(closed_server: ServerProcess, key: str) -> None:
    requests = good_requests(f"Authorization: Bearer {key}\r\n".encode())

    @tries
    @given(spoilt(requests))
    def attack(data: bytes) -> None:
        check(closed_server, data)

    attack()
    wait_until(lambda: descriptors(closed_server) < 100)
    assert ask(closed_server.port, "/health").status == 200


def descriptors(server: ServerProcess) -> int:
    return sum(1 for _ in Path(f"/proc/{server.process.pid}/fd").iterdir())


def attack_and_look(server: ServerProcess, attack: object) -> None:
    """The server must come back to the tasks, threads and descriptors that it had."""
    assert callable(attack)
    for request in good_requests():  # what starts only once
        received(server.port, request)
    with baseline(server, question=QUESTION):
        attack()
