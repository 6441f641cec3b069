"""The echo engine: behaves as an engine must, with nothing loaded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from engine.echo import EchoEngine
from engine.errors import NotReady, ShuttingDown
from engine.generation import Generation, Job
from engine.interface import Engine

T = TypeVar("T")


def run(test: Awaitable[T]) -> T:
    async def main() -> T:
        return await asyncio.wait_for(test, 60)

    return asyncio.run(main())


def job(text: str, max_tokens: int | None = None) -> Job:
    return Job(text=text, source_lang=None, target_lang="ja", max_tokens=max_tokens)


async def started() -> EchoEngine:
    engine = EchoEngine()
    await engine.start()
    return engine


async def pieces_of(generation: Generation) -> list[str]:
    pieces: list[str] = []
    while (new := await generation.read()) or not generation.ended:
        pieces += new
    return pieces


def test_it_is_an_engine() -> None:
    engine: Engine = EchoEngine()
    assert "echo" in engine.describe()


def test_it_gives_a_text_back_word_by_word_white_space_and_all() -> None:
    async def test() -> Generation:
        generation = (await started()).submit(job(" One  two\nthree. "))
        assert await pieces_of(generation) == [" ", "One  ", "two\n", "three. "]
        return generation

    generation = run(test())
    assert generation.finish == "stop"
    assert generation.prompt_tokens == generation.output_tokens == 4
    assert generation.started is not None


@pytest.mark.parametrize(
    ("most", "pieces", "finish"),
    [(1, ["a "], "length"), (2, ["a ", "b"], "length"), (3, ["a ", "b"], "stop")],
)
def test_no_more_words_come_than_tokens_are_allowed(
    most: int, pieces: list[str], finish: str
) -> None:
    async def test() -> Generation:
        generation = (await started()).submit(job("a b", most))
        assert await pieces_of(generation) == pieces
        return generation

    assert run(test()).finish == finish


def test_a_cancelled_generation_ends_at_its_next_word() -> None:
    async def test() -> Generation:
        generation = (await started()).submit(job("a " * 1000))
        await generation.read()
        generation.cancel()
        await pieces_of(generation)
        return generation

    generation = run(test())
    assert generation.finish == "cancelled"
    assert generation.output_tokens <= 2


def test_it_counts_what_runs_and_what_has_run() -> None:
    async def test() -> None:
        engine = await started()
        generations = [engine.submit(job("a b c")) for _ in range(5)]
        assert engine.status().running == 5
        for generation in generations:
            await pieces_of(generation)
        await asyncio.sleep(0)
        status = engine.status()
        assert (status.ready, status.running, status.tokens, status.prompt_tokens) == (
            True,
            0,
            15,
            15,
        )

    run(test())


def test_before_its_start_it_answers_nobody() -> None:
    engine = EchoEngine()
    assert not engine.status().ready
    with pytest.raises(NotReady):
        engine.submit(job("a"))


def test_stopped_it_ends_what_runs_and_answers_nobody_any_more() -> None:
    async def test() -> None:
        engine = await started()
        generation = engine.submit(job("a " * 1000))
        await generation.read()
        engine.stop()
        assert not engine.stopped
        with pytest.raises(ShuttingDown):
            await pieces_of(generation)
        await asyncio.sleep(0)
        assert engine.stopped
        assert not engine.status().ready
        with pytest.raises(NotReady):
            engine.submit(job("a"))

    run(test())


def test_long_texts_are_cut_as_with_a_model() -> None:
    engine = EchoEngine()
    assert engine.fits("a" * 1000, None, "ja")
    assert not engine.fits("a" * 1001, None, "ja")
