"""Streams that are cut and resumed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.echo import EchoEngine
from handlers.resume import ResumableStream
from tests.conftest import ServerProcess
from tests.engine.llama.conftest import job, running_engine
from tests.faults.conftest import Peer, baseline, gauge, wait_until
from tests.handlers.cutting import BODY, LONG, Client
from tests.handlers.inprocess import Served, serving, stream_request
from tests.handlers.test_stream_life import stalled


@pytest.fixture(scope="module")
def uncut(server: ServerProcess) -> list[bytes]:
    """The frames of BODY in one go."""
    frames = Client(server.port, BODY).finish()
    assert frames[0].startswith(b'id: ID:1\ndata: "')
    assert [frame.split(b"\n")[0] for frame in frames] == [
        b"id: ID:%d" % number for number in range(1, len(frames) + 1)
    ]
    assert frames[-2].split(b"\n")[1] == b"event: usage"
    assert frames[-1].endswith(b"\ndata: [DONE]")
    return frames


def test_the_frames_without_their_ids_are_the_stream_without_the_option(
    server: ServerProcess, uncut: list[bytes]
) -> None:
    with Peer(server.port) as peer:
        peer.request(body={**BODY, "stream_options": {"usage": True}}, version="1.0")
        head, _, body = peer.read_to_end().partition(b"\r\n\r\n")
    assert b"stream-id" not in head.lower()
    assert body == b"".join(frame.partition(b"\n")[2] + b"\n\n" for frame in uncut)


def test_a_stream_cut_behind_any_frame_goes_on_behind_it(
    server: ServerProcess, uncut: list[bytes]
) -> None:
    with baseline(server):
        for count in range(len(uncut)):
            client = Client(server.port, BODY)
            client.read_frames(count)
            client.cut()
            assert client.resume() == 200
            assert client.finish() == uncut


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), min_size=1, max_size=6))
def test_a_stream_cut_anywhere_and_often_gives_every_byte_once(
    server: ServerProcess, uncut: list[bytes], cuts: list[int]
) -> None:
    client = Client(server.port, BODY)
    for size in cuts:
        client.read(size)
        client.cut()
        if client.resume() == 204:
            break
    assert client.finish() == uncut


def test_a_stream_is_there_after_its_end_from_any_frame(
    server: ServerProcess, uncut: list[bytes]
) -> None:
    client = Client(server.port, BODY)
    client.finish()
    for number in range(len(uncut)):
        client.frames = client.frames[:number]
        assert client.resume() == 200
        assert client.finish() == uncut


def test_who_has_everything_gets_204(server: ServerProcess) -> None:
    client = Client(server.port, BODY)
    client.finish()
    for last_id, query in ((client.last_id, ""), (None, f"?last_id={client.last_id}")):
        for method in ("GET", "HEAD"):
            answer = client.ask(method, query, last_id)
            assert (answer.status, answer.body) == (204, b"")


def test_the_header_holds_before_the_query(server: ServerProcess) -> None:
    """An EventSource that comes back still asks for the same URL."""
    client = Client(server.port, BODY)
    client.finish()
    assert client.ask(query=f"?last_id={client.id}:1", last_id=client.last_id).status == 204
    assert f"id: {client.id}:2\n".encode() in client.ask(query=f"?last_id={client.id}:1").body


def test_a_head_takes_nothing_from_the_reader(server: ServerProcess, uncut: list[bytes]) -> None:
    client = Client(server.port, BODY)
    client.read_frames(1)
    answer = client.ask("HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("content-type") == "text/event-stream; charset=utf-8"
    assert client.finish() == uncut


@pytest.mark.parametrize(
    "last_id",
    ["ID", "1", ":1", "ID:", "ID:-1", "ID:1e1", "ID:99999", "ID:١", "ID:1, ID:2", f"{'a' * 22}:1"],
)
def test_a_last_event_id_that_was_never_sent_is_a_400(server: ServerProcess, last_id: str) -> None:
    client = Client(server.port, BODY)
    client.finish()
    answer = client.ask(last_id=last_id.replace("ID", client.id))
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_an_unknown_stream_is_a_404(server: ServerProcess, method: str) -> None:
    for stream_id in ("a" * 22, "short", "a%20b"):
        with Peer(server.port) as peer:
            peer.request(
                f"/translate/stream/{stream_id}", method=method, headers="Connection: close\r\n"
            )
            head, _, body = peer.read_to_end().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ")
        assert b"application/json" in head
        assert (b'"code":"not_found"' in body) == (method != "HEAD")


def test_a_stream_of_somebody_else_is_a_404() -> None:
    async def test(served: Served) -> None:
        stream_id, _, writer = await begin(served)
        served.streams.find(stream_id, "").owner = "another"
        answer = await get(served, stream_id)
        assert b" 404 " in answer
        writer.close()

    run(test, EchoEngine())


def test_delete_cancels_at_once_and_tells_the_reader(server: ServerProcess) -> None:
    with baseline(server):
        client = Client(server.port, LONG)
        client.read_frames(3)
        assert client.ask("DELETE").status == 204
        wait_until(lambda: gauge(server, "sequences_used") == 0)
        assert client.finish()[-1].endswith(
            b'\ndata: {"error":"The translation was cancelled.","code":"cancelled"}'
        )
        for method in ("GET", "DELETE"):
            assert client.ask(method).status == 404
        assert client.id not in server.log()


def test_the_second_reader_takes_over(server: ServerProcess) -> None:
    body = {**BODY, "text": "Where is the station? " * 20}
    whole = Client(server.port, body).finish()
    with baseline(server):
        client = Client(server.port, body)
        client.read_frames(2)
        older = client._peer
        client.frames = client._body.split(b"\n\n")[:2]
        assert client.resume() == 200
        assert client.finish() == whole
        while older.read():
            pass
        assert b"[DONE]" not in older.received
        older.close()


# In the test's own process, where the state inside can be seen --------------------------------


async def begin(
    served: Served, **body: Any
) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    """A new stream's id, once its headers have come, and its connection."""
    reader, writer = await served.connect()
    writer.write(stream_request({"text": "Hello.", **body, "stream_options": {"resume": True}}))
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"Stream-Id: (\S+)", head)
    assert found, head
    return found[1].decode(), reader, writer


async def get(served: Served, stream_id: str, last: int | None = None) -> bytes:
    """The whole answer to a GET."""
    reader, writer = await served.connect()
    last_id = "" if last is None else f"Last-Event-ID: {stream_id}:{last}\r\n"
    writer.write(f"GET /translate/stream/{stream_id} HTTP/1.0\r\n{last_id}\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def leave(writer: asyncio.StreamWriter, stream: ResumableStream) -> None:
    writer.close()
    while stream.reader is not None:
        await asyncio.sleep(0.001)


def run(test: Callable[[Served], Any], engine: Any, **streams: Any) -> None:
    async def main() -> None:
        await engine.start()
        async with serving(engine, streams=streams) as served:
            await asyncio.wait_for(test(served), 60)

    asyncio.run(main())


def test_a_request_keeps_its_place_in_the_queue_while_its_client_is_away() -> None:
    async def test() -> None:
        async with running_engine(sequences=1) as engine, serving(engine) as served:
            runner = engine.submit(job(ignore_eos=True, max_tokens=480))
            while runner.started is None:
                await asyncio.sleep(0)
            stream_id, _, writer = await begin(served)
            while not engine.status().queued:
                await asyncio.sleep(0)
            await leave(writer, served.streams.find(stream_id, ""))
            assert engine.status().queued == 1
            back = asyncio.ensure_future(get(served, stream_id))
            runner.cancel()
            assert (await back).endswith(b"data: [DONE]\n\n")

    asyncio.run(asyncio.wait_for(test(), 60))


def test_heartbeats_have_no_ids() -> None:
    async def test() -> None:
        async with (
            running_engine(sequences=1) as engine,
            serving(engine, streams={"heartbeat": 0.05}) as served,
        ):
            runner = engine.submit(job(ignore_eos=True, max_tokens=480))
            while runner.started is None:
                await asyncio.sleep(0)
            stream_id, reader, writer = await begin(served)
            await reader.readuntil(b"\r\n: ping\n\n\r\n")
            writer.close()
            runner.cancel()
            assert f"id: {stream_id}:1\n".encode() in await get(served, stream_id)

    asyncio.run(asyncio.wait_for(test(), 60))


def test_beyond_the_most_streams_the_oldest_that_ended_goes_and_else_it_is_a_503() -> None:
    async def test() -> None:
        async with (
            running_engine(sequences=4) as engine,
            serving(engine, streams={"resume_streams": 2}) as served,
        ):
            ended = []
            for _ in range(2):
                stream_id, reader, writer = await begin(served)
                await reader.readuntil(b"[DONE]\n\n")
                await leave(writer, served.streams.find(stream_id, ""))
                ended.append(stream_id)
            live = [(await begin(served, ignore_eos=True, max_tokens=480))[0]]
            assert b" 404 " in await get(served, ended[0])
            assert b" 200 " in await get(served, ended[1])
            live.append((await begin(served, ignore_eos=True, max_tokens=480))[0])
            reader, writer = await served.connect()
            writer.write(stream_request({"text": "Hello.", "stream_options": {"resume": True}}))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 503 " in head
            assert b"Retry-After: 60\r\n" in head
            assert b'"code":"overloaded"' in await reader.readuntil(b"}")
            assert len(served.streams) == 2
            for stream_id in live:
                served.streams.forget(served.streams.find(stream_id, ""))
            writer.write(stream_request({"text": "Hello.", "stream_options": {"resume": True}}))
            await reader.readuntil(b"[DONE]\n\n")

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_stream_that_nobody_reads_stops_at_its_bound_and_goes_on_with_its_reader() -> None:
    text = " ".join(f"w{number}" for number in range(20_000))

    async def test(served: Served) -> None:
        stream_id, reader, writer = await begin(served, text=text, cache=False)
        await reader.readuntil(b'data: "w0"\n\n')
        stream = served.streams.find(stream_id, "")
        await leave(writer, stream)
        before = -1
        while before != stream._log.end:
            before = stream._log.end
            await asyncio.sleep(0.1)
        assert not stream.ended
        assert stream._log.end < 1000
        answer = await get(served, stream_id, 1)
        rest = b"".join(re.findall(rb'data: "([^"]*)"\n\n', answer)).decode()
        assert f"w0{rest}" == text
        assert b" 404 " in await get(served, stream_id, 1)  # kept no more
        assert b" 404 " in await get(served, stream_id)
        last = answer.count(b"\nid: ") + 1
        assert (await get(served, stream_id, last - 1)).endswith(b"data: [DONE]\n\n")

    run(test, EchoEngine(), resume_bytes=16384)


def test_a_reader_that_stalls_is_dropped_and_may_come_back() -> None:
    async def test(served: Served) -> None:
        _, writer = await stalled(served, "w " * 500_000, stream_options={"resume": True})
        while not len(served.streams):
            await asyncio.sleep(0.01)
        (stream,) = served.streams._streams.values()
        while stream.reader is not None:
            await asyncio.sleep(0.01)
        assert not stream.ended
        writer.close()
        reader, writer = await served.connect()
        writer.write(
            f"GET /translate/stream/{stream.id}?last_id={stream.id}:{stream._log.begin}"
            " HTTP/1.0\r\n\r\n".encode()
        )
        await reader.readuntil(b"\nid: ")
        writer.close()

    run(test, EchoEngine(), stall_timeout=0.3, send_buffer=8192)
