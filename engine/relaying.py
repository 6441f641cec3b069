"""Jobs that are decoded elsewhere: they wait here in turn, and their text comes back here.

What `engine.remote` and `engine.ray` have in common. Clients that wait take turns, who reads slowly
gives up the place, and what nobody reads any more is left.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from engine.errors import BabelbrookError, ShuttingDown
from engine.generation import Decoding, Generation, Job
from engine.interface import Reason
from engine.sharing import UnderWay
from engine.waiting import Waiting

logger = logging.getLogger("babelbrook.engine")

_WEIGHT = 0.1  # of the newest measurement in the mean service time


class Place(Protocol):
    """What decodes. `active` are the jobs that it works on; those that are paused do not count."""

    active: int


P = TypeVar("P", bound=Place)


class Call(Generic[P]):
    """A job on its way."""

    def __init__(self, decoding: Decoding) -> None:
        self.decoding = decoding
        self.task: asyncio.Task[None] | None = None  # None while it waits
        self.begun = 0.0  # by the decoding's clock
        self.going_on = asyncio.Event()  # after a pause
        self._place: P | None = None

    def take(self, place: P) -> None:
        """From now on it counts among what a place has to do."""
        self._place = place
        place.active += 1

    def leave(self) -> None:
        """And no longer."""
        if self._place is not None:
            self._place.active -= 1
            self._place = None


class Relay(ABC, Generic[P]):
    """Gives jobs to places with room, and sees each to its end in a task of its own."""

    def __init__(self) -> None:
        self._waiting: Waiting[Call[P]] = Waiting()
        self._calls: set[Call[P]] = set()  # those that a place works on
        self._under_way = UnderWay()
        self._stopping: Reason | None = None
        self._closed: asyncio.Task[None] | None = None
        self._service_seconds = 0.0  # running mean of a job's time at its place, unpaused

    @abstractmethod
    def _free_place(self) -> P | None:
        """A place with room for one more job."""

    @abstractmethod
    async def _see_through(self, call: Call[P], place: P) -> None:
        """Have a job decoded and hand over what comes, until it has finished.

        Raises BabelbrookError.
        """

    @abstractmethod
    async def _close(self) -> None:
        """Let go of everything; all jobs have ended."""

    def _join(self, job: Job) -> Generation | None:
        """A reader of the same job, where one is under way. Raises what the stop is told with."""
        if self._stopping is not None:
            raise self._stopping()
        return self._under_way.join(job)

    def _queue(self, decoding: Decoding) -> Generation:
        """A reader of a decoding that waits for its turn from now on."""
        call: Call[P] = Call(decoding)
        generation = decoding.join(decoding.job.unread)
        self._under_way.add(decoding)
        decoding.on_cancel = lambda: self._cancel(call)
        decoding.on_resume = call.going_on.set
        self._waiting.append(call)
        self._give_out()
        return generation

    def _cancel(self, call: Call[P]) -> None:
        """Nobody reads it any more."""
        if call.task is not None:
            call.task.cancel()
            return
        for each in self._waiting.drop_cancelled():
            each.decoding.feed("", 0, "cancelled")

    def _give_out(self) -> None:
        """Let places with room begin what waits."""
        while self._waiting and (place := self._free_place()) is not None:
            call = self._waiting.pop()
            call.take(place)
            call.begun = call.decoding.clock()
            call.task = asyncio.create_task(self._serve(call, place))
            call.task.add_done_callback(functools.partial(self._after, call))
            self._calls.add(call)

    async def _serve(self, call: Call[P], place: P) -> None:
        """See a job to its end, whatever that is."""
        try:
            await self._see_through(call, place)
        except BabelbrookError as error:
            call.decoding.fail(error)
        except Exception:
            logger.exception("A job failed.")
            call.decoding.fail(BabelbrookError("The translation failed. Please try again."))

    def _after(self, call: Call[P], task: asyncio.Task[None]) -> None:
        """A job has ended, or was cancelled, maybe before its task could begin."""
        decoding = call.decoding
        self._calls.discard(call)
        call.leave()
        if task.cancelled():
            if self._stopping is not None:
                decoding.fail(self._stopping())
            else:
                decoding.feed("", 0, "cancelled")
        seconds, mean = decoding.clock() - call.begun, self._service_seconds
        self._service_seconds = mean + _WEIGHT * (seconds - mean) if mean else seconds
        if self._stopping is None:
            self._give_out()

    async def _pause(self, call: Call[P], place: P) -> None:
        """Read nothing until a reader wants more; others may have its place meanwhile."""
        call.leave()
        self._give_out()
        while call.decoding.paused:
            call.going_on.clear()
            await call.going_on.wait()
        call.take(place)

    def _fail_waiting(self, reason: Reason) -> None:
        """Nobody can decode what waits."""
        for call in self._waiting.pop_all():
            call.decoding.fail(reason())

    def stop(self, reason: Reason = ShuttingDown) -> None:
        """End what runs with that error; returns at once."""
        if self._stopping is not None:
            return
        self._stopping = reason
        self._fail_waiting(reason)
        for call in self._calls:
            if call.task is not None:
                call.task.cancel()
        self._closed = asyncio.create_task(self._end())

    async def _end(self) -> None:
        tasks = [call.task for call in self._calls if call.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close()

    @property
    def stopped(self) -> bool:
        """True when nothing runs any more."""
        return self._closed is not None and self._closed.done()
