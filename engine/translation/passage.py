"""A part of a document on its way through the translator: what comes out of it, and where it is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from engine.translation import keeps
from engine.translation.keeps import Kept
from engine.translation.parts import Encoder, Part, Run
from engine.translation.segments import Segment, Span

_NEAR = 64  # pieces of markup on either side that may have a part in what one means


class Passage:
    """Brings a part's own text and its translation back into the format, run after run, in order.

    `start` is the part's offset in the document, in characters. `markup` are the part's own keeps,
    which come out past the encoder; `keeps` are these and what is found in the text.
    """

    def __init__(self, part: Part, start: int) -> None:
        self.part = part
        self.encode: Encoder = part.encoder()
        self._start = start
        self._last = ""  # the last character of the text that has gone out, where it is new
        if part.text is None:
            self.text = part.raw
            self.markup: Sequence[Span] = ((0, len(part.raw)),)
            self.keeps: Sequence[Span] = self.markup
        else:
            self.text = part.text
            self.markup = part.keeps
            found = keeps.find(part.text, part.keeps)
            self.keeps = sorted((*part.keeps, *found)) if found else part.keeps

    def gap(self, segment: Segment, follows: str = "") -> str:
        """What lies before a segment, as it comes out.

        `follows` is the first character behind it, where that is not the source's. Where markup in
        the gap would mean something else beside new text, a blank keeps them apart.
        """
        start, end = segment.start - len(segment.gap), segment.start
        last, self._last = self._last, ""
        runs = list(self._runs(start, end))
        marks = [place for place, (_, markup) in enumerate(runs) if markup]
        if marks and (last or follows) and self.part.reading is not None:
            apart = (_with_blank(runs, place) for place in (marks[-1] + 1, marks[0]))
            for suited in (runs, *apart):
                if self._alike(start, end, [(last, False), *suited, (follows, False)]):
                    return self.encoded(suited)
        return self.encoded(runs)

    def ends_with(self, text: str) -> None:
        """Remember the end of new text, which what follows has to suit."""
        self._last = text[-1:]

    def reads_alike(self, segment: Segment, kept: Kept, translation: str) -> bool:
        """Whether the part's markup means the same with the translation in the segment's place."""
        start, end = segment.start, segment.start + len(segment.text)
        return not self.markup_in(segment) or self._alike(start, end, kept.split(translation))

    def _alike(self, start: int, end: int, runs: Iterable[Run]) -> bool:
        """The same of runs in the place of any stretch of the text, as far as that is near."""
        reading = self.part.reading
        if reading is None:
            return True
        first, behind = self._near(start, end)
        changed = [*self._runs(first, start), *runs, *self._runs(end, behind)]
        return reading(changed) == reading(self._runs(first, behind))

    def _near(self, start: int, end: int) -> Span:
        """The stretch around another that is looked at with it: all, but for very much markup."""
        before = bisect_left(self.markup, start, key=lambda span: span[1]) - _NEAR
        before -= before % 2  # with the beginning of emphasis, where all is in plain pairs
        behind = bisect_left(self.markup, end, key=lambda span: span[0]) + _NEAR
        return (
            self.markup[before][0] if before > 0 else 0,
            self.markup[behind][0] if behind < len(self.markup) else len(self.text),
        )

    def body(self, segment: Segment) -> str:
        """A segment's own text as it comes out where it is not translated."""
        return self._given_back(self.encode, segment.start, segment.start + len(segment.text))

    def encoded(self, runs: Iterable[Run]) -> str:
        """The translation of a whole segment with keeps as it comes out."""
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
        runs = self._runs(start, end)
        return "".join(run if markup else encode(run) for run, markup in runs)

    def _runs(self, start: int, end: int) -> Iterator[Run]:
        """The runs of the part's own text between two places, none of them empty."""
        done = start
        for keep_start, keep_end in _reaching(self.markup, start, end):
            if done < keep_start:
                yield self.text[done:keep_start], False
            done = min(keep_end, end)
            yield self.text[max(keep_start, start) : done], True
        if done < end:
            yield self.text[done:end], False


def _with_blank(runs: list[Run], place: int) -> list[Run]:
    """The runs with a blank at a place; as markup, since the encoder shall not see it."""
    return [*runs[:place], (" ", True), *runs[place:]]


def _reaching(spans: Sequence[Span], start: int, end: int) -> Sequence[Span]:
    """Those of the spans that reach into what lies between two places."""
    if not spans:
        return ()
    first = bisect_left(spans, start, key=lambda span: span[1] - 1)
    behind = bisect_left(spans, end, key=lambda span: span[0])
    return spans[first:behind]
