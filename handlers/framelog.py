"""The frames of a stream, numbered from 1, of which a reader may take some more than once.

Two halves bound it: of what a reader has taken the newest are kept, in case they were lost on their
way, and what it has not taken yet makes the writer wait.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable


class Half:
    """Frames in their order and the memory that they take, in bytes."""

    def __init__(self) -> None:
        self.frames: deque[str] = deque()
        self.size = 0

    def append(self, frame: str) -> None:
        self.frames.append(frame)
        self.size += sys.getsizeof(frame)

    def appendleft(self, frame: str) -> None:
        self.frames.appendleft(frame)
        self.size += sys.getsizeof(frame)

    def pop(self) -> str:
        frame = self.frames.pop()
        self.size -= sys.getsizeof(frame)
        return frame

    def popleft(self) -> str:
        frame = self.frames.popleft()
        self.size -= sys.getsizeof(frame)
        return frame

    def __len__(self) -> int:
        return len(self.frames)


class FrameLog:
    """Frames between a writer and the reader of the moment.

    >>> log = FrameLog(1_000_000)
    >>> log.extend(["a", "b", "c"])
    >>> log.take(1000), log.taken
    ([(1, 'a'), (2, 'b'), (3, 'c')], 3)
    >>> log.rewind(1)
    >>> log.take(1000)
    [(2, 'b'), (3, 'c')]
    """

    def __init__(self, most: int) -> None:
        """`most` is how much memory (bytes) all frames may take; the last ones may go over it."""
        self._half = most // 2
        self._kept, self._waiting = Half(), Half()
        self.taken = 0  # number of the last frame that the reader has
        self.sent = 0  # number of the last frame that any reader ever had

    def extend(self, frames: Iterable[str]) -> None:
        """Add frames at the end."""
        for frame in frames:
            self._waiting.append(frame)

    @property
    def full(self) -> bool:
        """The reader is so far behind that no more should be added."""
        return self._waiting.size > self._half

    @property
    def end(self) -> int:
        """Number of the last frame."""
        return self.taken + len(self._waiting)

    @property
    def begin(self) -> int:
        """Number of the last frame that is not kept any more, 0 while all are."""
        return self.taken - len(self._kept)

    def take(self, size: int) -> list[tuple[int, str]]:
        """The next frames with their numbers, about so many bytes of memory, at least one."""
        frames = []
        while self._waiting and size > 0:
            frame = self._waiting.popleft()
            size -= sys.getsizeof(frame)
            self._kept.append(frame)
            self.taken += 1
            frames.append((self.taken, frame))
        while self._kept.size > self._half:
            self._kept.popleft()
        self.sent = max(self.sent, self.taken)
        return frames

    def rewind(self, number: int) -> None:
        """Let the frame behind `number` be the next; from `begin` to `sent` that is possible."""
        while self.taken > number:
            self._waiting.appendleft(self._kept.pop())
            self.taken -= 1
        while self.taken < number:
            self._kept.append(self._waiting.popleft())
            self.taken += 1
