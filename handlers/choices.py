"""The `n` answers to an OpenAI request: texts of sources up to a stop string or a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from engine.chat.stops import Stops
from engine.errors import CutShort
from handlers.translating import Source


class Choice:
    """`finish` says how it ended: "stop" or "length"."""

    def __init__(
        self, index: int, source: Source, stops: Sequence[str], most_tokens: int | None = None
    ) -> None:
        """`most_tokens` where the source knows no limit of its own; a piece counts as a token."""
        self.index, self.source = index, source
        self.finish = "stop"
        self._stops = Stops(stops)
        self._left = most_tokens

    async def texts(self) -> AsyncIterator[list[str]]:
        """The text as it comes, an empty list after a poke of the source.

        Raises what the source raises, but not CutShort: `finish` tells that here.
        """
        try:
            async for pieces in self.source.pieces():
                yield self._take(pieces)
                if self._stops.found or self._left == 0:
                    break
        except CutShort:
            self.finish = "length"
        self.source.cancel()
        if rest := self._stops.rest():
            yield [rest]

    def _take(self, pieces: list[str]) -> list[str]:
        if self._left is not None:
            pieces = pieces[: self._left]
            self._left -= len(pieces)
        texts = [text for text in map(self._stops.take, pieces) if text]
        if self._left == 0 and not self._stops.found:
            self.finish = "length"
        return texts

    async def joined(self) -> str:
        """The whole text."""
        return "".join([text async for texts in self.texts() for text in texts])


async def all_texts(choices: Sequence[Choice], at_once: int) -> list[str]:
    """The whole texts of all choices, some `at_once`. Raises what the first to fail raises."""
    free = asyncio.Semaphore(at_once)

    async def text(choice: Choice) -> str:
        async with free:
            return await choice.joined()

    tasks = [asyncio.ensure_future(text(choice)) for choice in choices]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
