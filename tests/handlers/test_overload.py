"""More requests than the server can take."""

from __future__ import annotations

import asyncio
import re

from tests.engine.llama.conftest import job, running_engine
from tests.handlers.inprocess import serving, stream_request


def test_a_full_queue_answers_503_with_a_measured_retry_after() -> None:
    async def test() -> None:
        async with (
            running_engine(sequences=1) as engine,
            serving(engine, limits={"queue": 2}) as served,
        ):
            long = [engine.submit(job(ignore_eos=True, max_tokens=480)) for _ in range(3)]
            while engine.status().queued != 2:
                await asyncio.sleep(0)
            reader, writer = await served.connect()
            writer.write(stream_request({"text": "Hello."}))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"503" in head.split(b"\r\n")[0]
            wait = re.search(rb"Retry-After: (\d+)\r\n", head)
            assert wait
            assert int(wait[1]) >= 1
            assert b'"code":"overloaded"' in await reader.readuntil(b"}")
            for generation in long:
                generation.cancel()
            while engine.status().queued or engine.status().running:
                await asyncio.sleep(0)
            writer.write(stream_request({"text": "Hello."}))
            await reader.readuntil(b"data: [DONE]\n\n")
            writer.close()

    asyncio.run(asyncio.wait_for(test(), 60))
