"""A part of a document on its way through the translator: what comes out of it, and where it is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from engine.translation import keeps
from engine.translation.keeps import Kept
from engine.translation.parts import Encoder, Part
from engine.translation.segments import Segment, Span


class Passage:
    """Brings a part's own text and its translation back into the format, run after run, in order.

    `start` is the part's offset in the document, in characters. `markup` are the part's own keeps,
    which come out past the encoder; `keeps` are these and what is found in the text.
    """

    def __init__(self, part: Part, start: int) -> None:
        self.part = part
        self.encode: Encoder = part.encoder()
        self._start = start
        if part.text is None:
            self.text = part.raw
            self.markup: Sequence[Span] = ((0, len(part.raw)),)
            self.keeps: Sequence[Span] = self.markup
        else:
            self.text = part.text
            self.markup = part.keeps
            found = keeps.find(part.text, part.keeps)
            self.keeps = sorted((*part.keeps, *found)) if found else part.keeps

    def gap(self, segment: Segment) -> str:
        """What lies before a segment, as it comes out."""
        return self._given_back(self.encode, segment.start - len(segment.gap), segment.start)

    def body(self, segment: Segment) -> str:
        """A segment's own text as it comes out where it is not translated."""
        return self._given_back(self.encode, segment.start, segment.start + len(segment.text))

    def translated(self, kept: Kept, translation: str) -> str:
        """The translation of a whole segment with keeps as it comes out."""
        runs = kept.split(translation)
        return "".join(run if markup else self.encode(run) for run, markup in runs if run)

    def keeps_in(self, segment: Segment) -> Sequence[Span]:
        """Those of the keeps that lie in a segment's text."""
        return _reaching(self.keeps, segment.start, segment.start + len(segment.text))

    def markup_in(self, segment: Segment) -> Sequence[Span]:
        """Those of the part's own keeps that lie in a segment's text."""
        return _reaching(self.markup, segment.start, segment.start + len(segment.text))

    def kept(self, segment: Segment) -> Kept:
        """What is to be found again in the segment's translation."""
        markup = self.markup_in(segment)
        others = [span for span in self.keeps_in(segment) if span not in markup]
        return Kept(self._texts(markup), self._texts(others))

    def place(self, index: int) -> int:
        """The offset in the document of the character that `text[index]` comes from."""
        return self._start + len(self._given_back(self.part.encoder(), 0, index))

    def _texts(self, spans: Sequence[Span]) -> list[str]:
        return [self.text[start:end] for start, end in spans]

    def _given_back(self, encode: Encoder, start: int, end: int) -> str:
        markup = _reaching(self.markup, start, end)
        if not markup:
            return encode(self.text[start:end]) if start < end else ""
        pieces, done = [], start
        for keep_start, keep_end in markup:
            if done < keep_start:
                pieces.append(encode(self.text[done:keep_start]))
            done = min(keep_end, end)
            pieces.append(self.text[max(keep_start, start) : done])
        if done < end:
            pieces.append(encode(self.text[done:end]))
        return "".join(pieces)


def _reaching(spans: Sequence[Span], start: int, end: int) -> Sequence[Span]:
    """Those of the spans that reach into what lies between two places."""
    if not spans:
        return ()
    first = bisect_left(spans, start, key=lambda span: span[1] - 1)
    behind = bisect_left(spans, end, key=lambda span: span[0])
    return spans[first:behind]
