"""Plain text: all of it is text, in stretches that are small enough to be looked at in one go.

Code between two lines of three backticks or tildes, as many people write it, is no text.
`wrapped.py` reads plain text whose sentences go over its lines.
"""

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
_LONGEST_CODE = 100_000  # characters between two fences
_FENCE = re.compile(r"^[ \t]*(```|~~~)", re.MULTILINE)
_CLOSING = {
    mark: re.compile(rf"\n[ \t]*{mark}{mark[0]}*[ \t]*(?:\r?\n|\Z)") for mark in ("```", "~~~")
}


def parts(text: str) -> Iterator[Part]:
    """Stretches of the text, each a part, and code between fences."""
    at = 0
    while at < len(text):
        end = _end(text, at)
        fence = _FENCE.search(text, at, end)
        code = _code_end(text, fence) if fence else None
        if fence is None or code is None:
            yield Part(text[at:end], text[at:end])
            at = end
            continue
        if at < fence.start():
            yield Part(text[at : fence.start()], text[at : fence.start()])
        yield Part(text[fence.start() : code])
        at = code


def stretches(text: str) -> Iterator[str]:
    """The text in pieces; they end where a paragraph, a line, a sentence or a word does."""
    at = 0
    while at < len(text):
        end = _end(text, at)
        yield text[at:end]
        at = end


def _code_end(text: str, fence: re.Match[str]) -> int | None:
    """Where the line that closes a fence ends; None where there is none."""
    found = _CLOSING[fence[1]].search(text, fence.end(), fence.end() + _LONGEST_CODE)
    return found.end() if found else None


def _end(text: str, start: int) -> int:
    """Where the stretch that begins at `start` ends."""
    limit = start + LONGEST
    if limit >= len(text):
        return len(text)
    for border in _BORDERS:
        if found := border.match(text, start + _SHORTEST, limit):
            return found.end()
    return limit
