"""Plain text: all of it is text, in stretches that are small enough to be looked at in one go."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.translation.parts import Part

LONGEST = 8000  # characters of a part; 2 MiB at once would hold everybody else up
_SHORTEST = LONGEST // 2  # where there is something to choose
# Where a stretch may end, best first: behind a blank line, a line, a sentence, a blank.
_BORDERS = [
    re.compile(pattern, re.DOTALL)
    for pattern in (r".*\n[^\S\n]*\n", r".*\n", r".*[.!?…]\s", r".*[。！？]", r".*\s")
]


def parts(text: str) -> Iterator[Part]:
    """Stretches of the text, each a part; they end where a paragraph or a line does if they can."""
    return (Part(stretch, stretch) for stretch in stretches(text))


def stretches(text: str) -> Iterator[str]:
    """The text in pieces; they end where a paragraph, a line, a sentence or a word does."""
    at = 0
    while at < len(text):
        end = _end(text, at)
        yield text[at:end]
        at = end


def _end(text: str, start: int) -> int:
    """Where the stretch that begins at `start` ends."""
    limit = start + LONGEST
    if limit >= len(text):
        return len(text)
    for border in _BORDERS:
        if found := border.match(text, start + _SHORTEST, limit):
            return found.end()
    return limit
