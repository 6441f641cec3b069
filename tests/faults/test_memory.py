"""A disk that is full under the translation memory of a real server."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ServerProcess


@pytest.mark.slow
def test_a_full_disk_costs_the_memory_and_no_answer(tmp_path: Path, sentences: list[str]) -> None:
    limited = ("bash", "-c", 'ulimit -f 64; exec "$@"', "--")  # no file above 64 KiB
    server = ServerProcess(
        *("--data.folder", str(tmp_path), "--memory", "memory.sqlite"),
        *("--engine.sequences", "8", "--engine.threads", "1"),
        command=(*limited, sys.executable, "server.py"),
    )
    with httpx.Client(base_url=server.url, timeout=120) as client:
        body = {"text": sentences[:120], "target_lang": "de", "source_lang": "en"}
        first = client.post("/translate", json=body)
        second = client.post("/translate", json=body)
    log = server.log()
    status = server.stop()
    server.close()
    assert first.status_code == second.status_code == 200
    assert first.json()["translation"] == second.json()["translation"]
    assert log.count("cannot be used, and is tried again every 60 s") == 1
    assert "Traceback" not in log
    assert status == 0
