"""Requests for the very same thing at the same time share one decode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import DecodeFailed
from engine.generation import Sampling
from engine.llama.context import Context, DecodeError
from engine.llama.engine import LocalEngine
from tests.engine.llama.conftest import job, text_of

With = Callable[..., Any]


def test_fifty_readers_cost_one_decode_and_get_every_byte(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        alone = await text_of(engine.submit(job()))
        before = engine.status()
        readers = [engine.submit(job(shared=True, client=str(n))) for n in range(50)]
        texts = await asyncio.gather(*map(text_of, readers))
        after = engine.status()
        assert texts == [alone] * 50
        assert after.prompt_tokens - before.prompt_tokens == readers[0].prompt_tokens
        assert after.tokens - before.tokens == readers[0].output_tokens + 1  # and the end token
        assert all(reader.output_tokens == readers[0].output_tokens for reader in readers)

    with_engine(test)


def test_who_comes_late_gets_the_beginning_too(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        long = {"ignore_eos": True, "max_tokens": 200, "shared": True}
        first = engine.submit(job(**long))
        while first.output_tokens < 20:
            await first.read()
        late = engine.submit(job(**long))
        assert late.output_tokens >= 20
        whole = await text_of(engine.submit(job(ignore_eos=True, max_tokens=200)))
        assert await text_of(late) == whole

    with_engine(test)


def test_a_reader_leaves_alone_and_the_last_one_ends_the_decode(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        long = {"ignore_eos": True, "max_tokens": 480, "shared": True}
        one, two = (engine.submit(job(**long)) for _ in range(2))
        while not await one.read():
            pass
        one.cancel()
        tokens = two.output_tokens
        while two.output_tokens < tokens + 10:
            await two.read()
        two.cancel()
        while engine.status().sequences_used:
            await asyncio.sleep(0)
        await text_of(two)
        assert two.finish == "cancelled"
        fresh = engine.submit(job(**long))
        while not await fresh.read():
            pass
        assert fresh.output_tokens < tokens + 10
        fresh.cancel()

    with_engine(test)


@pytest.mark.parametrize(
    "other",
    [
        {"text": "He is old."},
        {"target": "fr"},
        {"max_tokens": 3},
        {"ignore_eos": True, "max_tokens": 9},
        {"shared": False},
    ],
)
def test_another_job_is_decoded_by_itself(with_engine: With, other: dict[str, Any]) -> None:
    async def test(engine: LocalEngine) -> None:
        one = engine.submit(job(shared=True))
        two = engine.submit(job(**{"shared": True, **other}))
        await asyncio.gather(text_of(one), text_of(two))
        assert engine.status().prompt_tokens == one.prompt_tokens + two.prompt_tokens

    with_engine(test)


def test_what_is_drawn_at_random_is_never_shared(with_engine: With) -> None:
    async def test(engine: LocalEngine) -> None:
        wild = Sampling(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0)
        jobs = [
            engine.submit(job(sampling=wild, shared=True, ignore_eos=True, max_tokens=30))
            for _ in range(2)
        ]
        one, two = await asyncio.gather(*map(text_of, jobs))
        assert one != two

    with_engine(test)


def test_a_failure_reaches_all_readers_and_is_not_joined_later(
    with_engine: With, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Context, batch: Any) -> None:
        raise DecodeError(-3)

    async def test(engine: LocalEngine) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Context, "decode", broken)
            readers = [engine.submit(job(shared=True)) for _ in range(3)]
            for reader in readers:
                with pytest.raises(DecodeFailed):
                    await text_of(reader)
        assert await text_of(engine.submit(job(shared=True)))

    with_engine(test)
