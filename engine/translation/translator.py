"""From a request's document to the pieces of its translation, segment by segment, in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing

from engine.errors import BabelbrookError, BadRequest, ModelError
from engine.generation import Generation, Job, Sampling, recalled
from engine.interface import Engine
from engine.translation.asking import Asking
from engine.translation.checks import Finding, Pair, findings
from engine.translation.origin import Note, Origin
from engine.translation.parts import Part
from engine.translation.passage import Passage
from engine.translation.report import Done, Matched, Untranslated
from engine.translation.request import TranslationRequest
from engine.translation.segments import Segment, around, segments
from engine.translation.tries import Tries
from engine.translation.unit import Unit


class Translation:
    """One document on its way through the engine.

    Up to `lookahead` segments are decoded at a time while their pieces leave in order. Making one
    decodes nothing yet, but raises what the prompt form has against the request.
    """

    def __init__(self, engine: Engine, request: TranslationRequest, lookahead: int) -> None:
        self._engine = engine
        self._request = request
        self._lookahead = lookahead
        self._asking = Asking(engine, request)
        if not self._asking.fits(""):
            if request.hints:
                raise BadRequest("'context' and 'instructions' are too long for this model.")
            raise ModelError(
                "The model's prompt alone fills half of a sequence. Raise engine.context."
            )
        self._units: Iterator[Unit] = self._cut(request.parts)
        self._window: deque[Unit] = deque()
        self._cancelled = False
        self._spared = False  # segments were given back untranslated
        self._first: Generation | None = None
        self.first_text: float | None = None  # when the first text came (monotonic seconds)
        self._prompt_tokens = 0
        self._output_tokens = 0
        self._written = 0  # characters that have gone out, where a report is wanted
        self._remembers = self._may_remember()
        checks = request.report or self._remembers
        self._detect = request.origin.teller(engine.entry) if checks else None
        self.done: deque[Done] = deque()  # segments that are complete, for a report; take them out
        self.matches: list[Matched] = []  # like segments so far, where they are wanted
        self.untranslated: list[Untranslated] = []  # what came back as it was, in vain tried

    def _cut(self, parts: Iterable[Part]) -> Iterator[Unit]:
        """The segments of all parts, and what lies between them."""
        language, start = self._request.source_lang, 0
        for part in parts:
            passage = Passage(part, start)
            start += len(part.raw)
            if part.text is None:
                yield Unit(passage, Segment(part.raw, "", len(part.raw)))
                continue
            unit = self._request.unit or self._engine.entry.segment
            for segment in segments(part.text, language, unit, self._asking.fits, passage.keeps):
                for piece in self._without_keeps(passage, segment):
                    yield Unit(passage, piece)

    def _without_keeps(self, passage: Passage, segment: Segment) -> Iterable[Segment]:
        """The segment, or runs of it where the model better sees no keep, or sees just one run."""
        keeps = passage.keeps_in(segment)
        if not keeps:
            return (segment,)
        if not self._engine.entry.copies_keeps:
            return around(segment, keeps)
        runs = list(around(segment, passage.markup_in(segment), to_words=False))
        return runs if sum(bool(run.text) for run in runs) == 1 else (segment,)

    def _may_remember(self) -> bool:
        """Whether answers may be kept: not where another sampling is asked for than ever."""
        request = self._request
        if request.memory is None or request.ignore_eos:
            return False
        usual = Sampling(**self._engine.entry.sampling.model_dump())
        return request.sampling.greedy or request.sampling == usual

    @property
    def origin(self) -> Origin:
        """The language of the text, and how that is known."""
        return self._request.origin

    @property
    def target_lang(self) -> str:
        """The model's code of the language that it is translated into."""
        return self._request.target_lang

    @property
    def notes(self) -> list[Note]:
        """What there is to know about the answer; complete when `pieces` has ended."""
        spared = self.origin.spared if self._spared else None
        failed = _failed(len(self.untranslated)) if self.untranslated else None
        return [note for note in (self.origin.note, spared, failed) if note is not None]

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts so far, those of segments ahead of the reader too."""
        return self._prompt_tokens + sum(each.prompt_tokens for each in self._decoded())

    @property
    def output_tokens(self) -> int:
        """Tokens decoded so far, those of segments ahead of the reader too."""
        return self._output_tokens + sum(each.output_tokens for each in self._decoded())

    @property
    def position(self) -> int:
        """Characters of the source that are before the segment which is being told."""
        if not self._window:
            return 0
        head = self._window[0]
        return head.passage.place(head.segment.start)

    @property
    def queue_seconds(self) -> float | None:
        """How long the first segment waited for a place; None while it does."""
        first = self._first
        if first is None or first.started is None:
            return None
        return max(0.0, first.started - first.joined)

    def cancel(self) -> None:
        """End it: the engine frees its sequences at its next step and `pieces` returns."""
        self._cancelled = True
        for generation in self._under_way():
            generation.cancel()
        self.poke()

    def poke(self) -> None:
        """Let `pieces` yield now, an empty list if there is nothing (used for heartbeats)."""
        if self._window and (generation := self._window[0].generation) is not None:
            generation.poke()

    def _under_way(self) -> Iterator[Generation]:
        return (unit.generation for unit in self._window if unit.generation is not None)

    def _decoded(self) -> Iterator[Generation]:
        return (generation for unit in self._window for generation in unit.generations)

    async def pieces(self) -> AsyncIterator[list[str]]:
        """New text, one string for each token that completed some; an empty list after `poke`.

        Raises CutShort for a segment that the model did not finish, and what the engine raises.
        """
        try:
            while await self._fill_window():
                unit = self._window[0]
                if not unit.segment.text or unit.spared:
                    yield self._counted(unit.given_back())
                    self._leave_head()
                    continue
                async for pieces in self._translated(unit):
                    if pieces and self.first_text is None:
                        self.first_text = time.monotonic()
                    yield self._counted(pieces)
        finally:
            self.cancel()

    def _counted(self, texts: list[str]) -> list[str]:
        if self._request.report:
            self._written += sum(map(len, texts))
        return texts

    async def joined(self) -> str:
        """The whole translation."""
        return "".join([piece async for pieces in self.pieces() for piece in pieces])

    async def _fill_window(self) -> bool:
        """Submit segments until `lookahead` are on their way; False when there are none."""
        while not self._cancelled and self._wants_more():
            unit = next(self._units, None)
            if unit is None:
                break
            self._asking.look_back(unit)
            if unit.segment.text and not self._spares(unit):
                unit.generation = await self._asked_for(unit)
                self._first = self._first or unit.generation
            self._window.append(unit)
            # Cutting and tokenising take some milliseconds where it comes to the worst, and a text
            # without letters waits for nothing else: let the others on the event loop have a turn.
            await asyncio.sleep(0)
        return not self._cancelled and bool(self._window)

    async def _asked_for(self, unit: Unit) -> Generation:
        """What the memory has of a segment, else what the model is to make of it."""
        job = self._asking.job(unit, ahead=any(self._under_way()))
        remembered = await self._remembered(job)
        self._look_for_matches(unit)
        if remembered is not None:
            return remembered
        shown = self._request.matches_in_prompts and self._asking.carries_hints
        if shown and unit.matches is not None:
            found = await unit.matches
            self._asking.show(unit, [(match.source, match.translation) for match in found])
            if unit.examples:
                job = self._asking.job(unit, ahead=job.ahead)
                remembered = await self._remembered(job)
        return remembered or self._engine.submit(job)

    async def _remembered(self, job: Job) -> Generation | None:
        """The generation that a former one was, where the memory has it: complete, and for free."""
        memory = self._request.memory
        if memory is None or not self._remembers:
            return None
        pieces = await memory.get(job, self._engine)
        return None if pieces is None or self._cancelled else recalled(job, pieces)

    def _look_for_matches(self, unit: Unit) -> None:
        """Begin to; while it is decoded there is time."""
        request = self._request
        similar = request.memory.similar if request.memory is not None else None
        if similar is None or not request.matches or request.source_lang is None:
            return
        wanted = unit.segment.text, request.source_lang, request.target_lang, request.matches
        unit.matches = asyncio.ensure_future(similar.find(*wanted))

    async def _take_matches(self, unit: Unit) -> None:
        looking, unit.matches = unit.matches, None
        if looking is not None and (found := await looking):
            place = unit.place
            self.matches += [Matched(*place, match) for match in found]

    def _spares(self, unit: Unit) -> bool:
        """Whether a segment is in the target language already, and is given back as it is."""
        spares = self._request.origin.spares
        unit.spared = spares is not None and spares(unit.segment.text)
        self._spared = self._spared or unit.spared
        return unit.spared

    def _wants_more(self) -> bool:
        """Whether to look further ahead; gaps cost little, but there may be very many."""
        segments_ahead = sum(1 for _ in self._under_way())
        return segments_ahead < self._lookahead and len(self._window) < 8 * self._lookahead

    def _leave_head(self, *successors: Unit) -> None:
        """Go on to the next one, or to those that come in the head's place."""
        for generation in self._window.popleft().generations:
            self._prompt_tokens += generation.prompt_tokens
            self._output_tokens += generation.output_tokens
        self._window.extendleft(reversed(successors))

    async def _translated(self, unit: Unit) -> AsyncIterator[list[str]]:
        """What comes of the head, as it comes; where that fails, smaller ones take its place.

        Raises CutShort and Repetitive where smaller ones would not help, or text is out already,
        unless the request has such segments stay as they are.
        """
        tries = Tries(self._engine, self._asking, self._request, unit)
        async with aclosing(tries.texts()) as all_texts:
            async for texts in all_texts:
                yield texts
                if self._cancelled:
                    return
        if self._cancelled:
            return
        error = tries.error
        if error is None or self._request.keep_source:
            await self._take_matches(unit)
        if error is None:
            if tries.again():
                return
            if (last := tries.last()) is not None:
                if last:
                    yield last
                if tries.reply.empty:
                    self.untranslated.append(Untranslated(*unit.place, "empty"))
                self._complete(unit, tries.reply.text)
                self._leave_head()
                return
        smaller = tries.smaller()
        if error and not smaller:
            if not self._request.keep_source:
                raise error
            yield unit.given_back()
            self._fail(unit, error)
        self._leave_head(*smaller)

    def _fail(self, unit: Unit, error: BabelbrookError) -> None:
        """A segment came back as its source for this reason."""
        place = unit.place
        self.untranslated.append(Untranslated(*place, error.code))
        if self._request.report:
            finding = Finding("untranslated", f"This came back as the source. {error.sentence}")
            written = self._written - unit.written, self._written
            self.done.append(Done(*place, *written, (finding,)))

    def _complete(self, unit: Unit, translation: str) -> None:
        """Check a segment where its translation is reported, or to be remembered."""
        if not (self._request.report or self._remembers):
            return
        done = self._report(unit, translation)
        if self._request.report:
            self.done.append(done)
        generation, memory = unit.generation, self._request.memory
        good = not done.findings and bool(translation) and generation is not None
        if self._remembers and good and memory is not None and generation is not None:
            memory.put(generation, self._engine)

    def _report(self, unit: Unit, translation: str) -> Done:
        request = self._request
        pair = Pair(
            unit.segment.text,
            translation,
            request.source_lang,
            request.target_lang,
            unit.terms,
            self._detect,
        )
        return Done(*unit.place, self._written - unit.written, self._written, tuple(findings(pair)))


def _failed(count: int) -> Note:
    segments = "1 segment" if count == 1 else f"{count:,} segments"
    return Note(
        "untranslated",
        f"{segments} came back as the source: the model repeated itself, did not finish or said"
        " nothing.",
    )
