"""A server to attack, and what it must be like afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import baseline

# An attack that works takes minutes or for ever; one that does not, a second or two.
PATIENCE = 40.0
GOOD = {"text": "Where is the station?", "target_lang": "de", "source_lang": "en"}


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that gives texts back: all of HTTP and of the formats, without a model's time."""
    folder = tmp_path_factory.mktemp("data")
    process = ServerProcess("--engine", "echo", "--data.folder", str(folder))
    _start_threads(process)
    yield process
    log = process.log()
    process.close()
    assert "Traceback" not in log, log


def _start_threads(server: ServerProcess) -> None:
    """Let the server start all threads that it ever will: as many as have work at one time."""
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as http, ThreadPoolExecutor(40) as all:
        list(all.map(lambda _: translate(http, "<b>" * 4_000, "html"), range(40)))


@pytest.fixture(scope="module")
def http(victim: ServerProcess) -> Iterator[httpx.Client]:
    """A client of it that loses its patience."""
    with httpx.Client(base_url=victim.url, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def unharmed(victim: ServerProcess) -> Iterator[None]:
    """After all attacks of a module the server holds on to nothing and answers as before."""
    with baseline(victim, question=GOOD):
        yield


def memory(server: ServerProcess) -> float:
    """The most memory that a server has had so far, in MiB."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert found
    return int(found[1]) / 1024


def translate(http: httpx.Client, text: str, format_: str, **more: Any) -> httpx.Response:
    """`POST /translate` of a document."""
    body = {"text": text, "format": format_, "source_lang": "en", "target_lang": "de", **more}
    return http.post("/translate", json=body)


def upload(http: httpx.Client, name: str, data: bytes, **more: str) -> httpx.Response:
    """`POST /translate/file`."""
    fields = {"source_lang": "en", "target_lang": "de", **more}
    return http.post("/translate/file", files={"file": (name, data)}, data=fields)
