"""What a replica does with a call, without Ray around it."""

from __future__ import annotations

import asyncio

from engine.errors import Overloaded
from engine.ray.messages import Failure
from engine.ray.replica import _Call
from tests.engine.llama.conftest import job, running_engine, text_of
from tests.engine.llama.test_pausing import paused


def test_a_word_that_was_overtaken_is_not_heeded() -> None:
    async def main() -> None:
        async with running_engine() as engine:
            generation = engine.submit(job(ignore_eos=True, max_tokens=200))
            call = _Call(generation)
            call.hold(False, 2)
            call.hold(True, 1)
            assert call.reading.is_set()
            call.hold(True, 3)
            assert not call.reading.is_set()
            await paused(engine, 1)
            call.hold(False, 4)
            await text_of(generation)
            assert generation.finish == "length"

    asyncio.run(main())


def test_an_error_comes_through_as_clients_are_told_it() -> None:
    error = Failure.of(Overloaded("Too much.", 7.0)).error()
    assert (error.status, error.code, error.sentence) == (503, "overloaded", "Too much.")
    assert error.retry_after == 7.0
