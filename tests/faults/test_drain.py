"""The end of the process when something does not want to end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import LONG, SENTENCE, Peer, request_bytes, wait_until

Start = Callable[..., ServerProcess]

# A server whose llama_decode never returns once a file is there.
HANGING = """
import os, sys, threading
import server
from engine.llama.context import Context

decode = Context.decode

def hang(self, batch):
    if os.path.exists(os.environ["HANG"]):
        threading.Event().wait()
    return decode(self, batch)

Context.decode = hang
sys.exit(server.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_decode_that_hangs_costs_streams_no_error_event_and_the_exit_says_so(
    start: Start, tmp_path: Path
) -> None:
    hang = tmp_path / "hang"
    server = start(
        "--drain.deadline",
        "0.5",
        command=(sys.executable, "-c", HANGING),
        environ={"HANG": str(hang)},
    )
    streams = [Peer(server.port) for _ in range(5)]  # one of them waits in the queue
    for peer in streams:
        peer.request(body=LONG)
        peer.read_until(b"\r\n\r\n")
    whole = Peer(server.port)
    whole.request("/translate", SENTENCE)
    streams[0].read_until(b'data: "')
    hang.touch()
    server.process.send_signal(signal.SIGTERM)
    for peer in streams:
        end = peer.read_to_end()
        assert b'"code":"shutting_down"}\n\n' in end
        assert b"[DONE]" not in end
        peer.close()
    answer = whole.answer()
    assert (answer.status, answer.json["code"]) == (503, "shutting_down")
    whole.close()
    assert server.process.wait(10) == 70
    assert "The decode thread did not come back" in server.log()
    assert "Traceback" not in server.log()


def test_a_decode_that_hangs_does_not_stop_a_second_signal(start: Start, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    server = start(command=(sys.executable, "-c", HANGING), environ={"HANG": str(hang)})
    with Peer(server.port) as peer:
        peer.request(body=LONG)
        peer.read_until(b'data: "')
        hang.touch()
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "may finish" in server.log())
        assert server.stop(signal.SIGTERM, timeout=3) == 128 + signal.SIGTERM


def test_a_request_that_comes_in_part_is_told_at_the_end(start: Start) -> None:
    server = start("--drain.deadline", "60")
    with Peer(server.port) as stream, Peer(server.port) as half:
        half.send(request_bytes("/translate", b"x" * 100)[:-50])
        stream.request(body=LONG)
        stream.read_until(b'data: "')
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert stream.read_to_end().endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        answer = half.answer()
        assert (answer.status, answer.json["code"]) == (503, "shutting_down")
        assert server.process.wait(30) == 0
        assert time.monotonic() - begun < 30  # nobody waited for the other half
