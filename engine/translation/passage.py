"""A part of a document on its way through the translator: what comes out of it, and where it is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from engine.translation.parts import Encoder, Part
from engine.translation.segments import Segment, Span


class Passage:
    """Brings a part's own text and its translation back into the format, run after run, in order.

    `start` is the part's offset in the document, in characters.
    """

    def __init__(self, part: Part, start: int) -> None:
        self.part = part
        self.text = part.raw if part.text is None else part.text
        self.keeps: Sequence[Span] = part.keeps if part.text is not None else ((0, len(part.raw)),)
        self.encode: Encoder = part.encoder()
        self._start = start

    def gap(self, segment: Segment) -> str:
        """What lies before a segment, as it comes out."""
        return self._given_back(self.encode, segment.start - len(segment.gap), segment.start)

    def body(self, segment: Segment) -> str:
        """A segment's own text as it comes out where it is not translated."""
        return self._given_back(self.encode, segment.start, segment.start + len(segment.text))

    def keeps_in(self, segment: Segment) -> Sequence[Span]:
        """Those of the keeps that lie in a segment's text."""
        return self._between(segment.start, segment.start + len(segment.text))

    def place(self, index: int) -> int:
        """The offset in the document of the character that `text[index]` comes from."""
        return self._start + len(self._given_back(self.part.encoder(), 0, index))

    def _given_back(self, encode: Encoder, start: int, end: int) -> str:
        keeps = self._between(start, end)
        if not keeps:
            return encode(self.text[start:end]) if start < end else ""
        pieces, done = [], start
        for keep_start, keep_end in keeps:
            if done < keep_start:
                pieces.append(encode(self.text[done:keep_start]))
            done = min(keep_end, end)
            pieces.append(self.text[max(keep_start, start) : done])
        if done < end:
            pieces.append(encode(self.text[done:end]))
        return "".join(pieces)

    def _between(self, start: int, end: int) -> Sequence[Span]:
        """The keeps that reach into text[start:end]."""
        if not self.keeps:
            return ()
        first = bisect_left(self.keeps, start, key=lambda keep: keep[1] - 1)
        behind = bisect_left(self.keeps, end, key=lambda keep: keep[0])
        return self.keeps[first:behind]
