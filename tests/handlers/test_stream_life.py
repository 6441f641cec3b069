"""How a stream lives and ends: disconnects, heartbeats, stalled readers, old protocols."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

import pytest

from engine.echo import EchoEngine
from engine.generation import Generation
from engine.translation.translator import Translation
from tests.engine.llama.conftest import job, running_engine
from tests.handlers.inprocess import Served, read_frames, serving, stream_request

LONG = {"text": "Where is the station?", "ignore_eos": True, "max_tokens": 400}


def abort(writer: asyncio.StreamWriter) -> None:
    """Leave with a reset."""
    linger_of_zero = b"\x01\x00\x00\x00\x00\x00\x00\x00"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_of_zero)
    writer.transport.abort()


def close(writer: asyncio.StreamWriter) -> None:
    """Leave politely."""
    writer.close()


def run(test: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.wait_for(test(), 60))


@pytest.mark.parametrize("leave", [abort, close])
def test_a_disconnect_mid_stream_frees_the_sequence_within_one_step(
    leave: Callable[[asyncio.StreamWriter], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with running_engine() as engine, serving(engine) as served:
            steps_at_cancel: list[int] = []
            cancel = Generation.cancel

            def noted(self: Generation) -> None:
                steps_at_cancel.append(engine.status().steps)
                cancel(self)

            monkeypatch.setattr(Generation, "cancel", noted)
            reader, writer = await served.connect()
            writer.write(stream_request(LONG))
            await read_frames(reader, 3)
            assert engine.status().sequences_used == 1
            leave(writer)
            while engine.status().sequences_used:
                await asyncio.sleep(0)
            assert steps_at_cancel
            # The step that runs while the flag is set may end; there is no other.
            assert engine.status().steps - steps_at_cancel[0] <= 1
            assert engine.status().kv_used == 0
            await served.idle()

    run(test)


@pytest.mark.parametrize("path", ["/translate/stream", "/translate"])
def test_nothing_waits_for_the_rest_of_a_request_whose_client_left(path: str) -> None:
    async def test() -> None:
        engine = EchoEngine()
        await engine.start()
        async with serving(engine) as served:
            before = len(asyncio.all_tasks())
            request = stream_request({"text": "Hello."}).replace(
                b"/translate/stream", path.encode()
            )
            for _ in range(5):
                _, writer = await served.connect()
                writer.write(request[:-3])
                while len(asyncio.all_tasks()) < before + 2:  # the connection's and the handler's
                    await asyncio.sleep(0)
                writer.close()
                await writer.wait_closed()
                while len(asyncio.all_tasks()) > before:
                    await asyncio.sleep(0)

    run(test)


def test_a_disconnect_in_the_queue_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with running_engine(sequences=1) as engine, serving(engine) as served:
            runner = engine.submit(job(ignore_eos=True, max_tokens=480))
            while runner.started is None:
                await asyncio.sleep(0)
            _, writer = await served.connect()
            writer.write(stream_request(LONG))
            while not engine.status().queued:
                await asyncio.sleep(0)
            tokens = engine.status().prompt_tokens
            writer.close()
            await served.idle()
            runner.cancel()
            while engine.status().sequences_used or engine.status().queued:
                await asyncio.sleep(0)
            assert engine.status().prompt_tokens == tokens

    with caplog.at_level(logging.INFO, "babelbrook.access"):
        run(test)
    assert "status=499" in caplog.text


def test_heartbeats_run_while_a_request_waits_in_the_queue() -> None:
    async def test() -> None:
        async with (
            running_engine(sequences=1) as engine,
            serving(engine, streams={"heartbeat": 0.05}) as served,
        ):
            runner = engine.submit(job(ignore_eos=True, max_tokens=480))
            while runner.started is None:
                await asyncio.sleep(0)
            reader, writer = await served.connect()
            writer.write(stream_request({"text": "Hello."}))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"200 OK" in head
            for _ in range(2):
                await reader.readuntil(b": ping\n\n")
            runner.cancel()
            await reader.readuntil(b"data: [DONE]\n\n")
            writer.close()

    # The runner must outlast the pings, so it is repeated for as long as that takes.
    run(test)


async def stalled(
    served: Served, text: str, path: str = "/translate/stream", **more: Any
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client with a small window that sends a request and reads nothing."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", served.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=1)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    request = stream_request({"text": text, "target_lang": "ja", **more})
    writer.write(request.replace(b"/translate/stream", path.encode(), 1))
    return reader, writer


def test_a_reader_that_takes_nothing_is_dropped_and_its_work_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cancelled: list[Translation] = []
    cancel = Translation.cancel
    monkeypatch.setattr(Translation, "cancel", lambda self: (cancelled.append(self), cancel(self)))

    async def test() -> None:
        engine = EchoEngine()
        await engine.start()
        async with serving(engine, streams={"stall_timeout": 0.3}) as served:
            _, writer = await stalled(served, "Hello, you there. " * 100_000)
            await asyncio.sleep(0.1)
            assert served.activity.running == 1
            await served.idle()
            assert cancelled
            reader, healthy = await served.connect()
            healthy.write(stream_request({"text": "Still here.", "target_lang": "ja"}))
            await reader.readuntil(b"data: [DONE]\n\n")
            healthy.close()
            writer.close()

    run(test)


@pytest.mark.parametrize("leave", [abort, close])
def test_a_whole_translation_is_given_up_when_its_client_left_behind_a_stray_byte(
    leave: Callable[[asyncio.StreamWriter], None],
) -> None:
    """Tornado stops reading, and so learns nothing, while bytes of a next request wait."""

    async def test() -> None:
        async with running_engine(sequences=1) as engine, serving(engine) as served:
            _, writer = await served.connect()
            body = {"text": "He is old. " * 2000, "cache": False}
            request = stream_request(body).replace(b"/translate/stream", b"/translate")
            writer.write(request + b"\r\n")
            while not engine.status().tokens:
                await asyncio.sleep(0.01)
            leave(writer)
            await served.idle()
            while engine.status().sequences_used or engine.status().queued:
                await asyncio.sleep(0.01)
            assert engine.status().tokens < 5000

    run(test)


def test_an_unread_answer_is_dropped_like_an_unread_stream() -> None:
    async def test() -> None:
        engine = EchoEngine()
        await engine.start()
        async with serving(engine, streams={"stall_timeout": 0.3}) as served:
            _, writer = await stalled(served, "1 " * 1_000_000, path="/translate")
            while not served.activity.running:
                await asyncio.sleep(0.01)
            await served.idle()
            writer.close()

    run(test)


def test_segments_that_nobody_waits_for_leave_the_queue_at_once() -> None:
    async def test() -> None:
        async with running_engine(sequences=1) as engine:
            runner = engine.submit(job(ignore_eos=True, max_tokens=480))
            while runner.started is None:
                await asyncio.sleep(0)
            jobs = [engine.submit(job(ahead=number % 2 == 0)) for number in range(100)]
            while engine.status().queued < 50:
                await asyncio.sleep(0)
            for generation in jobs:
                generation.cancel()
            for generation in jobs:
                assert not await generation.read()
            assert runner.finish is None
            assert engine.status().queued == 0
            runner.cancel()

    run(test)


@pytest.mark.parametrize("headers", ["", "Connection: keep-alive\r\n"])
def test_an_http_1_0_client_learns_the_end_from_the_connection(headers: str) -> None:
    async def test() -> None:
        async with running_engine() as engine, serving(engine) as served:
            reader, writer = await served.connect()
            writer.write(stream_request({"text": "Hello."}, "1.0", headers))
            answer = await reader.read()
            assert answer.endswith(b"data: [DONE]\n\n")
            assert b"chunked" not in answer.lower()
            writer.close()

    run(test)


def test_a_connection_is_kept_for_the_next_request() -> None:
    async def test() -> None:
        async with running_engine() as engine, serving(engine) as served:
            reader, writer = await served.connect()
            for _ in range(3):
                writer.write(stream_request({"text": "Hello."}))
                await reader.readuntil(b"data: [DONE]\n\n")
                await reader.readuntil(b"0\r\n\r\n")
            writer.close()

    run(test)


def test_an_unexpected_failure_ends_the_stream_with_an_error_event(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    async def test() -> None:
        async with running_engine() as engine, serving(engine) as served:
            monkeypatch.setattr(Translation, "_fill_window", broken)
            reader, writer = await served.connect()
            writer.write(stream_request({"text": "Hello."}))
            await reader.readuntil(b'"code":"internal"}\n\n')
            await reader.readuntil(b"0\r\n\r\n")
            writer.close()

    run(test)
    assert "ZeroDivisionError" in caplog.text
