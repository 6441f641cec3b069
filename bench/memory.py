"""What the translation memory costs a request: a hit, a miss, and to keep an answer.

    python -m bench.memory [FILE.tsv]

Fills a file with segments and asks for some that are there and some that are not, as a request
does: from the event loop, answered by the memory's thread. Prints microseconds, median and 99th
per cent. With a table of sentences (language, English, other; .xz too) it looks for similar ones
among 100,000 of them as well, and tells how often the likest of all was found.
"""

from __future__ import annotations

import asyncio
import lzma
import random
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from rapidfuzz import fuzz, process

from bench.figures import quantile
from engine.echo import EchoEngine
from engine.generation import Generation, Job, recalled
from engine.memory.memory import Memory
from engine.memory.places import FilePlace
from engine.memory.similar import LEAST, Similar
from engine.memory.store import Entry, FileStore

SEGMENTS, ASKED = 100_000, 5_000
_LIKE = 300
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


def sentences(table: Path, count: int) -> list[str]:
    """Different English sentences of a table, in any order."""
    with (lzma.open if table.suffix == ".xz" else open)(table, "rt", encoding="utf-8") as lines:
        found = list(islice(dict.fromkeys(line.split("\t")[1] for line in lines), count))
    random.Random(1).shuffle(found)
    return found


async def look_for_similar(table: Path, folder: Path) -> None:
    """The likest segment of 100,000 to each of 300 others."""
    all_texts = sentences(table, SEGMENTS + _LIKE)
    texts, others = all_texts[:-_LIKE], all_texts[-_LIKE:]
    path = folder / "similar.sqlite"
    store = FileStore(str(path), 1 << 30)
    for text in texts:
        store.put(Entry(text.encode(), "en", "de", None, text, ["x"]))
    store.close()
    plain, begun = path.stat().st_size, time.perf_counter()
    FileStore(str(path), 1 << 30, similar=True).close()
    seconds = time.perf_counter() - begun
    print(f"index: {seconds:.1f} s, the file {path.stat().st_size / plain:.2f} times as large")
    similar, waits, right, there = Similar(str(path), "imported"), [], 0, 0
    for text in others:
        begun = time.perf_counter()
        found = await similar.find(text, "en", "de", 1)
        waits.append(1e6 * (time.perf_counter() - begun))
        best = process.extractOne(text, texts, scorer=fuzz.ratio, score_cutoff=100 * LEAST)
        there += best is not None
        right += bool(best and found and found[0].score >= round(best[1] / 100, 3))
    show("similar", waits)
    print(f"the likest was found for {right} of {there} that have one")
    similar.close()


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memory.sqlite"
        memory, engine = Memory(FilePlace(str(path), 1 << 30)), EchoEngine()
        show("keep", await fill(memory, engine))
        await asyncio.sleep(0.5)
        show("hit", await microseconds(memory, engine, 0))
        show("miss", await microseconds(memory, engine, SEGMENTS))
        memory.close()
        if len(sys.argv) > 1:
            await look_for_similar(Path(sys.argv[1]), Path(folder))


if __name__ == "__main__":
    asyncio.run(main())
