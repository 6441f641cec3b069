"""From a request's document to the pieces of its translation, segment by segment, in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field

from engine.errors import CutShort, ModelError
from engine.generation import Generation, Job, Sampling
from engine.interface import Engine
from engine.translation.answer import Answer
from engine.translation.origin import Note, Origin
from engine.translation.parts import Part
from engine.translation.passage import Passage
from engine.translation.segments import Segment, around, segments


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """What is to be translated, its languages already chosen among those of the model.

    `parts` are taken one by one as they are needed, and once. `max_tokens` bounds the answer to
    each segment.
    """

    parts: Iterable[Part]
    origin: Origin
    target_lang: str
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    ignore_eos: bool = False
    client: str = ""
    shared: bool = False
    unread: int | None = None  # bytes that the reader may be behind in each segment

    @property
    def source_lang(self) -> str | None:
        """None means unknown."""
        return self.origin.language


@dataclass(slots=True)
class _Unit:
    """A segment on its way; one without a generation is given back as it is."""

    passage: Passage
    segment: Segment
    generation: Generation | None = None


class Translation:
    """One document on its way through the engine.

    Up to `lookahead` segments are decoded at a time while their pieces leave in order. Making one
    decodes nothing yet, but raises what the prompt form has against the request.
    """

    def __init__(self, engine: Engine, request: TranslationRequest, lookahead: int) -> None:
        self._engine = engine
        self._request = request
        self._lookahead = lookahead
        if not self._fits(""):
            raise ModelError(
                "The model's prompt alone fills half of a sequence. Raise engine.context."
            )
        self._units: Iterator[_Unit] = self._cut(request.parts)
        self._window: deque[_Unit] = deque()
        self._cancelled = False
        self._spared = False  # segments were given back untranslated
        self._first: Generation | None = None
        self.first_text: float | None = None  # when the first text came (monotonic seconds)
        self._prompt_tokens = 0
        self._output_tokens = 0

    def _cut(self, parts: Iterable[Part]) -> Iterator[_Unit]:
        """The segments of all parts, and what lies between them."""
        source, start = self._request.source_lang, 0
        for part in parts:
            passage = Passage(part, start)
            start += len(part.raw)
            if part.text is None:
                yield _Unit(passage, Segment(part.raw, "", len(part.raw)))
                continue
            unit = self._engine.entry.segment
            for segment in segments(part.text, source, unit, self._fits, part.keeps):
                for piece in around(segment, passage.keeps_in(segment)):
                    yield _Unit(passage, piece)

    def _fits(self, text: str) -> bool:
        return self._engine.fits(text, self._request.source_lang, self._request.target_lang)

    @property
    def origin(self) -> Origin:
        """The language of the text, and how that is known."""
        return self._request.origin

    @property
    def notes(self) -> list[Note]:
        """What there is to know about the answer; complete when `pieces` has ended."""
        notes = (self.origin.note, self.origin.spared if self._spared else None)
        return [note for note in notes if note is not None]

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts so far, those of segments ahead of the reader too."""
        return self._prompt_tokens + sum(g.prompt_tokens for g in self._under_way())

    @property
    def output_tokens(self) -> int:
        """Tokens decoded so far, those of segments ahead of the reader too."""
        return self._output_tokens + sum(g.output_tokens for g in self._under_way())

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

    async def pieces(self) -> AsyncIterator[list[str]]:
        """New text, one string for each token that completed some; an empty list after `poke`.

        Raises CutShort for a segment that the model did not finish, and what the engine raises.
        """
        try:
            while await self._fill_window():
                unit = self._window[0]
                if unit.generation is None:
                    yield [unit.passage.gap(unit.segment) + unit.passage.body(unit.segment)]
                else:
                    async for pieces in self._answer(unit, self._at_the_head(unit.generation)):
                        if pieces and self.first_text is None:
                            self.first_text = time.monotonic()
                        yield pieces
                self._leave_head()
        finally:
            self.cancel()

    async def joined(self) -> str:
        """The whole translation."""
        return "".join([piece async for pieces in self.pieces() for piece in pieces])

    async def _fill_window(self) -> bool:
        """Submit segments until `lookahead` are on their way; False when there are none."""
        while not self._cancelled and self._wants_more():
            unit = next(self._units, None)
            if unit is None:
                break
            if unit.segment.text and not self._spares(unit.segment.text):
                job = self._job(unit.segment, ahead=any(self._under_way()))
                unit.generation = self._engine.submit(job)
                self._first = self._first or unit.generation
            self._window.append(unit)
            # Cutting and tokenising take some milliseconds where it comes to the worst, and a text
            # without letters waits for nothing else: let the others on the event loop have a turn.
            await asyncio.sleep(0)
        return not self._cancelled and bool(self._window)

    def _spares(self, text: str) -> bool:
        """Whether a segment is in the target language already, and is given back as it is."""
        spares = self._request.origin.spares
        spared = spares is not None and spares(text)
        self._spared = self._spared or spared
        return spared

    def _wants_more(self) -> bool:
        """Whether to look further ahead; gaps cost little, but there may be very many."""
        segments_ahead = sum(1 for _ in self._under_way())
        return segments_ahead < self._lookahead and len(self._window) < 8 * self._lookahead

    def _leave_head(self) -> None:
        generation = self._window.popleft().generation
        if generation is not None:
            self._prompt_tokens += generation.prompt_tokens
            self._output_tokens += generation.output_tokens

    def _job(self, segment: Segment, *, ahead: bool) -> Job:
        request = self._request
        return Job(
            text=segment.text,
            source_lang=request.source_lang,
            target_lang=request.target_lang,
            sampling=request.sampling,
            max_tokens=request.max_tokens,
            ignore_eos=request.ignore_eos,
            ahead=ahead,
            client=request.client,
            shared=request.shared,
            unread=request.unread,
        )

    def _at_the_head(self, generation: Generation) -> Generation:
        """A look-ahead segment that still waits when its turn comes queues like everybody else."""
        if not generation.job.ahead or generation.started is not None:
            return generation
        generation.cancel()
        head = self._window[0]
        head.generation = self._engine.submit(self._job(head.segment, ahead=False))
        return head.generation

    async def _answer(self, unit: _Unit, generation: Generation) -> AsyncIterator[list[str]]:
        passage, segment, answer = unit.passage, unit.segment, Answer()
        encode, gap = passage.encode, passage.gap(segment)
        while (pieces := await generation.read()) or not generation.ended:
            texts = [encode(text) for text in map(answer.take, pieces) if text]
            if texts and gap:
                texts[0], gap = gap + texts[0], ""
            yield texts
            if self._cancelled:
                return
        if generation.finish == "length" and not self._request.ignore_eos:
            raise self._cut_short(unit, generation)
        if answer.empty:  # the model said nothing: better the source than a hole in the text
            yield [gap + passage.body(segment)]

    @staticmethod
    def _cut_short(unit: _Unit, generation: Generation) -> CutShort:
        passage, segment = unit.passage, unit.segment
        start = passage.place(segment.start)
        end = passage.place(segment.start + len(segment.text))
        return CutShort(
            f"The translation of characters {start} to {end} was not finished within"
            f" {generation.output_tokens} tokens. Raise max_tokens or send shorter sentences."
        )
