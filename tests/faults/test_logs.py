"""Logs that cannot be written: the server goes on, and ends with the right status."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import SENTENCE, Peer, ask, baseline, gauge, wait_until

Start = Callable[..., ServerProcess]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_for_the_log_hinders_nobody(start: Start) -> None:
    with open("/dev/full", "w") as full:
        server = start(stderr=full)
    with baseline(server):
        for _ in range(20):
            assert ask(server.port, "/translate", SENTENCE).status == 200
    wait_until(lambda: gauge(server, "log_lines_lost_total") >= 20)
    assert server.stop() == 0


def test_a_log_pipe_that_nobody_reads_hinders_nobody(start: Start) -> None:
    reading, writing = os.pipe()
    server = start(stderr=writing)
    os.close(writing)
    with baseline(server), Peer(server.port) as peer:
        for _ in range(1000):  # each logs about 150 bytes; a pipe holds 65,536
            peer.request("/health")
            assert peer.answer().status == 200
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < 10
    os.close(reading)


def test_a_log_pipe_whose_reader_has_ended_hinders_nobody(start: Start) -> None:
    reading, writing = os.pipe()
    server = start(stderr=writing)
    os.close(writing)
    os.close(reading)
    with baseline(server):
        assert ask(server.port, "/translate", SENTENCE).status == 200
    assert server.stop() == 0
