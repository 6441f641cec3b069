"""Notices when the machine stands still: virtual machines are paused, laptops fall asleep."""

from __future__ import annotations

import threading
import time
from types import TracebackType

_TICK = 0.1
STALL = 2.0  # seconds that a sleeping thread comes too late; a busy machine stays far below


class Watch:
    """Within its `with` block, sleeps in short ticks and notes the worst delay.

    `worst` is in seconds. Whatever was measured while it is above `STALL` says nothing.
    """

    def __init__(self) -> None:
        self.worst = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._over.wait(_TICK):
            now = time.monotonic()
            self.worst = max(self.worst, now - before - _TICK)
            before = now

    @property
    def stalled(self) -> bool:
        """Whether the machine stood still."""
        return self.worst > STALL

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
