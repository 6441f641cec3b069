"""What a stream tells beside its text, where that is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from engine.translation.translator import Translation
from handlers import answers, sse
from handlers.schemas import StreamOptions

_MOST = 1000  # findings that the last event names; a book in the wrong language has no end of them


class Extras:
    """The frames of a translation, with events for its segments among them."""

    def __init__(
        self, translation: Translation, options: StreamOptions | None, wants_matches: bool
    ) -> None:
        self._translation = translation
        self._options = options or StreamOptions()
        self._wants_matches = wants_matches
        self._checks: list[dict[str, Any]] = []

    async def frames(self) -> AsyncIterator[list[str]]:
        """All text as frames; that of a segment comes before the event that tells of it."""
        async for texts in self._translation.pieces():
            yield [*self._segments(), *map(sse.data, texts)]

    def last(self) -> list[str]:
        """The events that come when all text is out."""
        frames = self._segments()
        if self._options.checks:
            frames.append(sse.event("checks", self._checks))
        if self._wants_matches:
            frames.append(sse.event("matches", answers.matches(self._translation.matches)))
        return frames

    def _segments(self) -> list[str]:
        done, frames = self._translation.done, []
        while done:
            segment = done.popleft()
            self._checks += answers.checks([segment])[: _MOST - len(self._checks)]
            if self._options.segment:
                frames.append(sse.event("segment", answers.segment(segment)))
        return frames
