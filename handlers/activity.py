"""What is being answered now, so that a shutdown can wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from engine.errors import ShuttingDown


class Running:
    """A request that is being answered; `progress` tells how far it is, where that can be told."""

    def __init__(
        self, cancel: Callable[[], None], progress: Callable[[], dict[str, Any]] | None
    ) -> None:
        self.cancel, self.progress = cancel, progress
        self.begun = time.monotonic()


class Activity:
    """Counts running requests; while `draining`, new ones are refused."""

    def __init__(self) -> None:
        self.draining = False
        self.given_up = False
        self._requests: dict[Running, None] = {}  # those that run, the longest first
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many requests are being answered."""
        return len(self._requests)

    def check(self) -> None:
        """Raises ShuttingDown while draining."""
        if self.draining:
            raise ShuttingDown("The server is shutting down. Please try another one, or later.")

    @contextmanager
    def request(
        self, cancel: Callable[[], None], progress: Callable[[], dict[str, Any]] | None = None
    ) -> Iterator[None]:
        """Surrounds the work on one request. Raises ShuttingDown while draining.

        `cancel` makes the work come to its end at once, whatever the engine does; then `go_on`
        tells it from work that was done. `progress` is for `longest`.
        """
        self.check()
        request = Running(cancel, progress)
        self._requests[request] = None
        self._idle.clear()
        try:
            yield
        finally:
            del self._requests[request]
            if not self._requests:
                self._idle.set()

    def longest(self, most: int) -> list[dict[str, Any]]:
        """Of those that run longest: for how many `seconds`, and what they tell themselves."""
        now = time.monotonic()
        told = (request for request in self._requests if request.progress is not None)
        return [
            {"seconds": round(now - request.begun, 1), **(request.progress or dict)()}
            for request in islice(told, most)
        ]

    def go_on(self) -> None:
        """Raises ShuttingDown where the work was cancelled by `give_up`."""
        if self.given_up:
            raise ShuttingDown("The server is shutting down.")

    def give_up(self) -> None:
        """Cancel all that runs: the engine does not answer any more."""
        self.given_up = True
        for request in list(self._requests):
            request.cancel()

    async def idle(self, seconds: float) -> bool:
        """Wait so long for the last request to end; whether it has."""
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return not self._requests
        return True
