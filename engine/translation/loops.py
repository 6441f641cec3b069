"""Noticing that a model repeats itself, while it does."""

from __future__ import annotations

_LEAST = 6  # pieces of a repetition that make a suspicion
_ENOUGH = 24  # pieces of one that is no accident


class LoopWatch:
    """Looks at the pieces of an answer as they come, in constant time for each.

    Three pieces that came before in this order may begin a repetition of what came `period` pieces
    ago; `run` counts the pieces for which it goes on. How often `source` repeats itself is looked
    at when a loop shows, and not before.
    """

    def __init__(self, source: str = "") -> None:
        self._source = source
        self._allowed: int | None = None
        self._pieces: list[str] = []
        self._last: dict[tuple[str, str, str], int] = {}
        self.period = 0
        self.run = 0

    def see(self, piece: str) -> bool:
        """Take the next piece; whether all of the last period has come before."""
        pieces, period = self._pieces, self.period
        pieces.append(piece)
        count = len(pieces)
        if count < 3:
            return False
        three = (pieces[-3], pieces[-2], piece)
        before = self._last.get(three)
        self._last[three] = count
        if period and pieces[-1 - period] == piece:
            self.run += 1
        elif before is not None:
            self.period, self.run = count - before, 3
        else:
            self.period = self.run = 0
            return False
        return self.run >= _LEAST and self.run >= self.period

    @property
    def looping(self) -> bool:
        """The last period has come at least three times, and for longer than the source repeats."""
        run = self.run
        if run < _ENOUGH or run < 2 * self.period:
            return False
        if self._allowed is None:
            self._allowed = longest_run(self._source)
        return run > self._allowed


def longest_run(text: str) -> int:
    """For how many characters at most a text goes on repeating what stands just before.

    >>> longest_run("he said ha ha ha ha ha"), longest_run("he said ha")
    (12, 0)
    """
    watch, longest = LoopWatch(), 0
    for character in text:
        if watch.see(character) and watch.run > longest:
            longest = watch.run
    return longest
