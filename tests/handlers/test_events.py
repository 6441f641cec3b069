"""`/events`: what dashboards are told, and how they come, fall behind and leave."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse, connect_sse

from engine.echo import EchoEngine
from handlers.feed import Feed
from handlers.readings import Readings, _Point
from tests.conftest import ServerProcess
from tests.handlers.inprocess import Served, read_frames, serving, stream_request

REQUEST = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"
Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


def run(
    test: Callable[[Served], Awaitable[None]], seconds: float = 60, **sections: dict[str, Any]
) -> None:
    """Run a test beside an application on the echo engine, within so many seconds."""

    async def around() -> None:
        engine = EchoEngine()
        await engine.start()
        async with serving(engine, **sections) as served:
            await test(served)

    asyncio.run(asyncio.wait_for(around(), seconds))


async def opened(served: Served, request: bytes = REQUEST) -> tuple[Reader, Writer]:
    """A dashboard that has had its first snapshot."""
    reader, writer = await served.connect()
    writer.write(request)
    await reader.readuntil(b"\r\n\r\n")
    await next_snapshot(reader)
    return reader, writer


async def next_snapshot(reader: Reader) -> dict[str, Any]:
    """The next snapshot, with its id as `id`."""
    await reader.readuntil(b"id: ")
    number, _, data = (await reader.readuntil(b"\n\n")).partition(b"\ndata: ")
    return {"id": int(number), **json.loads(data)}


def stalled(served: Served) -> socket.socket:
    """A dashboard with a small window that reads nothing by itself."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", served.port))
    raw.sendall(REQUEST)
    raw.setblocking(False)
    return raw


async def gone(served: Served) -> None:
    """Wait until no dashboard is left."""
    while len(served.feed):
        await asyncio.sleep(0.001)


@pytest.fixture(scope="module")
def echo() -> Iterator[ServerProcess]:
    """A server with a quick feed."""
    process = ServerProcess("--engine.kind", "echo", "--events.interval", "0.2")
    yield process
    process.close()


def test_an_event_source_gets_history_and_then_snapshots(echo: ServerProcess) -> None:
    with (
        httpx.Client(base_url=echo.url) as client,
        connect_sse(client, "GET", "/events") as source,
    ):
        assert source.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert source.response.headers["cache-control"] == "no-cache, no-transform"
        events = source.iter_sse()
        history = next(events)
        assert history.event == "history"
        assert history.retry is not None
        assert 2000 <= history.retry <= 5000
        assert set(history.json()) >= {"time", "tokens_per_second", "running", "ttft_p95"}
        snapshots = [next(events) for _ in range(3)]
    assert {event.event for event in snapshots} == {"message"}
    assert all(int(a.id) < int(b.id) for a, b in pairwise(snapshots))
    assert set(snapshots[0].json()) == {
        *("time", "uptime", "version", "model", "running", "queued", "sequences"),
        *("kv_used_ratio", "tokens_per_second", "ttft", "token_gap", "totals"),
        *("connections", "draining", "interval", "requests", "errors"),
    }
    assert snapshots[0].json()["model"] == {"name": "echo", "ready": True, "loading": None}


def test_a_snapshot_tells_what_the_server_has_done(echo: ServerProcess) -> None:
    with httpx.Client(base_url=echo.url) as client:
        with connect_sse(client, "GET", "/events") as source:
            events = source.iter_sse()
            next(events)
            first = next(events).json()
            before, before_errors = first["totals"], first["errors"].get("bad_request", 0)
            text = "one two three four"
            httpx.post(f"{echo.url}/translate/stream", json={"text": text})
            httpx.post(f"{echo.url}/translate", json={"text": text})
            httpx.post(f"{echo.url}/translate", json={"text": 1})
            snapshot = until(
                events, lambda now: now["totals"]["requests"] == before["requests"] + 3
            )
            assert snapshot["totals"]["tokens"] == before["tokens"] + 8
            assert snapshot["totals"]["errors"] == before["errors"]
            assert snapshot["ttft"]["p50"] > 0
            assert snapshot["token_gap"]["p95"] >= snapshot["token_gap"]["p50"] > 0
            assert snapshot["connections"].pop("open") >= 1
            assert snapshot["connections"] == {"requests": 0, "dashboards": 1}
            assert snapshot["errors"]["bad_request"] == before_errors + 1
            busy = until(events, lambda now: now["tokens_per_second"] > 0)
            assert busy["draining"] is False
        metrics = client.get("/metrics").text
    assert "babelbrook_dashboards 1.0" in metrics or "babelbrook_dashboards 0.0" in metrics


def test_a_snapshot_names_what_runs_longest_and_nothing_of_its_text() -> None:
    async def test(served: Served) -> None:
        reader, _ = await opened(served)
        writers = []
        for number in range(1, 11):
            stream, writer = await served.connect()
            text = "Secret. " * 4000 * number
            writer.write(stream_request({"text": text, "target_lang": "de", "cache": False}))
            await read_frames(stream, 1)
            writers.append(writer)
        served.feed.advance()
        snapshot = await next_snapshot(reader)
        assert [each["characters"] for each in snapshot["requests"]] == [
            32_000 * number for number in range(1, 9)
        ]
        for request in snapshot["requests"]:
            assert set(request) == {"seconds", "target_lang", "characters", "progress", "tokens"}
            assert request["target_lang"] == "de"
            assert request["tokens"] > 0
            assert 0 <= request["progress"] < 1
        assert "Secret" not in str(snapshot)
        for writer in writers:
            writer.close()
        await served.idle()
        served.feed.advance()
        assert (await next_snapshot(reader))["requests"] == []

    run(test, events={"interval": 30})


def until(
    events: Iterator[ServerSentEvent], condition: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The first snapshot of which it holds."""
    return next(value for event in events if condition(value := event.json()))


def test_errors_are_counted_in_streams_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    async def test(served: Served) -> None:
        reader, _ = await opened(served)
        monkeypatch.setattr("engine.translation.translator.Translation._fill_window", broken)
        stream, writer = await served.connect()
        writer.write(stream_request({"text": "Hello."}))
        await stream.readuntil(b"0\r\n\r\n")
        served.feed.advance()
        totals = (await next_snapshot(reader))["totals"]
        assert (totals["requests"], totals["errors"]) == (1, 1)

    run(test)


def test_a_snapshot_is_encoded_once_for_all_and_not_at_all_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded: Counter[str] = Counter()
    snapshot = Readings.snapshot

    def counted(self: Readings, dashboards: int) -> dict[str, Any]:
        encoded["snapshots"] += 1
        return snapshot(self, dashboards)

    def histories(self: Readings) -> dict[str, list[Any]]:
        encoded["histories"] += 1
        return history(self)

    history = Readings.history
    monkeypatch.setattr(Readings, "snapshot", counted)
    monkeypatch.setattr(Readings, "history", histories)

    async def test(served: Served) -> None:
        for _ in range(5):
            served.feed.advance()
        assert not encoded
        readers = [(await opened(served))[0] for _ in range(250)]
        assert encoded == {"snapshots": 1, "histories": 1}
        served.feed.advance()
        shown = [await next_snapshot(reader) for reader in readers]
        assert encoded["snapshots"] == 2
        assert all(each == shown[0] for each in shown)
        assert shown[0]["connections"]["dashboards"] == 250

    run(test, events={"interval": 30})


def test_others_have_their_turn_while_many_are_shown_a_snapshot() -> None:
    async def test(served: Served) -> None:
        readers = [(await opened(served))[0] for _ in range(250)]
        shown = Counter[int]()
        feed = served.feed
        feed.advance()
        while feed._showing:
            shown[sum(each.shown == feed._number for each in feed._dashboards)] += 1
            await asyncio.sleep(0)
        assert sorted(shown) == [100, 200, 250]
        for reader in readers:
            await next_snapshot(reader)

    run(test, events={"interval": 30})


def test_there_is_at_most_one_snapshot_an_interval() -> None:
    async def test(served: Served) -> None:
        begun = time.monotonic()
        reader, _ = await opened(served)
        for _ in range(5):
            await next_snapshot(reader)
        # The one on connect, then five of which the last came no sooner than five intervals later.
        assert time.monotonic() - begun >= 5 * 0.1

    run(test, events={"interval": 0.1})


def test_ids_grow_over_a_reconnect_and_over_a_restart() -> None:
    ids = []

    async def test(served: Served) -> None:
        for _ in range(2):
            reader, writer = await served.connect()
            last = ids[-1] if ids else 0
            writer.write(REQUEST[:-2] + b"Last-Event-ID: %d\r\n\r\n" % last)
            ids.append((await next_snapshot(reader))["id"])
            writer.close()
            await gone(served)

    run(test)
    run(test)
    assert ids == sorted(set(ids))


def test_a_slow_dashboard_skips_snapshots_and_others_get_theirs() -> None:
    async def test(served: Served) -> None:
        raw = stalled(served)
        healthy, _ = await opened(served)
        sent = []
        for _ in range(1000):
            served.feed.advance()
            sent.append((await next_snapshot(healthy))["id"])
        assert sent == sorted(set(sent))
        loop, received = asyncio.get_running_loop(), b""
        while f"id: {sent[-1]}\n".encode() not in received:
            received += await loop.sock_recv(raw, 65536)
        raw.close()
        taken = [int(number) for number in re.findall(rb"\nid: (\d+)\n", received)]
        assert taken == sorted(set(taken))
        # What lay in its own and the kernel's buffers, then the newest, whatever was between.
        assert len(taken) < 100
        assert all(json.loads(data) for data in re.findall(rb"\ndata: (.+)\n\n", received))

    run(test, events={"interval": 30})


def test_who_has_taken_the_last_one_in_full_gets_the_newest_at_once() -> None:
    async def test(served: Served) -> None:
        feed = served.feed
        point = _Point(1.8e9, 1000.0, 1, 1, 0.5, 0, 1, 0.1, 0.1, 0.1, 0.1)
        feed._readings._points = deque([point] * 3000)  # more than the kernel takes
        raw = stalled(served)
        while not len(feed):
            await asyncio.sleep(0.001)
        first = feed._number
        for _ in range(5):
            feed.advance()
        newest, received = feed._number, b""
        while f"id: {newest}\n".encode() not in received:
            received += await asyncio.get_running_loop().sock_recv(raw, 65536)
        raw.close()
        assert re.findall(rb"\nid: (\d+)\n", received) == [b"%d" % first, b"%d" % newest]

    run(test, events={"interval": 30}, streams={"send_buffer": 4096})


def test_a_dashboard_that_takes_nothing_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    async def test(served: Served) -> None:
        raw = stalled(served)
        healthy, _ = await opened(served)
        while len(served.feed) == 2:
            served.feed.advance()
            await next_snapshot(healthy)
        served.feed.advance()
        await next_snapshot(healthy)
        raw.close()

    with caplog.at_level(logging.INFO, "babelbrook.events"):
        run(test, streams={"stall_timeout": 0.2}, events={"interval": 30})
    assert "127.0.0.1 took nothing for 0.2 s" in caplog.text


def leave_with_reset(writer: Writer) -> None:
    linger_of_zero = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_of_zero)
    writer.transport.abort()


# A half-close behind bytes that nobody reads cannot be told from listening, so it is not here.
@pytest.mark.parametrize(
    ("leave", "stray"),
    [
        (Writer.close, b""),
        (Writer.write_eof, b""),
        (leave_with_reset, b""),
        (Writer.close, b"GET /health HTTP/1.1\r\n"),
        (leave_with_reset, b"GET /health HTTP/1.1\r\n"),
    ],
)
def test_a_disconnect_frees_everything(leave: Callable[[Writer], None], stray: bytes) -> None:
    async def test(served: Served) -> None:
        await asyncio.sleep(0.01)
        tasks = len(asyncio.all_tasks())
        writers = [(await opened(served, REQUEST + stray))[1] for _ in range(20)]
        assert len(served.feed) == 20
        assert len(asyncio.all_tasks()) == tasks  # a dashboard has no task
        for writer in writers:
            leave(writer)
        while len(served.feed):
            served.feed.advance()
            await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) == tasks

    run(test, events={"interval": 30})


def test_one_too_many_is_told_so() -> None:
    async def test(served: Served) -> None:
        writers = [(await opened(served))[1] for _ in range(2)]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as client:
            refused = await client.get("/events")
            assert refused.status_code == 503
            assert refused.json()["code"] == "too_many_dashboards"
            assert "events.connections" in refused.json()["error"]
            assert int(refused.headers["retry-after"]) > 0
            writers[0].close()
            while len(served.feed) == 2:
                await asyncio.sleep(0.001)
            async with aconnect_sse(client, "GET", "/events") as source:
                assert source.response.status_code == 200

    run(test, events={"connections": 2})


def test_a_drain_is_told_and_does_not_wait_for_dashboards() -> None:
    process = ServerProcess("--engine.kind", "echo", "--events.interval", "30")
    try:
        with (
            httpx.Client(base_url=process.url) as client,
            connect_sse(client, "GET", "/events") as source,
        ):
            events = source.iter_sse()
            next(events)
            assert next(events).json()["draining"] is False
            assert process.stop(timeout=5) == 0
            assert [event.json()["draining"] for event in events] == [True]
        assert "Traceback" not in process.log()
    finally:
        process.close()


def test_who_comes_during_a_drain_is_told_and_may_come_again() -> None:
    """Not refused: an EventSource never asks again after a 503."""

    async def test(served: Served) -> None:
        await opened(served)
        served.drain()
        await gone(served)
        reader, writer = await served.connect()
        writer.write(REQUEST)
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert re.search(rb"\nretry: \d+\nid: ", answer)
        assert answer.count(b"\ndata: ") == 1
        assert b'"draining":true' in answer

    run(test)


def test_an_http_1_0_client_gets_no_chunks() -> None:
    async def test(served: Served) -> None:
        reader, writer = await served.connect()
        writer.write(b"GET /events HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        await next_snapshot(reader)
        served.feed.advance()
        assert (await reader.readexactly(4)) == b"id: "
        served.drain()
        rest = await reader.read()
        assert rest.endswith(b'"draining":true}\n\n')

    run(test)


def test_head_opens_nothing(echo: ServerProcess) -> None:
    answer = httpx.head(f"{echo.url}/events")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_a_reading_that_fails_is_logged_and_the_feed_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(served: Served) -> None:
        reader, _ = await opened(served)
        with monkeypatch.context() as broken:
            broken.setattr(EchoEngine, "status", lambda _: 1 / 0)
            while "ZeroDivisionError" not in caplog.text:
                await asyncio.sleep(0.01)
        await next_snapshot(reader)

    run(test, events={"interval": 0.1})


# A dashboard of its own process: counts snapshots, and says its resident pages at the first tenth.
_DASHBOARD = """
import re, socket, sys
def resident(): return int(open("/proc/self/statm").read().split()[1])
server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
server.sendall(b"GET /events HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
tenth, seen, last, early, tail = int(sys.argv[2]) // 10, 0, 0, 0, b""
while data := server.recv(65536):
    lines = (tail + data).split(b"\\n")
    tail = lines.pop()
    for line in lines:
        if line.startswith(b"id: "):
            number, seen = int(line[4:]), seen + 1
            assert number > last
            last = number
            if seen == tenth: early = resident()
print(seen, last, early, resident())
"""


@pytest.mark.slow
def test_a_week_of_a_dashboard_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = 7 * 24 * 3600
    clock = SimpleNamespace(time=lambda: clock.now, monotonic=lambda: clock.now, now=1.8e9)
    monkeypatch.setattr("handlers.readings.time", clock)
    monkeypatch.setattr("handlers.quantiles.time", clock)
    monkeypatch.setattr("handlers.feed.time", clock)
    monkeypatch.setattr(Feed, "_schedule", lambda *_: None)  # nor any time but the clock's

    def resident() -> int:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1])

    async def test(served: Served) -> None:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _DASHBOARD, str(served.port), str(snapshots)),
            stdout=asyncio.subprocess.PIPE,
        )
        while not len(served.feed):
            await asyncio.sleep(0.01)
        early = 0
        for number in range(1, snapshots):  # beside the one on connect
            clock.now += 1
            served.feed.advance()
            await asyncio.sleep(0)
            while behind(served.feed):
                await asyncio.sleep(0.001)
            if number == snapshots // 10:
                early = resident()
        assert resident() <= early * 1.05
        served.drain()
        output, _ = await child.communicate()
        seen, last, early, late = map(int, output.split())
        assert seen == snapshots + 1  # and the one that tells of the end
        assert last == clock.now * 1000 + 1
        assert late <= early * 1.05

    run(test, seconds=110)


def behind(feed: Feed) -> bool:
    """Whether a dashboard has not taken all that it got."""
    return any(dashboard.behind is not None for dashboard in feed._dashboards)
