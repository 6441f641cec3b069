"""A generation whose readers are behind pauses, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import ShuttingDown
from engine.generation import Generation
from engine.llama.engine import LocalEngine
from tests.engine.llama.conftest import job, text_of

With = Callable[..., Any]
UNREAD = 40  # bytes of text; a token has four, about
LONG = {"ignore_eos": True, "max_tokens": 200}


async def paused(engine: LocalEngine, count: int) -> None:
    """Wait until so many generations are paused and the decode thread has come to rest."""
    while engine.status().paused != count:
        await asyncio.sleep(0.001)
    steps = -1
    while steps != engine.status().steps:
        steps = engine.status().steps
        await asyncio.sleep(0.02)


async def slow_text(generation: Generation) -> str:
    """Read with a pause after each piece or two."""
    pieces: list[str] = []
    while (new := await generation.read()) or not generation.ended:
        pieces += new
        await asyncio.sleep(0.005)
    return "".join(pieces)


def unread(generation: Generation) -> int:
    """Bytes that wait for this reader, who has not read anything yet."""
    return generation._decoding.ends[-1]


def test_an_unread_generation_pauses_and_goes_on_where_it_was(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        whole = await text_of(engine.submit(job(**LONG)))
        slow = engine.submit(job(**LONG, unread=UNREAD))
        await paused(engine, 1)
        assert UNREAD < unread(slow) < UNREAD + 100
        assert engine.status().kv_used > 0
        assert await slow_text(slow) == whole
        assert engine.status().paused == 0
        assert engine.status().kv_used == 0

    with_engine(test)


def test_how_far_a_reader_may_be_behind_can_change(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        whole = await text_of(engine.submit(job(**LONG)))
        slow = engine.submit(job(**LONG))
        pieces = await slow.read()
        slow.limit(0)
        await paused(engine, 1)
        assert unread(slow) < len(whole.encode())
        slow.limit(None)
        while slow.finish is None:
            await asyncio.sleep(0.001)
        assert "".join(pieces) + await text_of(slow) == whole

    with_engine(test)


def test_a_paused_sequence_gives_its_place_to_who_waits(with_engine: With) -> None:
    """All places are held by readers that have stopped; a new request starts all the same."""

    async def test(engine: LocalEngine) -> None:
        whole = await text_of(engine.submit(job(**LONG)))
        stalled = [engine.submit(job(**LONG, unread=UNREAD)) for _ in range(2)]
        await paused(engine, 2)
        texts = await asyncio.gather(*(text_of(engine.submit(job())) for _ in range(5)))
        assert len(set(texts)) == 1
        assert [generation.finish for generation in stalled] == [None, None]
        assert await asyncio.gather(*map(slow_text, stalled)) == [whole, whole]
        assert engine.status().kv_used == 0

    with_engine(test, sequences=2)


def test_a_paused_sequence_keeps_its_place_while_nobody_wants_it(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        slow = engine.submit(job(**LONG, unread=UNREAD))
        await paused(engine, 1)
        prompt_tokens = engine.status().prompt_tokens
        await slow_text(slow)
        assert engine.status().prompt_tokens == prompt_tokens  # nothing was read again

    with_engine(test, sequences=2)


@pytest.mark.parametrize("parked", [False, True])
def test_a_pause_does_not_count_in_the_time_that_others_are_told_to_wait(
    with_engine: With, parked: bool
) -> None:
    async def test(engine: LocalEngine) -> None:
        begun = time.monotonic()
        slow = engine.submit(job(**LONG, unread=UNREAD))
        await paused(engine, 1)
        if parked:
            await text_of(engine.submit(job()))
        stood = time.monotonic()
        await asyncio.sleep(0.5)
        stood = time.monotonic() - stood
        await text_of(slow)
        while engine.status().sequences_used:
            await asyncio.sleep(0.001)
        assert 0 < engine.status().wait_seconds <= time.monotonic() - begun - stood

    with_engine(test, sequences=1)


def test_running_streams_do_not_notice_paused_ones_between_them(
    with_engine: With, sentences: list[str]
) -> None:
    async def test(engine: LocalEngine) -> None:
        texts = sentences[:8]
        alone = [await text_of(engine.submit(job(text, **LONG))) for text in texts]
        jobs = [
            engine.submit(job(text, **LONG, unread=UNREAD if number % 2 else None))
            for number, text in enumerate(texts)
        ]
        assert await asyncio.gather(*map(text_of, jobs[::2])) == alone[::2]
        await paused(engine, 4)
        assert await asyncio.gather(*map(slow_text, jobs[1::2])) == alone[1::2]

    with_engine(test, sequences=8)


def test_a_shared_decode_pauses_only_when_all_readers_are_behind(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        slow = engine.submit(job(**LONG, shared=True, unread=UNREAD))
        fast = engine.submit(job(**LONG, shared=True, unread=UNREAD))
        whole = await text_of(fast)
        assert fast.finish == "length"
        assert await slow_text(slow) == whole

        both = [engine.submit(job(**LONG, shared=True, unread=UNREAD)) for _ in range(2)]
        await paused(engine, 1)
        both[0].cancel()
        assert await text_of(both[1]) == whole

    with_engine(test)


def test_a_segment_that_was_ahead_does_not_yield_once_its_reader_waits(with_engine: With) -> None:
    """It was begun ahead, paused and lost its place; others keep coming, and it has its turn."""

    async def test(engine: LocalEngine) -> None:
        whole = await text_of(engine.submit(job(**LONG)))
        ahead = engine.submit(job(**LONG, unread=UNREAD, ahead=True))
        await paused(engine, 1)
        crowd = [engine.submit(job(**LONG)) for _ in range(30)]
        reading = asyncio.ensure_future(text_of(ahead))
        assert await asyncio.wait_for(reading, 60) == whole
        assert sum(generation.finish is None for generation in crowd) > 20
        for generation in crowd:
            generation.cancel()

    with_engine(test, sequences=1)


def test_cancelling_a_paused_generation_frees_everything(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        held, parked = (engine.submit(job(**LONG, unread=UNREAD)) for _ in range(2))
        await paused(engine, 2)
        for generation in (held, parked):
            generation.cancel()
        while engine.status().paused or engine.status().sequences_used:
            await asyncio.sleep(0.001)
        assert engine.status().kv_used == 0
        assert (await text_of(engine.submit(job()))).startswith(" Wo ist ")

    with_engine(test, sequences=1)


def test_stopping_ends_paused_generations_with_an_error(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        stalled = [engine.submit(job(**LONG, unread=UNREAD)) for _ in range(2)]
        await paused(engine, 2)
        engine.stop()
        for generation in stalled:
            with pytest.raises(ShuttingDown):
                await text_of(generation)

    with_engine(test, sequences=1)
