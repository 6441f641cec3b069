"""What a replica tells the server in front of it. Both run the same code, so it goes as it is."""

from __future__ import annotations

from typing import NamedTuple

from engine.errors import BabelbrookError
from engine.interface import EngineStatus


class Failure(NamedTuple):
    """An error in the parts that a client is told."""

    status: int
    code: str
    sentence: str
    retry_after: float | None

    @classmethod
    def of(cls, error: BabelbrookError) -> Failure:
        """Take an error apart: not all of them can be pickled."""
        return cls(error.status, error.code, error.sentence, error.retry_after)

    def error(self) -> BabelbrookError:
        """And put it together again."""
        error = BabelbrookError(self.sentence)
        error.status, error.code, error.retry_after = self.status, self.code, self.retry_after
        return error


class Item(NamedTuple):
    """What is new of a job: the first one says that it has left the replica's queue."""

    replica: str
    pieces: list[str]
    tokens: int
    finish: str | None = None
    failure: Failure | None = None


class Reading(NamedTuple):
    """What a replica is and does; `context` is what a sequence of its holds, in tokens."""

    replica: str
    process: int
    model: str
    context: int
    status: EngineStatus
