"""One segment of a document between the engine and the reader."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.generation import Generation
from engine.memory.similar import Match
from engine.translation.glossary import Term
from engine.translation.passage import Passage
from engine.translation.segments import Segment, around, halves

_HALVINGS = 2  # how often a segment that was not finished is cut into halves


@dataclass(slots=True)
class Unit:
    """A segment, the passage that it is of, and what is decoded for it.

    One whose segment has no text is a gap alone.
    """

    passage: Passage
    segment: Segment
    spared: bool = False  # it is in the target language already
    earlier: str = ""  # what the model is told of the segments before
    examples: tuple[tuple[str, str], ...] = ()  # segments like it and their translations, likewise
    halvings: int = 0  # half of a half ... of a segment that was tried in vain
    terms: tuple[Term, ...] = ()  # of the glossary, that occur in it
    emphatic: bool = False  # its terms were missing once
    generation: Generation | None = None
    former: list[Generation] = field(default_factory=list)  # tries before the present one
    begun: bool = False  # some of it has gone out
    matches: asyncio.Task[list[Match]] | None = None  # like it, in the translation memory
    written: int = 0  # characters of its translation that have

    @property
    def generations(self) -> list[Generation]:
        """All that was decoded for it, or is being."""
        return self.former if self.generation is None else [*self.former, self.generation]

    def renew(self, generation: Generation | None) -> None:
        """Another try takes the place of the present one, which is over."""
        self.former = self.generations
        self.generation = generation

    @property
    def has_keeps(self) -> bool:
        """Whether something in its text is to come out unchanged."""
        return bool(self.passage.keeps_in(self.segment))

    def out(self, texts: list[str]) -> list[str]:
        """New texts of the translation as they go out, the gap before the first of them."""
        if not texts:
            return texts
        gap, encode = self._gap(texts[0][:1]), self.passage.encode
        out = [encode(text) for text in texts]
        self.passage.ends_with(texts[-1])
        return self._behind(gap, out)

    def whole(self, translation: str) -> list[str]:
        """A whole translation with keeps in it, as it goes out."""
        runs = self.passage.kept(self.segment).split(translation)
        gap = self._gap(runs[0][0][:1])  # the first and the last run are text, if there is any
        out = self.passage.encoded(runs)
        self.passage.ends_with(runs[-1][0])
        return self._behind(gap, [out])

    def given_back(self) -> list[str]:
        """The segment as it was."""
        gap = self._gap()
        return self._behind(gap, [self.passage.body(self.segment)])

    def _gap(self, follows: str = "") -> str:
        if self.begun:
            return ""
        self.begun = True
        return self.passage.gap(self.segment, follows)

    def _behind(self, gap: str, texts: list[str]) -> list[str]:
        self.written += sum(map(len, texts))
        if gap:
            texts[0] = gap + texts[0]
        return texts

    def keeps_survive(self, translation: str) -> bool:
        """Whether all that is to come out unchanged stands in a translation, and means the same."""
        kept = self.passage.kept(self.segment)
        alike = self.passage.reads_alike
        return kept.survived(translation) and alike(self.segment, kept, translation)

    def smaller(self, language: str | None) -> list[Unit]:
        """The same in smaller segments: cut around its keeps, or into halves; none if too small."""
        if keeps := self.passage.keeps_in(self.segment):
            return self._cut(around(self.segment, keeps), self.halvings)
        if self.halvings == _HALVINGS:
            return []
        return self._cut(halves(self.segment, language), self.halvings + 1)

    def _cut(self, segments: Iterable[Segment], halvings: int) -> list[Unit]:
        return [
            Unit(self.passage, segment, earlier=self.earlier, halvings=halvings)
            for segment in segments
        ]

    @property
    def place(self) -> tuple[int, int]:
        """Where it begins and ends in the document, in characters."""
        start = self.segment.start
        return self.passage.place(start), self.passage.place(start + len(self.segment.text))
