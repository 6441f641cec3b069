"""Whether an upstream that fails is given requests for the time being."""

from __future__ import annotations

import time
from collections.abc import Callable

_FAILURES = 3  # in a row that open the circuit
_FIRST_REST = 1.0  # seconds; doubled with each time that it opens again
_LONGEST_REST = 30.0


class Circuit:
    """Opens after some failures in a row, and closes for a try after a rest.

    The first failure after a rest opens it again, for longer; a success closes it for good.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = self._openings = 0
        self._until = 0.0

    @property
    def open(self) -> bool:
        """True while the upstream rests."""
        return self._clock() < self._until

    def succeeded(self) -> None:
        """A request went well."""
        self._failures = self._openings = 0

    def failed(self) -> None:
        """A request failed by the upstream's fault."""
        self._failures += 1
        if self._failures >= _FAILURES:
            rest = min(_LONGEST_REST, _FIRST_REST * 2**self._openings)
            self._until = self._clock() + rest
            self._openings += 1
            self._failures = _FAILURES - 1
