"""How many threads to compute with while other work shares the processor.

Threads of one matrix product wait for the slowest of them, and at low priority beside a busy
program the slowest hardly runs at all. So the trainer takes the cores that others leave free, and
looks again every few seconds.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

LOOK_SECONDS = 3.0

_STAT = Path("/proc/stat")


def busy_seconds(stat: str, ticks: int) -> float:
    """Return the processor seconds spent so far, by all programs, from the text of /proc/stat.

    The first line holds ticks of user, nice, system, idle, iowait, irq, softirq, steal (proc(5)).

    >>> busy_seconds("cpu  300 100 200 9000 50 0 0 0 0 0", 100)
    6.0
    """
    fields = [int(field) for field in stat.split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / ticks


def free_cores(cores: int, others: float) -> int:
    """Return how many of `cores` are left when `others` uses some number of them; at least one.

    >>> [free_cores(2, others) for others in (0.0, 0.4, 0.6, 3.0)]
    [2, 2, 1, 1]
    """
    return max(1, min(cores, round(cores - others)))


@dataclass
class _Look:
    when: float
    own: float
    everyone: float


class Threads:
    """Sets PyTorch's thread count to the free cores, where /proc/stat tells them."""

    def __init__(self) -> None:
        self.cores = torch.get_num_threads()
        self.last = self._look() if _STAT.exists() and self.cores > 1 else None

    def _look(self) -> _Look:
        ticks = os.sysconf("SC_CLK_TCK")
        stat = _STAT.read_text(encoding="ascii")
        return _Look(time.monotonic(), time.process_time(), busy_seconds(stat, ticks))

    def adjust(self) -> None:
        """Look at the last few seconds and set the thread count; cheap enough for every step."""
        if self.last is None or time.monotonic() - self.last.when < LOOK_SECONDS:
            return
        now, last = self._look(), self.last
        others = (now.everyone - last.everyone) - (now.own - last.own)
        torch.set_num_threads(free_cores(self.cores, others / (now.when - last.when)))
        self.last = now
