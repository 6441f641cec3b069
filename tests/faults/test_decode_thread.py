"""The decode thread fails, or dies: streams are told, and the server recovers or says why not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ServerProcess
from tests.faults.conftest import LONG, SENTENCE, Peer, ask, baseline, wait_until
from tests.faults.failing import FAILING, texts

LOOP = "engine.llama.scheduler:Scheduler."
# Every function that the loop calls of its own in a round with streams that run, wait and leave.
ROUND = ("_take_commands", "_free_cancelled", "_admit", "_place", "_step", "_accept", "_hand_over")
STEP = LOOP + "_step"
DECODE = "engine.llama.context:Context.decode"
CONTEXT = "engine.llama.engine:Context"


@pytest.fixture(scope="module")
def fault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that arms a fault."""
    return tmp_path_factory.mktemp("faults") / "fault"


def failing(fault: Path, *places: str) -> ServerProcess:
    """A server of two sequences; its faults are exits, which no `except Exception` sees."""
    return ServerProcess(
        *("--engine.sequences", "2", "--engine.threads", "1"),
        command=(sys.executable, "-c", FAILING, " ".join(places)),
        environ={"FAULT": str(fault)},
    )


@pytest.fixture(scope="module")
def server(fault: Path) -> Iterator[ServerProcess]:
    """A server whose loop may fail anywhere."""
    process = failing(fault, DECODE, *(LOOP + name for name in ROUND))
    yield process
    process.close()


def three_streams(server: ServerProcess) -> list[Peer]:
    """Two that run and one that waits."""
    peers = [Peer(server.port) for _ in range(3)]
    for peer in peers:
        peer.request(body=LONG, version="1.0")
        peer.read_until(b"\r\n\r\n")
    peers[0].read_until(b'data: "')
    return peers


@pytest.mark.parametrize("name", ROUND)
def test_what_escapes_the_loop_ends_running_streams_with_an_error_and_the_next_request_works(
    server: ServerProcess, fault: Path, name: str
) -> None:
    logged = len(server.log())
    with baseline(server, log=False):
        peers = three_streams(server)
        with Peer(server.port) as leaver:
            leaver.request(body=LONG)
            leaver.read_until(b"\r\n\r\n")
            fault.write_text(f"exit {LOOP}{name}")
        wait_until(lambda: not fault.exists())
        ends = [texts(peer.read_to_end())[-1] for peer in peers]
        for peer in peers:
            peer.close()
    told = [b'"code":"decode_failed"' in end for end in ends]
    assert any(told)
    assert all(told[n] or ends[n] == b"data: [DONE]" for n in range(3)), ends
    assert server.log()[logged:].count("SystemExit: injected") == 1
    assert ask(server.port, "/ready").status == 200


@pytest.mark.parametrize("code", [2, -1, -3])
def test_a_failed_decode_ends_running_streams_with_an_error_and_the_next_request_works(
    server: ServerProcess, fault: Path, code: int
) -> None:
    logged = len(server.log())
    with baseline(server, log=False):
        peers = three_streams(server)
        fault.write_text(f"{code} {DECODE}")
        ends = [texts(peer.read_to_end())[-1] for peer in peers]
        for peer in peers:
            peer.close()
    assert all(b'"code":"decode_failed"' in end for end in ends[:2])
    assert ends[2] == b"data: [DONE]"
    assert f"llama_decode returned {code}: " in server.log()[logged:]
    assert "Traceback" not in server.log()[logged:]


def test_no_room_in_the_cache_costs_no_stream_a_byte(server: ServerProcess, fault: Path) -> None:
    whole = ask(server.port, "/translate", LONG).json["translation"]
    with baseline(server, log=False):
        peers = three_streams(server)
        fault.write_text(f"1 {DECODE}")
        for peer in peers:
            *frames, end = texts(peer.read_to_end())
            assert end == b"data: [DONE]"
            assert "".join(json.loads(frame[6:]) for frame in frames) == whole
            peer.close()
    assert not fault.exists()


def test_where_it_cannot_go_on_ready_says_why_and_nothing_hangs(fault: Path) -> None:
    server = failing(fault, STEP, CONTEXT)
    peers = three_streams(server)
    fault.write_text(f"exit {STEP} {CONTEXT}")
    ends = [texts(peer.read_to_end())[-1] for peer in peers]
    assert all(b'"code":"decode_failed"' in end for end in ends)
    assert b"The decode thread has died" in ends[2]  # which was waiting
    for peer in peers:
        peer.close()
    for path, body in (("/ready", None), ("/translate", SENTENCE), ("/translate/stream", SENTENCE)):
        answer = ask(server.port, path, body)
        assert (answer.status, answer.json["code"]) == (503, "not_ready")
        assert "The decode thread has died" in answer.json["error"]
    assert ask(server.port, "/health").status == 200

    body = {"model": ask(server.port, "/models").json["models"][0]["name"]}
    with Peer(server.port) as peer:  # which loads it anew
        peer.request("/models/select", body, version="1.0")
        assert b'"status":"ready"' in texts(peer.read_to_end())[-1]
    assert ask(server.port, "/translate", SENTENCE).status == 200
    assert server.stop() == 0
    assert server.log().count("SystemExit: injected") >= 1
    server.close()
