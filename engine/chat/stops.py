"""Ending a text where one of some strings begins."""

from __future__ import annotations

from collections.abc import Sequence


class Stops:
    """Lets text through up to the first of `strings`, which itself never comes out.

    What may be the beginning of one of them waits until it is known.

    >>> stops = Stops(["END"])
    >>> [stops.take(piece) for piece in ("one E", "ND two")], stops.found
    (['one ', ''], True)
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = [string for string in strings if string]
        self._held = ""
        self.found = False

    def take(self, piece: str) -> str:
        """The part of the text that can go out now; nothing after a string was found."""
        if self.found:
            return ""
        text = self._held + piece
        places = [place for place in map(text.find, self._strings) if place >= 0]
        if places:
            self.found, self._held = True, ""
            return text[: min(places)]
        held = max((_overlap(text, string) for string in self._strings), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """What still waited when the text ended."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, string: str) -> int:
    """How many characters at the end of `text` are a beginning of `string`."""
    longest = min(len(text), len(string) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(string[:n])), 0)
