"""Who gets the next free place."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from engine.generation import Decoding


class Waiter(Protocol):
    """What waits for a place."""

    decoding: Decoding


W = TypeVar("W", bound=Waiter)


class RoundRobin(Generic[W]):
    """A queue for each client, taken from in turn: who sends much waits for himself."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[W]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, sequence: W, *, first: bool = False) -> None:
        """Add to the client's queue; `first` puts it before all others there."""
        line = self._lines.setdefault(sequence.decoding.job.client, deque())
        (line.appendleft if first else line.append)(sequence)
        self._count += 1

    def drop_cancelled(self) -> list[W]:
        """Take out those that nobody wants any more."""
        dropped = []
        for client, line in list(self._lines.items()):
            dropped += [each for each in line if each.decoding.cancelled]
            kept = deque(each for each in line if not each.decoding.cancelled)
            if kept:
                self._lines[client] = kept
            else:
                del self._lines[client]
        self._count -= len(dropped)
        return dropped

    def pop(self) -> W:
        """The next client's next sequence. Raises KeyError when empty."""
        client, line = self._lines.popitem(last=False)
        sequence = line.popleft()
        if line:
            self._lines[client] = line  # to the end of the round
        self._count -= 1
        return sequence


class Waiting(Generic[W]):
    """Sequences that wait: look-ahead segments go only where nobody else would."""

    def __init__(self) -> None:
        self._now: RoundRobin[W] = RoundRobin()
        self._ahead: RoundRobin[W] = RoundRobin()

    def __len__(self) -> int:
        return len(self._now) + len(self._ahead)

    @property
    def urgent(self) -> int:
        """How many wait that have a reader waiting too."""
        return len(self._now)

    def append(self, sequence: W, *, first: bool = False) -> None:
        """Queue a sequence; `first` for one that had a place and lost it."""
        ahead = sequence.decoding.job.ahead
        (self._ahead if ahead else self._now).append(sequence, first=first)

    def put_back(self, sequence: W) -> None:
        """Queue a sequence whose reader waits for it, before all others of its client.

        It may have been begun ahead of that reader, but is so no longer.
        """
        self._now.append(sequence, first=True)

    def pop(self) -> W:
        """The next one. Raises KeyError when there is none."""
        return (self._now or self._ahead).pop()

    def drop_cancelled(self) -> list[W]:
        """Take out those that nobody wants any more."""
        return self._now.drop_cancelled() + self._ahead.drop_cancelled()

    def pop_all(self) -> Iterator[W]:
        """Empty the queue."""
        while self:
            yield self.pop()
