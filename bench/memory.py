"""What the translation memory costs a request: a hit, a miss, and to keep an answer.

    python -m bench.memory

Fills a file with segments and asks for some that are there and some that are not, as a request
does: from the event loop, answered by the memory's thread. Prints microseconds, median and 99th
per cent.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from bench.figures import quantile
from engine.echo import EchoEngine
from engine.generation import Generation, Job, recalled
from engine.memory.memory import Memory

SEGMENTS, ASKED = 100_000, 5_000
_PIECES = ["Das", " ist", " der", " Satz", " Nummer", " so", "und", "so", "."]


def job(number: int) -> Job:
    """A segment of usual length, each another."""
    return Job(f"This is sentence number {number} of the book.", "en", "de")


def answer(number: int) -> Generation:
    """An answer to it that has cost some tokens."""
    generation = recalled(job(number), _PIECES)
    generation._decoding.output_tokens = len(_PIECES)
    return generation


async def microseconds(memory: Memory, engine: EchoEngine, first: int) -> list[float]:
    """What each of so many requests waits."""
    waits = []
    for number in range(first, first + ASKED):
        begun = time.perf_counter()
        await memory.get(job(number), engine)
        waits.append(1e6 * (time.perf_counter() - begun))
    return waits


async def fill(memory: Memory, engine: EchoEngine) -> list[float]:
    """Keep all segments; what each costs the event loop (microseconds)."""
    costs = []
    for number in range(SEGMENTS):
        generation = answer(number)
        begun = time.perf_counter()
        memory.put(generation, engine)
        costs.append(1e6 * (time.perf_counter() - begun))
        if number % 500 == 0:
            await memory.get(job(number), engine)  # waits for its turn behind those
            await asyncio.sleep(0.05)
    return costs


def show(name: str, values: list[float]) -> None:
    print(f"{name}: median {quantile(values, 0.5):,.0f} µs, p99 {quantile(values, 0.99):,.0f} µs")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memory.sqlite"
        memory, engine = Memory(str(path), 1 << 30), EchoEngine()
        show("keep", await fill(memory, engine))
        await asyncio.sleep(0.5)
        show("hit", await microseconds(memory, engine, 0))
        show("miss", await microseconds(memory, engine, SEGMENTS))
        memory.close()


if __name__ == "__main__":
    asyncio.run(main())
