"""What is being answered now, so that a shutdown can wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import ShuttingDown


class Activity:
    """Counts running requests; `drain` refuses new ones and waits for the rest."""

    def __init__(self) -> None:
        self.draining = False
        self.running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Surrounds the work on one request. Raises ShuttingDown while draining."""
        if self.draining:
            raise ShuttingDown("The server is shutting down. Please try another one, or later.")
        self.running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.running -= 1
            if not self.running:
                self._idle.set()

    async def drain(self, deadline: float) -> bool:
        """Refuse new requests and wait up to `deadline` seconds; True when none is left."""
        self.draining = True
        if not self.running:
            return True
        try:
            await asyncio.wait_for(self._idle.wait(), deadline)
        except TimeoutError:
            return False
        return True
