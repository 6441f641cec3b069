"""A real attacker: slowhttptest holds connections open while others go on being served."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import baseline

pytestmark = pytest.mark.slow

CONNECTIONS = 150
# Seconds after which the server lets go of whoever keeps it waiting, each well below the attack's.
PATIENCE = [
    flag
    for name in ("limits.header_timeout", "limits.body_timeout", "limits.idle_timeout")
    for flag in (f"--{name}", "2")
]
ATTACKS = {
    "slow headers": ("/translate", "-H", "-i", "1", "-x", "24"),
    "slow body": ("/translate", "-B", "-i", "1", "-x", "10", "-s", "8192"),
    "ranges": ("/languages", "-R", "-t", "GET", "-a", "10", "-b", "3000"),
    "slow read": ("/metrics", "-X", "-w", "256", "-y", "512", "-n", "1", "-z", "16", "-k", "3"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """A server of the echo engine that does not wait long."""
    if shutil.which("slowhttptest") is None:
        pytest.skip("needs slowhttptest")
    process = ServerProcess("--engine", "echo", *PATIENCE)
    yield process
    process.close()


@contextmanager
def healthy_client(server: ServerProcess) -> Iterator[list[str]]:
    """A client that asks for one stream after the other; gives what it got."""
    streams: list[str] = []
    over = threading.Event()
    body = {"text": "one two", "target_lang": "ja"}

    def ask() -> None:
        while not over.wait(0.05):
            try:
                answer = httpx.post(f"{server.url}/translate/stream", json=body, timeout=60)
                streams.append(answer.text)
            except httpx.TransportError as error:
                streams.append(repr(error))

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield streams
    finally:
        over.set()
        client.join()


def attack(url: str, *flags: str) -> str:
    """Run slowhttptest for ten seconds at most; gives what it printed, without colours."""
    done = subprocess.run(
        ["slowhttptest", "-c", str(CONNECTIONS), "-r", "150", "-l", "10", "-u", url, *flags],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", done.stdout + done.stderr)


@pytest.mark.parametrize("name", ATTACKS)
def test_others_are_served_and_nothing_is_left(server: ServerProcess, name: str) -> None:
    path, *flags = ATTACKS[name]
    seen = server.log().count("\n")
    with baseline(server), healthy_client(server) as streams:
        shown = attack(f"{server.url}{path}", *flags)
    assert streams
    assert set(streams) == {'data: "one"\n\ndata: " two"\n\ndata: [DONE]\n\n'}
    available = re.findall(r"service available:\s+(\w+)", shown)
    assert available, shown
    assert set(available) == {"YES"}, shown
    log = server.log().splitlines()[seen:]
    if name in ("slow headers", "slow body"):
        told = [line for line in log if "status=408 code=request_timeout" in line]
    else:
        told = [line for line in log if f"path={path} status=200" in line]
    assert len(told) >= CONNECTIONS, "the attack did not reach the server"
