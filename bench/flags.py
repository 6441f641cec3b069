"""llama-server's flags, and the small search for those that suit a model on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Flags:
    """What is varied. `spin` is libgomp's GOMP_SPINCOUNT, None for its default.

    The waiting at OpenMP's barriers is no flag of llama-server, but on a crowded machine it decides
    more than any flag, so the peer is tried with a short one too.
    """

    threads: int
    unified: bool = False
    batch: int = 2048
    micro_batch: int = 512
    backend_sampling: bool = False
    spin: int | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """As llama-server takes them."""
        given = ["-t", str(self.threads), "-b", str(self.batch), "-ub", str(self.micro_batch)]
        given.append("--kv-unified" if self.unified else "--no-kv-unified")
        return (*given, *(["--backend-sampling"] if self.backend_sampling else []))

    @property
    def environ(self) -> dict[str, str]:
        """What the environment adds."""
        return {} if self.spin is None else {"GOMP_SPINCOUNT": str(self.spin)}

    @property
    def whole_environ(self) -> dict[str, str]:
        """This process's environment with that."""
        return os.environ | self.environ

    def __str__(self) -> str:
        return " ".join(
            (*(f"{name}={value}" for name, value in self.environ.items()), *self.arguments)
        )

    def as_record(self) -> dict[str, Any]:
        """For a file; `Flags(**record)` reads it."""
        return asdict(self)


def thread_counts(cores: int) -> list[int]:
    """Those worth trying: all cores, and half of them, which leaves room for the rest of a server.

    >>> thread_counts(2), thread_counts(1)
    ([2, 1], [1])
    """
    return [cores, cores // 2] if cores > 1 else [1]


def steps(cores: int, *, quick: bool) -> Iterator[tuple[dict[str, Any], ...]]:
    """The search, one choice after the other: changes of which each is tried on the best so far."""
    if not quick:
        yield tuple({"threads": count} for count in thread_counts(cores)[1:])
    yield ({"spin": 1000},)
    yield ({"unified": True},)
    if not quick:
        yield ({"batch": 512}, {"batch": 256, "micro_batch": 256})
        yield ({"backend_sampling": True},)


def search(
    cores: int, measure: Callable[[Flags], float], *, quick: bool
) -> tuple[Flags, list[tuple[Flags, float]]]:
    """The fastest flags, one choice after the other, and everything that was tried with its rate.

    `measure` gives tokens per second, 0 for flags that do not work.

    >>> best, tried = search(2, lambda flags: flags.threads + flags.unified, quick=True)
    >>> str(best), len(tried)
    ('-t 2 -b 2048 -ub 512 --kv-unified', 3)
    """
    best = Flags(threads=cores)
    tried = [(best, measure(best))]
    rate = tried[0][1]
    for changes in steps(cores, quick=quick):
        for flags in [replace(best, **change) for change in changes]:
            tried.append((flags, measure(flags)))
            if tried[-1][1] > rate:
                best, rate = tried[-1]
    return best, tried
