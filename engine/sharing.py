"""Equal requests that are under way share one decode."""

from __future__ import annotations

from dataclasses import replace

from engine.generation import Decoding, Generation, Job


class UnderWay:
    """The decodings that another request may join."""

    def __init__(self) -> None:
        self._decodings: dict[Job, Decoding] = {}

    def join(self, job: Job) -> Generation | None:
        """A reader of the decoding of the same job, None where there is none."""
        same = self._decodings.get(_key(job)) if _sharable(job) else None
        return same.join(job.unread) if same is not None and not same.over else None

    def add(self, decoding: Decoding) -> None:
        """Let others join it until it ends, where its job allows that."""
        if _sharable(decoding.job):
            self._decodings[_key(decoding.job)] = decoding
            decoding.on_end = lambda: self._forget(decoding)

    def _forget(self, decoding: Decoding) -> None:
        """Nobody may join one that has ended; another one may have taken its key since."""
        key = _key(decoding.job)
        if self._decodings.get(key) is decoding:
            del self._decodings[key]


def _sharable(job: Job) -> bool:
    return job.shared and job.sampling.greedy and job.grammar is None


def _key(job: Job) -> Job:
    """The job without what differs between those who ask."""
    return replace(job, client="", unread=None)
