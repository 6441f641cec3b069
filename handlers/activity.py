"""What is being answered now, so that a shutdown can wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.errors import ShuttingDown


class Activity:
    """Counts running requests; while `draining`, new ones are refused."""

    def __init__(self) -> None:
        self.draining = False
        self.given_up = False
        self._cancels: list[Callable[[], None]] = []  # one of each running request
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many requests are being answered."""
        return len(self._cancels)

    def check(self) -> None:
        """Raises ShuttingDown while draining."""
        if self.draining:
            raise ShuttingDown("The server is shutting down. Please try another one, or later.")

    @contextmanager
    def request(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Surrounds the work on one request. Raises ShuttingDown while draining.

        `cancel` makes the work come to its end at once, whatever the engine does; then `go_on`
        tells it from work that was done.
        """
        self.check()
        self._cancels.append(cancel)
        self._idle.clear()
        try:
            yield
        finally:
            self._cancels.remove(cancel)
            if not self._cancels:
                self._idle.set()

    def go_on(self) -> None:
        """Raises ShuttingDown where the work was cancelled by `give_up`."""
        if self.given_up:
            raise ShuttingDown("The server is shutting down.")

    def give_up(self) -> None:
        """Cancel all that runs: the engine does not answer any more."""
        self.given_up = True
        for cancel in list(self._cancels):
            cancel()

    async def idle(self, seconds: float) -> bool:
        """Wait so long for the last request to end; whether it has."""
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return not self._cancels
        return True
