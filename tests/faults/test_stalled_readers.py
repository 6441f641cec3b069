"""Readers that stop reading, or hardly read: the model pauses for them, and nobody else waits."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import (
    LONG,
    SENTENCE,
    Peer,
    ask,
    baseline,
    gauge,
    wait_until,
)

SMALL = 2304  # bytes; the least that Linux gives a socket for receiving, doubled
STALL = 65.0  # seconds that a reader may take nothing
# Drawn, not greedy, so that every token brings text: past its end a greedy answer brings little. A
# seed makes it the same each time.
WILD = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 1}
LARGE = {**LONG, **WILD, "text": "Where is the station? Good morning."}  # some 15 kB of frames


@pytest.fixture(scope="module")
def narrow() -> Iterator[ServerProcess]:
    """A server with little room for unread text: four sequences, small buffers."""
    process = ServerProcess(
        *("--engine.sequences", "4", "--engine.threads", "1", "--streams.unread_bytes", "64"),
        *("--streams.send_buffer", "4096", "--streams.stall_timeout", str(STALL)),
        *("--engine.lookahead", "1"),
    )
    yield process
    log = process.log()
    process.close()
    assert "Traceback" not in log, log


def stalled(server: ServerProcess) -> Peer:
    """A client whose window closes after a few frames, because it does not read."""
    peer = Peer(server.port, receive_buffer=SMALL, timeout=60)
    peer.request(body=LARGE)
    return peer


def resident(server: ServerProcess) -> int:
    """Resident memory in KiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def frames(received: bytes) -> list[str]:
    """The texts of a stream's frames."""
    lines = received.split(b"\n")
    return [json.loads(line[6:]) for line in lines if line.startswith(b'data: "')]


def test_a_reader_that_goes_on_gets_every_byte(narrow: ServerProcess) -> None:
    whole = ask(narrow.port, "/translate", LARGE).json["translation"]
    with baseline(narrow), stalled(narrow) as peer:
        wait_until(lambda: gauge(narrow, "requests_paused") == 1)
        assert 0 < gauge(narrow, "kv_used_ratio") * 4 * 512 < 400
        received = peer.read_until(b"data: [DONE]")
    assert "".join(frames(received)) == whole
    assert re.search(rb"\r\n(data: [^\n]+\n\n){9,}\r\n", received)  # what waited, in one flush


def test_with_every_sequence_stalled_a_new_request_starts_at_once(narrow: ServerProcess) -> None:
    whole = ask(narrow.port, "/translate", LARGE).json["translation"]
    with baseline(narrow):
        peers = [stalled(narrow) for _ in range(8)]  # four with a place, four that get theirs
        wait_until(lambda: gauge(narrow, "requests_paused") == 8)
        assert ask(narrow.port, "/translate", SENTENCE).status == 200
        wait_until(lambda: gauge(narrow, "requests_paused") == 8)
        for peer in peers:
            assert "".join(frames(peer.read_until(b"data: [DONE]"))) == whole
            peer.close()


def healthy(server: ServerProcess, count: int) -> None:
    """As many streams at a time, read to their ends; all get the same."""
    streams = [Peer(server.port) for _ in range(count)]
    for stream in streams:
        stream.request(body=SENTENCE)
    answers = {tuple(frames(stream.read_until(b"data: [DONE]"))) for stream in streams}
    assert len(answers) == 1
    for stream in streams:
        stream.close()


@pytest.mark.slow
def test_a_closed_window_for_a_minute_beside_eight_healthy_streams(narrow: ServerProcess) -> None:
    for _ in range(4):  # a heap grows to what it has had to hold at most: first for more than eight
        healthy(narrow, 48)
    with baseline(narrow), stalled(narrow) as peer:
        wait_until(lambda: gauge(narrow, "requests_paused") == 1)
        cells, sizes, begun = gauge(narrow, "kv_used_ratio"), [], time.monotonic()
        while (seconds := time.monotonic() - begun) < 60:
            if seconds > 6:  # memory is compared from the first tenth on
                sizes.append(resident(narrow))
            healthy(narrow, 8)
            time.sleep(0.2)
        assert gauge(narrow, "requests_paused") == 1
        assert gauge(narrow, "kv_used_ratio") in (cells, 0)  # it lost its place, or stands still
        assert sizes[-1] <= 1.05 * sizes[0]
        assert len(frames(peer.read_until(b"data: [DONE]"))) > 300


def test_a_reader_of_a_byte_at_a_time_holds_nobody_up(narrow: ServerProcess) -> None:
    with baseline(narrow), stalled(narrow) as peer:
        wait_until(lambda: gauge(narrow, "requests_paused") == 1)
        for _ in range(10):
            assert len(peer.read(1)) == 1
            begun = time.monotonic()
            assert ask(narrow.port, "/translate", SENTENCE).status == 200
            time.sleep(max(0.0, 1.0 - (time.monotonic() - begun)))
        assert gauge(narrow, "requests_paused") == 1


def test_a_reader_that_takes_nothing_for_too_long_is_dropped() -> None:
    process = ServerProcess(
        *("--engine.sequences", "4", "--engine.threads", "1", "--streams.unread_bytes", "64"),
        *("--streams.send_buffer", "4096", "--streams.stall_timeout", "2"),
        *("--engine.lookahead", "1"),
    )
    with baseline(process):
        peer = stalled(process)  # still open when the server must have everything back
        wait_until(lambda: gauge(process, "requests_paused") == 1)
        wait_until(lambda: gauge(process, "requests_paused") == 0)
        wait_until(lambda: "status=499" in process.log())
    peer.close()
    assert process.stop() == 0
    process.close()
