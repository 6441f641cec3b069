"""Long documents come out whole, in bounded memory, and begin as soon as short ones."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from functools import partial

import pytest

from engine.echo import EchoEngine
from engine.translation import formats
from engine.translation.origin import Origin
from engine.translation.request import TranslationRequest
from engine.translation.translator import Translation
from tests.data.long_texts import book, one_line, without_punctuation


def translation(engine: EchoEngine, text: str) -> Translation:
    parts = formats.parts("text", text)
    return Translation(engine, TranslationRequest(parts, Origin(None), "ja"), 4)


@pytest.mark.parametrize(
    "make", [partial(one_line, 50_000), partial(without_punctuation, 50_000), partial(book, 20)]
)
def test_a_long_text_comes_out_as_it_went_in(make: Callable[[], str]) -> None:
    text = make()

    async def test() -> str:
        engine = EchoEngine()
        await engine.start()
        return await translation(engine, text).joined()

    assert asyncio.run(test()) == text


def test_a_book_is_cut_as_it_is_read() -> None:
    """After its first words, no more of it was looked at than the next few segments need."""
    text = book(200)

    async def test() -> int:
        engine = EchoEngine()
        await engine.start()
        tracemalloc.start()
        pieces = translation(engine, text).pieces()
        while not await anext(pieces):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await pieces.aclose()  # type: ignore[attr-defined]
        return peak

    assert asyncio.run(test()) < len(text)


def test_a_book_takes_the_memory_of_a_page() -> None:
    async def peak(pages: int) -> int:
        engine = EchoEngine()
        await engine.start()
        text = book(pages)
        most, seen = 0, 0
        tracemalloc.start()
        async for pieces in translation(engine, text).pieces():
            seen += len(pieces)
            if seen >= 1000:
                seen = 0
                gc.collect()
                most = max(most, tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        return most

    short, long = asyncio.run(peak(20)), asyncio.run(peak(80))
    assert long < short * 1.2
