"""What it costs a request that servers share a Redis: its rate, its quota, its segments.

    python -m bench.shared redis://127.0.0.1:6379/15

Asks one after the other, as a lone client makes a server do, and 64 at a time; and the same of what
a server has by itself. Prints microseconds: what a request waits (median and 99th per cent) and, of
64 at a time, what each takes of the process's CPU time. Forgets all that is in that database.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import redis

from bench.figures import quantile
from bench.memory import answer, job
from engine.access.rates import Buckets, Rate
from engine.access.shared import SharedAccounts, SharedBuckets
from engine.access.state import State
from engine.echo import EchoEngine
from engine.memory.memory import Memory
from engine.memory.places import FilePlace, Place, RedisPlace
from engine.settings import Redis
from engine.shared_redis import SharedRedis

ASKED, TOGETHER = 6_400, 64
SEGMENTS = 20_000
ROOM = 1 << 28
RATE = Rate.parse("100000000/s")

Ask = Callable[[int], Awaitable[Any]]


async def measure(name: str, ask: Ask) -> None:
    """Print what one kind of question costs."""
    waits = []
    for number in range(ASKED):
        begun = time.perf_counter()
        await ask(number)
        waits.append(1e6 * (time.perf_counter() - begun))
    cpu, begun = time.process_time(), time.perf_counter()
    for first in range(0, ASKED, TOGETHER):
        await asyncio.gather(*(ask(number) for number in range(first, first + TOGETHER)))
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - begun
    print(
        f"{name}: median {quantile(waits, 0.5):,.0f}, p99 {quantile(waits, 0.99):,.0f};"
        f" together {1e6 * cpu / ASKED:,.0f} of CPU time, {ASKED / elapsed:,.0f}/s",
        flush=True,
    )


async def measure_memory(name: str, place: Place) -> None:
    """The same for segments that are there, and for some that are not."""
    memory, engine = Memory(place), EchoEngine()
    while memory._identity(engine) is None:
        await asyncio.sleep(0.01)
    for number in range(SEGMENTS):
        memory.put(answer(number), engine)
        if number % 500 == 499:
            await asyncio.wrap_future(memory._thread.submit(lambda: None))
    await measure(f"segment, hit, {name}", lambda n: memory.get(job(n), engine))
    await measure(f"segment, miss, {name}", lambda n: memory.get(job(SEGMENTS + n), engine))
    memory.close()


async def main(url: str) -> None:
    shared, client = SharedRedis(Redis(url=url)), redis.Redis.from_url(url)
    client.flushdb()
    await shared.start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own, state = Buckets(), State(folder / "state.sqlite")
        state.open()
        buckets, accounts = SharedBuckets(shared, own), SharedAccounts(shared, state)
        await measure("rate, own", lambda n: own.take(f"key {n % 100}", RATE))
        await measure("rate, Redis", lambda n: buckets.take(f"key {n % 100}", RATE))
        await measure("quota, own", lambda n: state.used(str(n % 100)))
        await measure("quota, Redis", lambda n: accounts.used(str(n % 100)))
        await measure_memory("file", FilePlace(str(folder / "memory.sqlite"), ROOM))
        before = client.info("memory")["used_memory"]  # type: ignore[index]
        await measure_memory("Redis", RedisPlace(url, ROOM, 1.0))
        taken = client.info("memory")["used_memory"] - before  # type: ignore[index]
        print(f"a segment: {taken / SEGMENTS:,.0f} bytes of Redis' memory")
    client.flushdb()
    await shared.close()


if __name__ == "__main__":
    logging.basicConfig()
    asyncio.run(main(sys.argv[1]))
