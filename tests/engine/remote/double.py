"""An upstream of a few lines that does what it is told, for faults that real ones do not offer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

WORDS = ["Wo", " ist", " der", " Bahnhof", "?"]


class Double:
    """Speaks OpenAI's dialect. `faults` are used up from the front, one for each request:

    "close" before any answer, "hang", a status, or a number of words after which it breaks off
    ("cut 2"), sends what is no frame ("junk 2") or an error ("error 2"). `hold` makes it wait
    before each word until the event is set; `endless` makes it send words until it is left.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.asked: list[dict[str, Any]] = []  # the bodies
        self.heads: list[str] = []  # of all requests, in small letters
        self.model = "some-model"
        self.hold: asyncio.Event | None = None
        self.endless = False
        self.sent = 0  # words that were taken off our hands
        self.running = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Listen, on the same port as before where there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Accept nothing more, and break off what runs."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        while self._writers:
            await asyncio.sleep(0.005)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head.lower())
                length = int(
                    self.heads[-1].partition("content-length: ")[2].partition("\r")[0] or 0
                )
                body = await reader.readexactly(length)
                if head.startswith("GET"):
                    await self._whole(writer, 200, {"data": [{"id": self.model}]})
                else:
                    await self._complete(reader, writer, json.loads(body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._writers.discard(writer)

    async def _whole(self, writer: asyncio.StreamWriter, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()

    async def _complete(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: Any
    ) -> None:
        self.asked.append(body)
        fault, _, place = (self.faults.pop(0) if self.faults else "").partition(" ")
        if fault == "close":
            raise ConnectionResetError
        if fault.isdecimal():
            await self._whole(writer, int(fault), {"error": {"message": "as it was told to"}})
            return
        self.running += 1
        gone = asyncio.ensure_future(reader.read(1))
        telling = asyncio.ensure_future(self._tell(writer, fault, int(place or -1)))
        try:
            await asyncio.wait({gone, telling}, return_when=asyncio.FIRST_COMPLETED)
            if not telling.done():
                raise ConnectionResetError
            telling.result()
        finally:
            self.running -= 1
            for task in (gone, telling):
                task.cancel()
                with suppress(asyncio.CancelledError, ConnectionError):
                    await task

    async def _tell(self, writer: asyncio.StreamWriter, fault: str, place: int) -> None:
        if fault == "hang":
            await asyncio.Event().wait()
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        writer.write(f"{head}\r\n\r\n".encode())
        number = 0
        while self.endless or number < len(WORDS):
            if self.hold is not None:
                await self.hold.wait()
            if number == place:
                await self._break(writer, fault)
            word = WORDS[number % len(WORDS)]
            await self._frame(writer, {"choices": [{"delta": {"content": word}}]})
            number += 1
            self.sent = number
        await self._frame(writer, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 7, "completion_tokens": len(WORDS) + 1}
        await self._frame(writer, {"choices": [], "usage": usage})
        await self._chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _break(self, writer: asyncio.StreamWriter, fault: str) -> None:
        if fault == "junk":
            await self._chunk(writer, b"data: {\n\n")
        elif fault == "error":
            await self._frame(writer, {"error": {"message": "out of memory"}})
        else:
            raise ConnectionResetError

    async def _frame(self, writer: asyncio.StreamWriter, value: Any) -> None:
        await self._chunk(writer, f"data: {json.dumps(value)}\n\n".encode())

    async def _chunk(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def doubles(count: int) -> AsyncIterator[list[Double]]:
    """So many, listening."""
    made = [Double() for _ in range(count)]
    for each in made:
        await each.open()
    try:
        yield made
    finally:
        for each in made:
            await each.close()
